import { setImmediate as nextTurn } from 'node:timers/promises';
import { SwitchboardError } from '../api/errors.ts';
import type { FeedPage, FeedRequest } from './feed-page.ts';

/** How many requests one statement reads. */
const maxRequests = 50;

interface Load<Owner, Event> {
  readonly request: FeedRequest<Owner>;
  readonly settle: PromiseWithResolvers<readonly Event[]>;
  readonly onBegin: () => void;
}

/**
 * Reads what the readers of many feeds wait for, with one statement at a time: what is asked for in one turn of the event
 * loop, or while another statement is under way, is read together. So a process that many are active in reads with few
 * statements, and one that is idle reads without waiting.
 */
export class FeedLoads<Owner, Event> {
  readonly #read: (requests: readonly FeedRequest<Owner>[]) => Promise<readonly FeedPage<Event>[]>;
  readonly #onFailure: (error: unknown) => void;
  readonly #waiting: Load<Owner, Event>[] = [];
  #isReading = false;

  /** @param onFailure told of what has failed: the requests that it was for get no events */
  constructor(
    read: (requests: readonly FeedRequest<Owner>[]) => Promise<readonly FeedPage<Event>[]>,
    onFailure: (error: unknown) => void,
  ) {
    this.#read = read;
    this.#onFailure = onFailure;
  }

  /**
   * Reads what is after a seq.
   * @param start runs the work that reads, if none does
   * @param onBegin called when its statement begins: what is committed after that, it may not see
   * @throws {SwitchboardError} if it is the page
   */
  load(
    request: FeedRequest<Owner>,
    start: (work: () => Promise<void>) => void,
    onBegin: () => void = () => {},
  ): Promise<readonly Event[]> {
    const settle = Promise.withResolvers<readonly Event[]>();
    this.#waiting.push({ request, settle, onBegin });
    if (!this.#isReading) {
      this.#isReading = true;
      start(() => this.#readAll());
    }
    return settle.promise;
  }

  async #readAll(): Promise<void> {
    try {
      await nextTurn();
      while (this.#waiting.length > 0) await this.#readSome(this.#waiting.splice(0, maxRequests));
    } finally {
      this.#isReading = false;
    }
  }

  async #readSome(loads: readonly Load<Owner, Event>[]): Promise<void> {
    let pages: readonly FeedPage<Event>[] = [];
    for (const { onBegin } of loads) onBegin();
    try {
      pages = await this.#read(loads.map(({ request }) => request));
    } catch (error) {
      // The database is away for a moment: the next check wakes the readers again.
      this.#onFailure(error);
    }
    for (const [index, { settle }] of loads.entries()) {
      const page = pages[index] ?? [];
      if (!(page instanceof Error)) settle.resolve(page);
      else if (page instanceof SwitchboardError) settle.reject(page);
      else {
        this.#onFailure(page);
        settle.resolve([]);
      }
    }
  }
}
