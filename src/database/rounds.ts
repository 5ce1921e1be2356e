import type { Logger } from 'pino';
import { withoutCounting } from './statements.ts';

/** What is repeated. */
interface RoundsOptions {
  readonly everyMs: number;
  /** One round, such as `() => deleteExpiredExports(db)`. */
  readonly work: () => Promise<unknown>;
  /** What the log says if a round fails, such as `failed to delete expired exports`. */
  readonly problem: string;
  readonly logger: Pick<Logger, 'error'>;
}

/**
 * Repeats work on the database at intervals, one round at a time: one that is late is left out, one that fails is logged. The
 * statements count for no operation.
 */
export class Rounds implements AsyncDisposable {
  readonly #options: RoundsOptions;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | null = null;

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  /** Begins. The first round comes after the interval. */
  start(): void {
    this.#timer ??= setInterval(() => {
      this.#round ??= this.#work();
    }, this.#options.everyMs).unref();
  }

  /** Begins no more rounds. Resolves when the last one is over, and uses the database no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
  }

  async #work(): Promise<void> {
    try {
      await withoutCounting(null, this.#options.work);
    } catch (error) {
      this.#options.logger.error({ err: error }, this.#options.problem);
    } finally {
      this.#round = null;
    }
  }
}
