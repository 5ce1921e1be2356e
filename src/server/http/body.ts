import type { IncomingMessage } from 'node:http';
import { BadUserInputError } from '../../api/errors.ts';

/** What bounds a body. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** How long it may take altogether, in milliseconds. */
  readonly totalMs: number;
  /** The least that must come in each stretch of time, or the body must end in it. Unset: only the whole is bounded. */
  readonly pace?: { readonly bytes: number; readonly everyMs: number };
}

/** There was more than is read. */
export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}

/** It came too slowly, or took too long. */
export class BodyTooSlowError extends Error {
  override readonly name = 'BodyTooSlowError';
}

/**
 * Reads the body of a request, counting as it comes.
 * @throws {BodyTooLargeError} when it has too many bytes; the rest is left to the connection
 * @throws {BodyTooSlowError} when it takes too long, or drips
 * @throws {BadUserInputError} when it breaks off
 */
export function readBody(
  incoming: IncomingMessage,
  { maxBytes, totalMs, pace }: BodyLimits,
): Promise<Buffer<ArrayBuffer>> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer<ArrayBuffer>>();
  const chunks: Buffer[] = [];
  let length = 0;
  let counted = 0;
  const onData = (chunk: Buffer) => {
    length += chunk.length;
    if (length <= maxBytes) chunks.push(chunk);
    else settle(() => reject(new BodyTooLargeError(`The body has more than ${maxBytes} bytes.`)));
  };
  const onEnd = () => settle(() => resolve(Buffer.concat(chunks)));
  const onLost = () => settle(() => reject(new BadUserInputError('The body of the request broke off.', ['body'])));
  const onSlow = () => settle(() => reject(new BodyTooSlowError('The body came too slowly.')));
  const total = setTimeout(onSlow, totalMs);
  const paced = pace
    ? setInterval(() => {
        if (length - counted < pace.bytes) onSlow();
        counted = length;
      }, pace.everyMs)
    : undefined;
  const settle = (answer: () => void) => {
    clearTimeout(total);
    clearInterval(paced);
    incoming.off('data', onData).off('end', onEnd).off('close', onLost).off('error', onLost);
    // What is still to come is thrown away, so that the one who sends it gets to the answer.
    incoming.on('error', () => {}).resume();
    answer();
    // The request outlives this, and its listeners would keep them.
    chunks.length = 0;
  };
  incoming.on('data', onData).on('end', onEnd).on('close', onLost).on('error', onLost);
  // It broke off before anybody listened.
  if (incoming.destroyed) onLost();
  return promise;
}
