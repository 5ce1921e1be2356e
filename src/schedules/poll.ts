import type { RunRuntime } from '../runs/runtime.ts';
import { readClock } from './clock.ts';
import { startDue } from './start-due.ts';

/** How often each process looks for what is due, in milliseconds. */
const everyMs = 2_000;

/**
 * Looks for what is due from time to time, on every instance, by the clock of the database.
 * @returns stops it, and resolves when its last round is over
 */
export function pollSchedules(runtime: RunRuntime): AsyncDisposable {
  let round: Promise<void> | null = null;
  const look = async () => {
    try {
      const now = await readClock(runtime.db);
      if (!runtime.closing) await startDue(runtime, now);
    } catch (error) {
      runtime.logger.warn({ err: error }, 'schedules could not be looked at');
    } finally {
      round = null;
    }
  };
  const timer = setInterval(() => {
    round ??= look();
  }, everyMs);
  timer.unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await round;
    },
  };
}
