import type { Logger } from 'pino';
import { UnavailableError } from '../api/errors.ts';
import type { OpenDatabase } from './client.ts';

const everyMs = 500;
/** A database that has not answered the simplest statement for so long, in milliseconds, is away. */
const defaultSilenceMs = 3_000;
/** What has already arrived is read within this time, in milliseconds, after the process was held up. */
const graceMs = 100;

/**
 * Asks the database twice a second, over a connection of its own, whether it is there. If it is silent, all connections are
 * destroyed: a network or a failover that drops packets reports nothing, and whatever waits for an answer would wait for
 * half a minute.
 */
export class DatabaseAvailability {
  readonly #watched: readonly OpenDatabase[];
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  readonly #silenceMs: number;
  #isAsking = false;
  #isAway = false;

  /**
   * @param asked over which it asks
   * @param others whose connections are destroyed with those of `asked` if the database is silent
   * @param silenceMs after how many milliseconds without an answer it is silent
   */
  constructor(
    asked: OpenDatabase,
    others: readonly OpenDatabase[],
    logger: Logger,
    silenceMs: number = defaultSilenceMs,
  ) {
    this.#silenceMs = silenceMs;
    this.#watched = [asked, ...others];
    this.#logger = logger;
    this.#timer = setInterval(() => void this.#ask(asked), everyMs);
    this.#timer.unref();
  }

  /** @throws {UnavailableError} if the database does not answer: before anything is queued for it */
  assertAvailable(): void {
    if (this.#isAway) throw new UnavailableError('The database does not answer. Try again in a moment.');
  }

  /** Ends all connections: some of them have silently gone. */
  destroyConnections(): void {
    for (const database of this.#watched) database.destroyConnections();
  }

  async #ask({ db }: OpenDatabase): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      if (await isAnsweredInTime(db.$queryRaw`SELECT 1`, this.#silenceMs)) {
        if (this.#isAway) this.#logger.info('the database answers again');
        this.#isAway = false;
      } else {
        this.#report('the database is silent');
        this.destroyConnections();
      }
    } catch (error) {
      this.#report('the database cannot be reached', error);
    } finally {
      this.#isAsking = false;
    }
  }

  #report(message: string, error?: unknown): void {
    if (!this.#isAway) this.#logger.error(error === undefined ? {} : { err: error }, message);
    this.#isAway = true;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** @throws what the statement throws in time */
async function isAnsweredInTime(statement: PromiseLike<unknown>, silenceMs: number): Promise<boolean> {
  const answer = Promise.resolve(statement).then(() => true);
  // Its failure after the time is no news.
  answer.catch(() => {});
  for (const ms of [silenceMs, graceMs]) {
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), ms);
    });
    const isAnswered = await Promise.race([answer, silence]).finally(() => clearTimeout(timer));
    if (isAnswered) return true;
  }
  return false;
}
