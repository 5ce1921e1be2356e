import { FairTurns } from '../../event-loop/fair-turns.ts';

/** So many bytes of answers are read in one turn of the event loop, about 100 events. */
export const bytesPerTurn = 16 * 1024;

/**
 * Lets the answers of all providers together be read a little in each turn of the event loop, one after the other. A
 * provider that sends without end, or hundreds of them, would otherwise fill each turn with thousands of events; and
 * whatever else the process does takes many turns.
 */
export class ReadTurns {
  readonly #turns: FairTurns;

  constructor(maxBytes = bytesPerTurn) {
    this.#turns = new FairTurns(maxBytes);
  }

  /** Waits until so many bytes may be read; null: now. All providers are one group, served in the order of their coming. */
  wait(bytes: number): Promise<void> | null {
    return this.#turns.wait('providers', 'all', bytes);
  }
}

/** Cuts a chunk into pieces that fit into one turn. */
export function cutChunk(chunk: Uint8Array): Uint8Array[] {
  if (chunk.length <= bytesPerTurn) return [chunk];
  const count = Math.ceil(chunk.length / bytesPerTurn);
  return Array.from({ length: count }, (_, index) => chunk.subarray(index * bytesPerTurn, (index + 1) * bytesPerTurn));
}
