import { retryWhileAway } from '../../database/outage.ts';
import type { LeaseLost } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';

/**
 * The writes of one run. Each is tried again while the database is away: what has happened is not lost while this process
 * lives. Those that the turn does not wait for begin one after another.
 */
export class WriteQueue {
  readonly #runtime: Pick<RunRuntime, 'logger' | 'outageMs'>;
  readonly #runId: string;
  readonly #lost = new AbortController();
  /** Each write that the turn does not wait for begins when the one before has ended. */
  #pending: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | null = null;

  constructor(runtime: Pick<RunRuntime, 'logger' | 'outageMs'>, runId: string) {
    this.#runtime = runtime;
    this.#runId = runId;
  }

  /** Ends all attempts to write: the run belongs to another process. */
  abandon(reason: LeaseLost): void {
    this.#lost.abort(reason);
  }

  /** @throws when a write has failed that the turn did not wait for */
  assertWritten(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /** Writes now. @throws what the write throws, when the database is not away or is away for too long */
  write<Result>(write: () => Promise<Result>): Promise<Result> {
    const { logger, outageMs } = this.#runtime;
    return retryWhileAway(write, {
      maxMs: outageMs,
      signal: this.#lost.signal,
      onFailure: (error, attempt) =>
        logger.warn({ err: error, runId: this.#runId, attempt }, 'a write of a run is tried again'),
    });
  }

  /** Writes after what was queued before; the turn does not wait for it. */
  writeBehind(write: () => Promise<unknown>): void {
    this.#pending = this.#pending
      .then(() => this.write(write))
      .catch((error: unknown) => {
        this.#failure ??= { error };
      });
  }

  /** Lets what is written later wait for the work of somebody else. @param work must not reject */
  waitFor(work: Promise<unknown>): void {
    this.#pending = Promise.all([this.#pending, work]);
  }

  /** Resolves when nothing is queued any more: all of it was written, or has failed. */
  async settle(): Promise<void> {
    let settled: Promise<unknown> | null = null;
    // More can be queued in the meantime.
    while (settled !== this.#pending) {
      settled = this.#pending;
      await settled;
    }
  }

  /** Waits for the writes that the turn did not wait for. @throws when one of them has failed */
  async flush(): Promise<void> {
    await this.settle();
    this.assertWritten();
  }
}
