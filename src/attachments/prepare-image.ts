import type Sharp from 'sharp';

/** The most pixels of an image: reading one takes four bytes of memory for each. */
const maxPixels = 50_000_000;
/** The longest side of an image as models are given it, in pixels: larger ones are scaled down by the providers themselves. */
const maxSide = 1_568;
/** The largest image with transparency that is given as PNG, in bytes. */
const maxPngBytes = 1_000_000;
const timeoutSeconds = 20;

let loading: Promise<typeof Sharp> | null = null;

/** Loads the reader of images with the first one: its native library is not in the memory of servers that need none. */
async function loadSharp(): Promise<typeof Sharp> {
  const { default: sharp } = await import('sharp');
  // Images are read by a thread each, and nothing of one stays in memory.
  sharp.cache(false);
  sharp.concurrency(1);
  // What strangers upload is read by the readers of these formats alone, whatever is in the file.
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({
    operation: ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadWebp', 'VipsForeignLoadNsgif'],
  });
  return sharp;
}

/** An image cannot be read as it is. The message goes on a sentence about the file. */
export class UnreadableImageError extends Error {
  override readonly name = 'UnreadableImageError';
}

/** An image as models are given it. */
export interface PreparedImage {
  /** JPEG or PNG. */
  readonly data: Buffer<ArrayBuffer>;
  /** About how many tokens it takes. */
  readonly tokens: number;
}

/**
 * Makes of an image what models are given of it: upright, scaled down if it is too large, the first picture of an animation,
 * and without what cameras write beside the picture.
 * @throws {UnreadableImageError} if it has too many pixels, is broken, or takes too long
 */
export async function prepareImage(data: Uint8Array): Promise<PreparedImage> {
  loading ??= loadSharp();
  const sharp = await loading;
  const { width, height, hasAlpha } = await readHeader(sharp, data);
  if (width * height > maxPixels)
    throw new UnreadableImageError(
      `must have at most ${maxPixels / 1_000_000} megapixels, and it has ${width} × ${height} pixels`,
    );
  try {
    const image = sharp(data, { limitInputPixels: maxPixels, failOn: 'truncated' })
      .timeout({ seconds: timeoutSeconds })
      .autoOrient()
      .resize({ width: maxSide, height: maxSide, fit: 'inside', withoutEnlargement: true });
    const png = hasAlpha ? await image.clone().png().toBuffer({ resolveWithObject: true }) : null;
    const written =
      png !== null && png.data.length <= maxPngBytes
        ? png
        : await image.flatten({ background: 'white' }).jpeg({ quality: 85 }).toBuffer({ resolveWithObject: true });
    const { info } = written;
    return { data: Buffer.from(written.data), tokens: Math.max(85, Math.ceil((info.width * info.height) / 750)) };
  } catch (cause) {
    throw new UnreadableImageError('is an image that cannot be read: it is broken, or incomplete', { cause });
  }
}

async function readHeader(sharp: typeof Sharp, data: Uint8Array) {
  try {
    return await sharp(data, { limitInputPixels: false }).metadata();
  } catch (cause) {
    throw new UnreadableImageError('is an image that cannot be read: it is broken, or incomplete', { cause });
  }
}
