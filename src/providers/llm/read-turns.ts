/** So many bytes of answers are read in one turn of the event loop, about 100 events. */
export const bytesPerTurn = 16 * 1024;

/**
 * Lets the answers of all providers together be read a little in each turn of the event loop, one after the other. A
 * provider that sends without end, or hundreds of them, would otherwise fill each turn with thousands of events; and
 * whatever else the process does takes many turns.
 */
export class ReadTurns {
  readonly #maxBytes: number;
  readonly #waiting: { readonly bytes: number; readonly begin: () => void }[] = [];
  #used = 0;
  #isScheduled = false;

  constructor(maxBytes = bytesPerTurn) {
    this.#maxBytes = maxBytes;
  }

  /** Waits until so many bytes may be read; null: now. */
  wait(bytes: number): Promise<void> | null {
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#use(bytes);
      return null;
    }
    return new Promise((begin) => {
      this.#waiting.push({ bytes, begin });
      this.#schedule();
    });
  }

  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#maxBytes;
  }

  #use(bytes: number): void {
    this.#used += bytes;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#used = 0;
      for (let next = this.#waiting[0]; next && this.#fits(next.bytes); next = this.#waiting[0]) {
        this.#waiting.shift();
        this.#use(next.bytes);
        next.begin();
      }
    });
  }
}

/** Cuts a chunk into pieces that fit into one turn. */
export function cutChunk(chunk: Uint8Array): Uint8Array[] {
  if (chunk.length <= bytesPerTurn) return [chunk];
  const count = Math.ceil(chunk.length / bytesPerTurn);
  return Array.from({ length: count }, (_, index) => chunk.subarray(index * bytesPerTurn, (index + 1) * bytesPerTurn));
}
