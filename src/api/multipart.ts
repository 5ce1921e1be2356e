import { randomBytes } from 'node:crypto';

/** One part of a multipart/form-data body (RFC 7578). */
export interface Part {
  readonly name: string;
  /** Null: it is a field and no file. */
  readonly fileName: string | null;
  /** As it came; in an ordinary field, text in UTF-8. */
  readonly data: Buffer;
}

/** A file that came with an operation, where it was read to: what comes of it holds no other copy. */
export class UploadedFile {
  // Hidden, so that nothing walks 25 MB byte by byte where somebody puts a file into JSON.
  readonly #data: Buffer;

  constructor(data: Buffer) {
    this.#data = data;
  }

  /** As it came. */
  get data(): Buffer {
    return this.#data;
  }
}

/** A body that is no multipart/form-data; the message says why, for the one who sent it. */
export class MalformedMultipartError extends Error {
  override readonly name = 'MalformedMultipartError';
}

const maxHeaderBytes = 4_096;

/** The boundary of a multipart/form-data Content-Type (RFC 2046, section 5.1.1); null: it is none, or has no good one. */
export function readBoundary(contentType: string | undefined): string | null {
  const [, quoted, plain] =
    /^multipart\/form-data *;(?:[^"]*;)? *boundary=(?:"([^"]{1,70})"|([^\s";]{1,70}))/i.exec(contentType ?? '') ?? [];
  return quoted ?? plain ?? null;
}

/**
 * Cuts a body into its parts. The data of the parts is not copied.
 * @param maxParts how many parts there may be
 * @throws {MalformedMultipartError} when it is malformed, or has more parts
 */
export function parseMultipart(body: Buffer, boundary: string, maxParts: number): Part[] {
  const opening = Buffer.from(`--${boundary}`);
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  const parts: Part[] = [];
  // What stands before the first boundary is nobody's; the first may stand at the very beginning, without a line break.
  let at = body.subarray(0, opening.length).equals(opening) ? opening.length : endOf(body, delimiter, 0);
  for (;;) {
    const [first, second] = [body[at], body[at + 1]];
    if (first === dash && second === dash) return parts;
    const begin = body.indexOf('\r\n', at);
    // Padding may follow a boundary: spaces and tabs.
    if (begin < 0 || !/^[ \t]{0,64}$/.test(body.toString('latin1', at, Math.min(begin, at + 65)))) {
      throw new MalformedMultipartError('A boundary is followed by something else than a part.');
    }
    if (parts.length >= maxParts) throw new MalformedMultipartError(`It has more than ${maxParts} parts.`);
    // From the line break on, so that a part without headers is one, too.
    const blank = body.indexOf('\r\n\r\n', begin);
    if (blank < 0 || blank - begin > maxHeaderBytes) {
      throw new MalformedMultipartError('A part has no headers, or too long ones.');
    }
    const end = body.indexOf(delimiter, blank + 2);
    if (end < 0) throw new MalformedMultipartError('It breaks off: its last boundary is missing.');
    parts.push({ ...readDisposition(body.toString('utf8', begin, blank)), data: body.subarray(blank + 4, end) });
    at = end + delimiter.length;
  }
}

const dash = 0x2d;

function endOf(body: Buffer, what: Buffer, from: number): number {
  const at = body.indexOf(what, from);
  if (at < 0) throw new MalformedMultipartError('Its boundary is missing.');
  return at + what.length;
}

function readDisposition(headers: string): { name: string; fileName: string | null } {
  const [, disposition = ''] = /\r\ncontent-disposition: *form-data *;([^\r\n]*)/i.exec(headers) ?? [];
  const [, name] = /(?:^|;) *name="((?:[^"\\]|\\.)*)"/i.exec(disposition) ?? [];
  if (name === undefined) throw new MalformedMultipartError('A part has no name.');
  const [, fileName] = /(?:^|;) *filename="((?:[^"\\]|\\.)*)"/i.exec(disposition) ?? [];
  return { name, fileName: fileName ?? null };
}

/** Writes a multipart/form-data body. Names and file names are of this program: they need no escapes. */
export function writeMultipart(
  parts: readonly (
    | { readonly name: string; readonly value: string }
    | { readonly name: string; readonly fileName: string; readonly mediaType: string; readonly data: Uint8Array }
  )[],
): { readonly contentType: string; readonly body: Buffer<ArrayBuffer> } {
  const boundary = `switchboard-${randomBytes(16).toString('hex')}`;
  const pieces: Uint8Array[] = [];
  for (const part of parts) {
    const head = `--${boundary}\r\ncontent-disposition: form-data; name="${part.name}"`;
    if ('value' in part) pieces.push(Buffer.from(`${head}\r\n\r\n${part.value}\r\n`));
    else {
      const about = `; filename="${part.fileName}"\r\ncontent-type: ${part.mediaType}\r\n\r\n`;
      pieces.push(Buffer.from(head + about), part.data, Buffer.from('\r\n'));
    }
  }
  pieces.push(Buffer.from(`--${boundary}--\r\n`));
  return { contentType: `multipart/form-data; boundary=${boundary}`, body: Buffer.concat(pieces) };
}
