import type { Logger } from 'pino';

/** How often a job is done, and how long one round may take. */
interface JobOptions {
  readonly everyMs: number;
  /** Null: as long as it takes. */
  readonly timeoutMs: number | null;
  /** Called when a round was given up: ends what it waits for. */
  readonly onHang?: () => void;
}

/**
 * Repeats work at intervals. A round that is late is skipped, never doubled; one that fails is logged. A round that takes
 * too long is given up, and what it waits for is ended: a job that hangs would otherwise never be done again.
 */
export class BackgroundJobs {
  readonly #logger: Logger;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #rounds = new Set<Promise<void>>();
  /** When the last good round of each job ended, in milliseconds of performance.now. */
  readonly #lastGood = new Map<string, number>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** How long ago the last good round of a job was, in milliseconds. */
  sinceGoodMs(name: string): number {
    return performance.now() - (this.#lastGood.get(name) ?? performance.now());
  }

  /** Begins to repeat a job. */
  repeat(name: string, { everyMs, ...limits }: JobOptions, work: () => Promise<void>): void {
    let running = false;
    this.#lastGood.set(name, performance.now());
    const timer = setInterval(() => {
      if (running) return;
      running = true;
      const round = limitTime(work(), limits)
        .then(() => void this.#lastGood.set(name, performance.now()))
        .catch((error: unknown) => this.#logger.error({ err: error, job: name }, 'background job failed'))
        .finally(() => {
          running = false;
          this.#rounds.delete(round);
        });
      this.#rounds.add(round);
    }, everyMs);
    timer.unref();
    this.#timers.push(timer);
  }

  /** Begins no more rounds. @returns when those that have begun are over */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#rounds);
  }
}

/**
 * Waits for work, for a limited time.
 * @throws what the work throws, or that it took too long: it goes on by itself then
 */
export async function limitTime(
  round: Promise<void>,
  { timeoutMs, onHang }: Omit<JobOptions, 'everyMs'>,
): Promise<void> {
  if (timeoutMs === null) return round;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      onHang?.();
      reject(new Error(`A round took longer than ${timeoutMs} ms.`));
    }, timeoutMs);
  });
  // If it ends after its time, nobody listens any more.
  round.catch(() => {});
  return Promise.race([round, timeout]).finally(() => clearTimeout(timer));
}
