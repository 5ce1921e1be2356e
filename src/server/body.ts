import type { IncomingMessage } from 'node:http';
import { BadUserInputError } from '../errors.ts';

/** There was more than is read. */
export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}

/**
 * Reads the body of a request, counting as it comes.
 * @throws {BodyTooLargeError} when it has more than `most` bytes; the rest is left to the connection
 * @throws {BadUserInputError} when it breaks off
 */
export function readBody(incoming: IncomingMessage, most: number): Promise<Buffer<ArrayBuffer>> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer<ArrayBuffer>>();
  const chunks: Buffer[] = [];
  let length = 0;
  const onData = (chunk: Buffer) => {
    length += chunk.length;
    if (length <= most) chunks.push(chunk);
    else settle(() => reject(new BodyTooLargeError(`The body has more than ${most} bytes.`)));
  };
  const onEnd = () => settle(() => resolve(Buffer.concat(chunks)));
  const onLost = () => settle(() => reject(new BadUserInputError('The body of the request broke off.', ['body'])));
  const settle = (answer: () => void) => {
    incoming.off('data', onData).off('end', onEnd).off('close', onLost).off('error', onLost);
    // What is still to come is thrown away, so that the one who sends it gets to the answer.
    incoming.on('error', () => {}).resume();
    answer();
    // The request outlives this, and its listeners would keep them.
    chunks.length = 0;
  };
  incoming.on('data', onData).on('end', onEnd).on('close', onLost).on('error', onLost);
  return promise;
}
