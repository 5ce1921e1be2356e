import { FairTurns } from '../../event-loop/fair-turns.ts';

/** Bytes of one answer that are read in one turn of the event loop, about 100 events. */
export const bytesPerPiece = 16 * 1024;
/**
 * What a piece takes beside its bytes. What is read together becomes one event, and to write, store and send an event costs
 * as much as to parse so many bytes.
 */
export const unitsPerPiece = 2 * 1024;
/** So much is read of all answers in one turn of the event loop: 75 pieces of one token each, or 9 of 100 tokens. */
const unitsPerTurn = 160 * 1024;

/**
 * Lets the answers of all providers together be read a little in each turn of the event loop, one after the other. A
 * provider that sends without end, or hundreds of them, would otherwise fill each turn with thousands of events; and
 * whatever else the process does takes many turns.
 */
export class ReadTurns {
  readonly #turns: FairTurns;

  constructor(maxUnits = unitsPerTurn) {
    this.#turns = new FairTurns(maxUnits);
  }

  /**
   * Waits until so many bytes may be read; null: now. All providers are one group, served in the order of their coming.
   * @param countBytes asked when the turn has come: more may have arrived by then
   */
  wait(countBytes: () => number): Promise<void> | null {
    return this.#turns.wait('providers', 'all', () => unitsPerPiece + countBytes());
  }
}
