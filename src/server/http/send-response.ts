import type { ServerResponse } from 'node:http';

/** How long a client may read nothing although a write waits for it, in milliseconds. Then the response ends. */
const stallMs = 30_000;
/** So many characters are encoded and written at once: the progress of the client is seen, and nobody waits for a long one. */
const pieceLength = 64 * 1024;

/** Counts bytes while they are written. `end` is called if others wait for their room and the client reads too slowly. */
type CountBytes = (bytes: number, end: () => void) => Disposable;

/** The client has not read for too long, or has disconnected. */
class ReaderGoneError extends Error {
  override readonly name = 'ReaderGoneError';
}

/**
 * Writes the response of Yoga. The next piece is taken from the source when the client has read the last one, so that a
 * client that does not read holds little memory; after {@link stallMs} without progress the connection is closed. (The
 * run goes on, and its stream can be resumed.)
 */
export async function sendResponse(
  source: Response,
  response: ServerResponse,
  count: CountBytes,
  maxStallMs = stallMs,
): Promise<void> {
  if (response.destroyed || response.writableEnded) return;
  for (const [name, value] of source.headers) response.setHeader(name, value);
  const streaming = source.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
  if (streaming) keepProxiesFromBuffering(response);
  try {
    if (streaming && source.body) {
      response.writeHead(source.status);
      await writeStream(source.body, response, count, maxStallMs);
    } else {
      const text = await source.text();
      const bytes = Buffer.byteLength(text);
      // With its length, a body leaves together with its headers, and is not framed in chunks.
      response.setHeader('content-length', bytes);
      response.writeHead(source.status);
      using _counted = count(bytes, () => response.destroy());
      await writePieces(text, bytes === text.length, response, maxStallMs);
    }
    response.end();
  } catch (error) {
    response.destroy();
    if (!(error instanceof ReaderGoneError)) throw error;
  }
}

/** nginx and others collect a response before they forward it, and compressing proxies do as well. */
function keepProxiesFromBuffering(response: ServerResponse): void {
  response.setHeader('x-accel-buffering', 'no');
  response.setHeader('cache-control', 'no-store, no-transform');
  // Yoga sends `none`, which is no content coding.
  response.removeHeader('content-encoding');
}

async function writeStream(
  body: ReadableStream<Uint8Array>,
  response: ServerResponse,
  count: CountBytes,
  maxStallMs: number,
): Promise<void> {
  const reader = body.getReader();
  const onClose = () => void reader.cancel().catch(() => {});
  response.once('close', onClose);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (response.writableCorked === 0) {
        // The pieces of one tick leave in one system call.
        response.cork();
        setImmediate(() => response.uncork());
      }
      using _counted = count(value.length, () => response.destroy());
      await write(value, response, maxStallMs);
    }
  } finally {
    // Node drops what is still corked when the response ends.
    while (response.writableCorked > 0) response.uncork();
    response.off('close', onClose);
    onClose();
  }
}

/** @param isAscii then its characters are its bytes, and need not be encoded */
async function writePieces(
  body: string,
  isAscii: boolean,
  response: ServerResponse,
  maxStallMs: number,
): Promise<void> {
  for (let at = 0; at < body.length; ) {
    const end = endOfPiece(body, at + pieceLength);
    await write(body.slice(at, end), response, maxStallMs, isAscii ? 'latin1' : 'utf8');
    at = end;
  }
}

/** The position, or the next one if a character would be cut in two. */
function endOfPiece(body: string, position: number): number {
  const isCut = /[\uD800-\uDBFF]/.test(body.charAt(position - 1));
  return isCut ? position + 1 : position;
}

async function write(
  chunk: Uint8Array | string,
  response: ServerResponse,
  maxStallMs: number,
  encoding: 'latin1' | 'utf8' = 'utf8',
): Promise<void> {
  if (response.destroyed) throw new ReaderGoneError();
  if (response.write(chunk, encoding)) return;
  await new Promise<void>((resolve, reject) => {
    const settle = (report: () => void) => {
      clearTimeout(timer);
      response.off('drain', onDrain).off('close', onGone);
      report();
    };
    const onDrain = () => settle(resolve);
    const onGone = () => settle(() => reject(new ReaderGoneError()));
    const timer = setTimeout(onGone, maxStallMs);
    response.on('drain', onDrain).on('close', onGone);
  });
}
