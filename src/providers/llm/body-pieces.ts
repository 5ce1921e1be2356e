import { bytesPerPiece } from './read-turns.ts';

type Body = ReadableStreamDefaultReader<Uint8Array>;

/**
 * The body of an answer in pieces. It is read one chunk at a time, and ahead only while somebody has to wait for a turn:
 * what arrives meanwhile is then taken together.
 */
export class BodyPieces {
  readonly #body: Body;
  readonly #pieces: Uint8Array[] = [];
  #bytes = 0;
  /** The chunk that is being read ahead; null: none. */
  #ahead: Promise<void> | null = null;
  #isAhead = false;
  #isEnded = false;
  /** What the connection has thrown; null: nothing. */
  #failure: { readonly error: unknown } | null = null;

  constructor(body: Body) {
    this.#body = body;
  }

  /**
   * The next piece; undefined at the end of the body.
   * @throws what the connection has thrown
   */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#pieces.length === 0) {
      if (this.#failure) throw this.#failure.error;
      if (this.#isEnded) return undefined;
      await (this.#ahead ?? this.#read());
    }
    return this.#take();
  }

  /** How many bytes `takeReady` has at present, beside a piece of so many. */
  countReady(beside: number): number {
    let bytes = 0;
    for (const { length } of this.#pieces) {
      if (beside + bytes + length > bytesPerPiece) break;
      bytes += length;
    }
    return bytes;
  }

  /** What has arrived, as far as it makes one piece together with a piece of so many bytes. Ends the reading ahead. */
  takeReady(beside: number): Uint8Array[] {
    this.#isAhead = false;
    const taken: Uint8Array[] = [];
    for (let left = this.countReady(beside); left > 0; ) {
      const piece = this.#take();
      if (piece === undefined) break;
      left -= piece.length;
      taken.push(piece);
    }
    return taken;
  }

  /** Reads what arrives, up to the size of a piece, without being waited for, until `takeReady`. */
  readAhead(): void {
    this.#isAhead = true;
    // It does not throw: what the connection throws is kept for `next`.
    if (this.#ahead === null) void this.#readOn();
  }

  async #readOn(): Promise<void> {
    while (this.#isAhead && !this.#isEnded && !this.#failure && this.#bytes < bytesPerPiece) {
      this.#ahead = this.#read();
      await this.#ahead;
      this.#ahead = null;
    }
  }

  #take(): Uint8Array | undefined {
    const piece = this.#pieces.shift();
    this.#bytes -= piece?.length ?? 0;
    return piece;
  }

  async #read(): Promise<void> {
    try {
      const { value, done } = await this.#body.read();
      if (done) this.#isEnded = true;
      else for (const piece of cutChunk(value)) this.#add(piece);
    } catch (error) {
      this.#failure = { error };
    }
  }

  #add(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }
}

/** Cuts a chunk into pieces that fit into one turn. */
export function cutChunk(chunk: Uint8Array): Uint8Array[] {
  if (chunk.length <= bytesPerPiece) return [chunk];
  const count = Math.ceil(chunk.length / bytesPerPiece);
  return Array.from({ length: count }, (_, index) =>
    chunk.subarray(index * bytesPerPiece, (index + 1) * bytesPerPiece),
  );
}
