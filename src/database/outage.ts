import { setTimeout as sleep } from 'node:timers/promises';
import { isUnavailable } from './errors.ts';

const firstDelayMs = 100;
const maxDelayMs = 2_000;

/** How long work on a database that is away is tried again. */
export interface RetryOptions {
  /** From its first failure on, in milliseconds. */
  readonly maxMs: number;
  /** Stops waiting. */
  readonly signal?: AbortSignal;
  /** Called with each failure that is followed by another attempt. */
  readonly onFailure?: (error: unknown, attempt: number) => void;
}

/**
 * Does work on the database, and does it again while the database is away: it may have happened although its answer was
 * lost, so the work must change nothing a second time.
 * @throws what the work threw, if the database is not away or is away for too long; the signal's reason when it is aborted
 */
export async function retryWhileAway<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { maxMs, signal, onFailure } = options;
  let failedAt: number | null = null;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      failedAt ??= performance.now();
      if (!isUnavailable(error) || performance.now() - failedAt >= maxMs) throw error;
      signal?.throwIfAborted();
      onFailure?.(error, attempt);
      const delay = Math.min(firstDelayMs * 2 ** Math.min(attempt - 1, 10), maxDelayMs);
      // Processes that lost the same database do not all come back in the same moment.
      await sleep(delay * (0.5 + Math.random()), undefined, signal ? { signal } : {}).catch(() => {});
      signal?.throwIfAborted();
    }
  }
}
