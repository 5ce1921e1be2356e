import { QueryTooComplexError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { AnswerBytes, HeldBytes } from './answer-bytes.ts';

/** What a row of an answer takes beside its contents: ids, dates, names of fields. In bytes. */
export const rowBytes = 512;

/** An operation may read so many bytes without waiting for others. */
export const freeBytes = 256 * 1024;

/** What reading rows of any size takes. */
export interface SizedReads {
  readonly db: Db;
  /** What the answer may still hold. */
  readonly answer: AnswerBudget;
}

/**
 * The bytes that one operation, or one event of a subscription, may read and return. Whoever reads contents asks for their
 * size first and takes it from here. An operation that needs more than a little reserves all that it may take, once: it
 * never waits with a part of it in its hands.
 */
export class AnswerBudget implements Disposable {
  readonly #answers: AnswerBytes;
  readonly #owner: Viewer;
  /** Made when somebody waits for it, which is nearly never. */
  #waits: AbortController | null = null;
  #ended = false;
  #smallReads: Promise<unknown> = Promise.resolve();
  #taken = 0;
  #written = 0;
  #reservation: Promise<HeldBytes> | null = null;

  constructor(answers: AnswerBytes, owner: Viewer) {
    this.#answers = answers;
    this.#owner = owner;
  }

  /** How many bytes may still be read. */
  get remaining(): number {
    return Math.max(0, this.#max - this.#taken);
  }

  /** How many bytes of texts the answer has so far. */
  get written(): number {
    return this.#written;
  }

  /** Whether nothing was read yet: then the first object may have any size, so that each can be read on its own. */
  get isUntouched(): boolean {
    return this.#taken === 0;
  }

  /**
   * Takes bytes before they are read, and waits until the process has room for them.
   * @throws {QueryTooComplexError} if they are more than remain, and not the first
   * @throws {RateLimitedError} if there is no room
   */
  async take(bytes: number): Promise<void> {
    if (!this.isUntouched && bytes > this.remaining) throw this.tooLarge();
    this.#taken += bytes;
    if (this.#taken <= freeBytes || this.#ended) return;
    this.#waits ??= new AbortController();
    if (this.#reservation === null) this.#reservation = this.#reserve(this.#waits.signal);
    // It goes on: nobody waits with a reservation in its hands.
    else await this.#answers.pace.count(this.#owner, bytes);
    await this.#reservation;
  }

  async #reserve(signal: AbortSignal): Promise<HeldBytes> {
    await this.#answers.pace.take(this.#owner, this.#taken, signal);
    return this.#answers.reserve(this.#owner, Math.max(this.#max, this.#taken), signal);
  }

  /** Gives back bytes that were taken for what is not returned. */
  giveBack(bytes: number): void {
    this.#taken -= bytes;
  }

  /**
   * Counts bytes of the answer itself. A document can repeat what was read once.
   * @throws {QueryTooComplexError} if the answer becomes too large
   */
  count(bytes: number): void {
    this.#written += bytes;
    if (this.#written > this.#maxWritten) throw this.tooLarge();
  }

  /**
   * Counts bytes of the answer itself that are no more than these.
   * @returns false if the answer might become too large: then nothing was counted
   */
  tryCount(atMost: number): boolean {
    if (this.#written + atMost > this.#maxWritten) return false;
    this.#written += atMost;
    return true;
  }

  /** What is read is counted exactly; the rest of the answer, such as agents and titles, comes on top. */
  get #maxWritten(): number {
    return Math.max(this.#max, this.#taken) * 1.25;
  }

  /** Gives back what was reserved beyond the answer as it is now: nothing more is read for it. */
  shrink(): void {
    const reservation = this.#reservation;
    if (reservation === null || this.#ended) return;
    this.#reservation = reservation.then((held) => {
      const smaller = this.#answers.add(this.#owner, Math.min(this.#written, held.bytes));
      held[Symbol.dispose]();
      return smaller;
    });
    // Whoever waited for it has got the error.
    this.#reservation.catch(() => {});
  }

  /** Runs a read that takes little. Lists that take what is left wait for it: {@link afterSmallReads}. */
  readSmall<T>(read: () => Promise<T>): Promise<T> {
    const reading = read();
    this.#smallReads = Promise.allSettled([this.#smallReads, reading]);
    return reading;
  }

  /** Resolves when the small reads that have begun have taken their bytes. */
  afterSmallReads(): Promise<unknown> {
    return this.#smallReads;
  }

  /**
   * The wait until the viewer has read enough of its answers for another one; null: there is room.
   * @param signal ends the wait
   */
  waitForRoom(signal: AbortSignal): Promise<void> | null {
    return this.#answers.isFull(this.#owner) ? this.#answers.waitForRoom(this.#owner, signal) : null;
  }

  /**
   * The wait until the viewer may read an event of so many bytes, if it has read much in a short time; null: now.
   * @param signal ends the wait
   */
  waitForPace(bytes: number, signal: AbortSignal): Promise<void> | null {
    return bytes > freeBytes ? this.#answers.pace.wait(this.#owner, bytes, signal) : null;
  }

  /** The error for contents that do not fit. */
  tooLarge(): QueryTooComplexError {
    const max = this.#max.toLocaleString('en-US');
    return new QueryTooComplexError(
      `The answer would have more than ${max} bytes. Ask for smaller pages, or for fewer objects in one operation.`,
    );
  }

  /** Gives back what was reserved: the answer was taken by its client, or there is none. */
  [Symbol.dispose](): void {
    this.#ended = true;
    this.#waits?.abort();
    this.#reservation?.then(
      (held) => held[Symbol.dispose](),
      () => {},
    );
    this.#reservation = null;
  }

  get #max(): number {
    return this.#answers.bounds.operation;
  }
}
