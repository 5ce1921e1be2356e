import { badSpeechAnswer } from './failures.ts';
import { listRiffChunks } from './wav.ts';

/** How much of the beginning is searched for the samples: they mostly begin after 44 bytes, or after a few thousand. */
const maxHeadBytes = 64 * 1024;
/** Sizes from here on, and 0, are written if the length of a file is not known. */
const unknownFrom = 0x7fff0000;

/**
 * Passes a WAV on as it is received, and fails at its end if it is shorter than its own header says, or holds no sound.
 * A file whose header was written before its length was known has any length.
 * @throws {ProviderError} BAD_ANSWER, at the end
 */
export async function* verifyWavLength(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let head = Buffer.alloc(0);
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (head.length < maxHeadBytes) head = Buffer.concat([head, chunk]).subarray(0, maxHeadBytes);
    yield chunk;
  }
  const samples = listRiffChunks(head).find(({ id }) => id === 'data');
  if (samples === undefined && head.length === maxHeadBytes) return;
  if (samples === undefined || length <= samples.start)
    throw badSpeechAnswer('speech', 'sent a WAV file that holds no sound.');
  const { start, declaredSize } = samples;
  const isKnown = declaredSize !== 0 && declaredSize < unknownFrom;
  if (isKnown && length < start + declaredSize) {
    throw badSpeechAnswer(
      'speech',
      'closed the connection mid-response: the WAV file is shorter than its header says.',
    );
  }
}
