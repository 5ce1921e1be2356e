import { badSpeechAnswer } from './failures.ts';

/** How far into a file its samples are looked for: what stands before them is mostly 36 bytes, or a few thousand. */
const maxHeadBytes = 64 * 1024;
/** Sizes from here on, and 0, are what is written while the length of a file is not known. */
const unknownFrom = 0x7fff0000;

/**
 * Passes on a WAV as it comes, and fails at its end where its own header says that there is more, or where it holds no
 * sound. One whose header was written before its length was known is as long as it is.
 * @throws {ProviderError} (at the end) BAD_ANSWER
 */
export async function* passWholeWav(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let head = Buffer.alloc(0);
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (head.length < maxHeadBytes) head = Buffer.concat([head, chunk]).subarray(0, maxHeadBytes);
    yield chunk;
  }
  const samples = findSamples(head);
  if (samples === null && head.length === maxHeadBytes) return;
  if (samples === null || length <= samples.at) throw badSpeechAnswer('speech', 'sent a WAV file that holds no sound.');
  if (samples.size !== null && length < samples.at + samples.size) {
    throw badSpeechAnswer('speech', 'broke off its answer: it sent less sound than the head of its WAV file says.');
  }
}

/** Where the samples begin, and how many bytes they have; null: that is not known. */
function findSamples(head: Buffer): { readonly at: number; readonly size: number | null } | null {
  // The chunks of a RIFF file begin after 12 bytes, at even places.
  for (let at = 12; at + 8 <= head.length; ) {
    const size = head.readUInt32LE(at + 4);
    const isUnknown = size === 0 || size >= unknownFrom;
    if (head.toString('latin1', at, at + 4) === 'data') return { at: at + 8, size: isUnknown ? null : size };
    at += 8 + size + (size % 2);
  }
  return null;
}
