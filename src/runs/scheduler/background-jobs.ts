import type { Logger } from 'pino';

/** Repeats work at intervals. A round that is late is skipped, never doubled; one that fails is logged. */
export class BackgroundJobs {
  readonly #logger: Logger;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #rounds = new Set<Promise<void>>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Begins to repeat a job. @param ms the interval in milliseconds */
  repeat(name: string, ms: number, work: () => Promise<void>): void {
    let running = false;
    const timer = setInterval(() => {
      if (running) return;
      running = true;
      const round = work()
        .catch((error: unknown) => this.#logger.error({ err: error, job: name }, 'background job failed'))
        .finally(() => {
          running = false;
          this.#rounds.delete(round);
        });
      this.#rounds.add(round);
    }, ms);
    timer.unref();
    this.#timers.push(timer);
  }

  /** Begins no more rounds. @returns when those that have begun are over */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#rounds);
  }
}
