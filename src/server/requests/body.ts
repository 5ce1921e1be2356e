import type { IncomingMessage } from 'node:http';
import { BadUserInputError } from '../../api/errors.ts';

/** The limits of a request body. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** How long the whole body may take, in milliseconds. */
  readonly totalMs: number;
  /** The least number of bytes that must arrive in each interval. Unset: only the whole body is limited. */
  readonly pace?: { readonly bytes: number; readonly everyMs: number };
}

/** The body has more bytes than are accepted. */
export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}

/** The body arrived too slowly, or took too long. */
export class BodyTooSlowError extends Error {
  override readonly name = 'BodyTooSlowError';
}

/**
 * Reads the body of a request, counting its bytes as they arrive.
 * @throws {BodyTooLargeError} when it has too many bytes; the connection discards the rest
 * @throws {BodyTooSlowError} when it takes too long, or falls below the pace
 * @throws {BadUserInputError} when the connection ends before the body does
 */
export function readBody(
  incoming: IncomingMessage,
  { maxBytes, totalMs, pace }: BodyLimits,
): Promise<Buffer<ArrayBuffer>> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer<ArrayBuffer>>();
  const chunks: Buffer[] = [];
  let length = 0;
  let lengthAtLastCheck = 0;
  const onData = (chunk: Buffer) => {
    length += chunk.length;
    if (length <= maxBytes) chunks.push(chunk);
    else finish(() => reject(new BodyTooLargeError(`The body has more than ${maxBytes} bytes.`)));
  };
  const onEnd = () => finish(() => resolve(Buffer.concat(chunks)));
  const onLost = () => finish(() => reject(new BadUserInputError('The body of the request is incomplete.', ['body'])));
  const onSlow = () => finish(() => reject(new BodyTooSlowError('The body arrived too slowly.')));
  const total = setTimeout(onSlow, totalMs);
  const paced = pace
    ? setInterval(() => {
        if (length - lengthAtLastCheck < pace.bytes) onSlow();
        lengthAtLastCheck = length;
      }, pace.everyMs)
    : undefined;
  const finish = (report: () => void) => {
    clearTimeout(total);
    clearInterval(paced);
    incoming.off('data', onData).off('end', onEnd).off('close', onLost).off('error', onLost);
    // The rest is discarded, so that the client gets to read the response.
    incoming.on('error', () => {}).resume();
    report();
    // The request object lives longer than this call, and its listeners would keep the chunks alive.
    chunks.length = 0;
  };
  incoming.on('data', onData).on('end', onEnd).on('close', onLost).on('error', onLost);
  // The connection ended before these listeners were added.
  if (incoming.destroyed) onLost();
  return promise;
}
