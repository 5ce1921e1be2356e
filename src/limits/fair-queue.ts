import { RateLimitedError } from '../api/errors.ts';
import { refusals } from '../telemetry/metrics.ts';

interface Line {
  running: number;
  readonly waiting: (() => void)[];
}

/** What a caller who finds the line full is told to wait, in milliseconds. */
const retryAfterMs = 1_000;

/**
 * Runs work with at most so many pieces of one key (a conversation, a tenant) at a time in this process; the others wait in
 * the order in which they came. A key whose line is full is refused, so that nobody waits for minutes and nothing grows
 * without bound. Other keys are not affected.
 */
export class FairQueue {
  readonly #what: string;
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  readonly #lines = new Map<string, Line>();

  /** @param what for the message: "turns of this conversation" */
  constructor(what: string, limits: { readonly running: number; readonly waiting: number }) {
    this.#what = what;
    this.#maxRunning = limits.running;
    this.#maxWaiting = limits.waiting;
  }

  /** How many keys have work that runs or waits. */
  get size(): number {
    return this.#lines.size;
  }

  /**
   * Runs work when it is its turn.
   * @returns what the work returns
   * @throws {RateLimitedError} if as many wait for the key as may; else what the work throws
   */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(key) ?? { running: 0, waiting: [] };
    this.#lines.set(key, line);
    if (line.running < this.#maxRunning) line.running += 1;
    else if (line.waiting.length < this.#maxWaiting) await new Promise<void>((resolve) => line.waiting.push(resolve));
    else {
      refusals.inc({ limit: this.#what.replaceAll(' ', '-'), scope: 'waiting' });
      const limit = `at most ${this.#maxWaiting} can wait`;
      throw new RateLimitedError(`Too many ${this.#what} are being started at the same time: ${limit}.`, retryAfterMs);
    }
    try {
      return await work();
    } finally {
      const next = line.waiting.shift();
      // The place is handed over: nobody else can take it in between.
      if (next) next();
      else if (line.running > 1) line.running -= 1;
      else this.#lines.delete(key);
    }
  }
}
