import { badSpeechAnswer } from './failures.ts';
import { listRiffChunks } from './wav.ts';

/** How much of the beginning of a file is searched for its samples. */
const maxHeadBytes = 64 * 1024;
/** Sizes from here on, and 0, are written if the length of a file is not known. */
const unknownFrom = 0x7fff0000;
/** How much shows whether another file begins: `RIFF`, a size, `WAVE`. */
const signatureBytes = 12;

/**
 * Joins WAV files that follow each other in one body into one file: some servers send one for each sentence, and players
 * stop after the first. Files of another format, or after one of an unknown length, are left as they are.
 */
export class WavJoiner {
  #held: Buffer = Buffer.alloc(0);
  #state: 'head' | 'samples' | 'between' | 'rest' = 'head';
  /** Bytes of samples that the file being read still has. */
  #left = 0;
  /** The first file: its beginning up to its samples, and its format. */
  #first: { readonly head: Buffer; readonly format: Buffer } | null = null;
  #sampleBytes = 0;
  #files = 0;

  /**
   * The files as one, as they arrive. Its beginning has the sizes of the first file: see `head`.
   * @throws {ProviderError} BAD_ANSWER if a later file is cut, at the end
   */
  async *join(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) yield* this.#push(chunk);
    // What is held is no file, or not all of its beginning.
    if (this.#held.length > 0) yield this.#held;
    if (this.#files > 1 && this.#left > 0) {
      throw badSpeechAnswer('speech', 'closed the connection mid-response: the last of several WAV files is cut.');
    }
  }

  /** After the end: the beginning of the joined file, with its sizes; null: there was only one file. */
  get head(): Uint8Array | null {
    if (this.#files < 2 || this.#first === null) return null;
    const head = Buffer.from(this.#first.head);
    head.writeUInt32LE(head.length - 8 + this.#sampleBytes, 4);
    head.writeUInt32LE(this.#sampleBytes, head.length - 4);
    return head;
  }

  *#push(chunk: Uint8Array): Generator<Uint8Array> {
    let bytes = this.#held.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#held, chunk]);
    this.#held = Buffer.alloc(0);
    while (bytes.length > 0) {
      if (this.#state === 'rest') {
        yield bytes;
        return;
      }
      if (this.#state === 'samples') {
        const samples = bytes.subarray(0, this.#left);
        this.#left -= samples.length;
        if (this.#left === 0) this.#state = 'between';
        if (samples.length > 0) yield samples;
        bytes = bytes.subarray(samples.length);
        continue;
      }
      const head = this.#readHead(bytes);
      if (head === 'incomplete') {
        this.#held = bytes;
        return;
      }
      if (head === null) {
        this.#state = 'rest';
        continue;
      }
      if (this.#files === 1) yield bytes.subarray(0, head);
      bytes = bytes.subarray(head);
    }
  }

  /** Begins a file. @returns how long its beginning is; null: it is none that can be joined */
  #readHead(bytes: Buffer): number | 'incomplete' | null {
    if (bytes.length < signatureBytes) return 'RIFF'.startsWith(bytes.toString('latin1', 0, 4)) ? 'incomplete' : null;
    if (bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.toString('latin1', 8, 12) !== 'WAVE') return null;
    const chunks = [...listRiffChunks(bytes.subarray(0, maxHeadBytes))];
    const samples = chunks.find(({ id }) => id === 'data');
    if (samples === undefined) return bytes.length < maxHeadBytes ? 'incomplete' : null;
    const format = chunks.find(({ id }) => id === 'fmt ')?.data;
    const { start, declaredSize } = samples;
    const isKnown = declaredSize !== 0 && declaredSize < unknownFrom && declaredSize % 2 === 0;
    if (format === undefined || !isKnown) return null;
    if (this.#first !== null && !format.equals(this.#first.format)) return null;
    this.#first ??= { head: Buffer.from(bytes.subarray(0, start)), format: Buffer.from(format) };
    this.#files += 1;
    this.#left = declaredSize;
    this.#sampleBytes += declaredSize;
    this.#state = 'samples';
    return start;
  }
}
