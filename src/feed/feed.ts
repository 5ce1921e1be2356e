import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Database, Db } from '../database/client.ts';
import { withoutCounting } from '../database/statements.ts';
import { FeedLoads } from './feed-loads.ts';
import type { FeedPage, FeedRequest, NumberedEvent } from './feed-page.ts';
import { FeedReader, type Selection } from './feed-reader.ts';

/** Events that one statement reads of a feed. */
const batch = 50;
/** Notices are collected for so long, so that a burst is one statement. */
const announceAfterMs = 20;
/** The longest payload of a notice, in bytes; PostgreSQL allows 8,000. */
const maxPayloadBytes = 7_500;
/** How often the feeds with readers are checked, for notices that got lost. */
const pollEveryMs = 2_000;
/** How many feeds one check asks for. */
const pollBatch = 500;
const pruneEveryMs = 60_000;

const notice = z.object({
  from: z.string(),
  /** The feeds that have grown. Null: too many to name. */
  keys: z.array(z.string()).nullable(),
});

/** The rows of the feeds of one kind. */
export interface FeedSource<Owner, Event extends NumberedEvent> {
  /** The channel of PostgreSQL on which instances notify each other that feeds have grown. */
  readonly channel: string;
  /** Tells the feeds apart. */
  readonly keyOf: (owner: Owner) => string;
  /**
   * The next events of each request, in their order. One statement.
   * @param limit how many events of a feed it reads at most
   */
  readonly read: (
    requests: readonly FeedRequest<Owner>[],
    db: Db,
    limit: number,
  ) => Promise<readonly FeedPage<Event>[]>;
  /** The seqs of the last events of several feeds. One statement. */
  readonly readLastSeqs: (
    owners: readonly Owner[],
    db: Db,
  ) => Promise<readonly { readonly owner: Owner; readonly lastSeq: number }[]>;
  /** Deletes the events that are too old. */
  readonly deleteExpired: (db: Db) => Promise<unknown>;
}

/**
 * The feeds of one kind, as this process reads them. Triggers of the database write a feed in the transactions of the
 * changes; its rows are the truth. A process wakes the readers of a feed when it has changed something, notifies the other
 * instances, and asks the database every other second, so that a lost notice costs time and no event.
 */
export class Feed<Owner, Event extends NumberedEvent> implements AsyncDisposable {
  readonly #source: FeedSource<Owner, Event>;
  readonly #db: Database;
  readonly #logger: Logger;
  readonly #alone: boolean;
  readonly #instance = randomUUID();
  readonly #feeds = new Map<string, ReadFeed<Owner, Event>>();
  readonly #loads: FeedLoads<Owner, Event>;
  readonly #timers: NodeJS.Timeout[] = [];
  /** Feeds whose growth the other instances have not been notified of. */
  readonly #unannounced = new Set<string>();
  readonly #pending = new Set<Promise<unknown>>();
  #closed = false;

  /** @param options.alone whether no other process uses the database: then nobody has to be notified */
  constructor(
    source: FeedSource<Owner, Event>,
    options: { readonly db: Database; readonly logger: Logger; readonly alone: boolean },
  ) {
    this.#source = source;
    this.#db = options.db;
    this.#logger = options.logger;
    this.#alone = options.alone;
    this.#loads = new FeedLoads(
      (requests) => source.read(requests, this.#db, batch),
      (error) => this.#logger.warn({ err: error }, 'failed to read the feeds'),
    );
    this.#repeat('read the feeds', pollEveryMs, () => this.#poll());
    this.#repeat('delete expired events', pruneEveryMs, () => source.deleteExpired(this.#db));
  }

  /** How many readers there are. */
  get size(): number {
    return [...this.#feeds.values()].reduce((sum, { readers }) => sum + readers.size, 0);
  }

  /**
   * Reads a feed from a position on.
   * @param options.after a seq, exclusive; null: from now on
   * @param options.select which events to deliver; unset: all
   * @throws {EventsExpiredError} if events after it are not kept any more
   * @throws {BadUserInputError} if the feed has not got that far
   */
  async read(
    owner: Owner,
    options: { readonly after: number | null; readonly select?: (event: Event) => Selection },
  ): Promise<FeedReader<Event>> {
    const { select = () => 'deliver' } = options;
    const source = this.#source;
    const after = options.after ?? (await source.readLastSeqs([owner], this.#db))[0]?.lastSeq ?? 0;
    const [first = []] = options.after === null ? [] : await source.read([{ owner, after }], this.#db, batch);
    if (first instanceof Error) throw first;
    const key = source.keyOf(owner);
    const feed: ReadFeed<Owner, Event> = this.#feeds.get(key) ?? { owner, readers: new Set(), loads: new Map() };
    this.#feeds.set(key, feed);
    const onClose = () => {
      feed.readers.delete(reader);
      if (feed.readers.size === 0 && this.#feeds.get(key) === feed) this.#feeds.delete(key);
    };
    const load = (from: number) => this.#load(feed, from);
    const reader: FeedReader<Event> = new FeedReader({ after, select, first, load, onClose });
    feed.readers.add(reader);
    if (this.#closed) reader.close();
    return reader;
  }

  /** Notifies the readers of a feed, on every instance, that it has grown. Call it after the commit. */
  wake(owner: Owner): void {
    const key = this.#source.keyOf(owner);
    this.#wakeReaders(key);
    if (this.#alone || this.#closed) return;
    if (this.#unannounced.size === 0) {
      // The notice belongs to no operation: its statement is not counted for the one that happens to send it.
      setTimeout(() => this.#run('notify other instances', () => this.#announce()), announceAfterMs);
    }
    this.#unannounced.add(key);
  }

  /** Takes a notice of another instance. */
  hear(payload: string): void {
    const heard = notice.safeParse(parseJson(payload));
    if (!heard.success || heard.data.from === this.#instance) return;
    if (heard.data.keys === null) this.check();
    for (const key of heard.data.keys ?? []) this.#wakeReaders(key);
  }

  /** Asks the database which feeds have grown: notices may have been missed. */
  check(): void {
    this.#run('read the feeds', () => this.#poll());
  }

  /** Ends all readers and jobs. Resolves when nothing uses the database any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const { readers } of [...this.#feeds.values()]) for (const reader of [...readers]) reader.close();
    await Promise.all(this.#pending);
  }

  #wakeReaders(key: string): void {
    for (const reader of this.#feeds.get(key)?.readers ?? []) reader.wake();
  }

  /**
   * Readers that are woken at the same position share one statement, as long as it has not begun: one that is under way may not
   * see what they were woken for.
   */
  #load(feed: ReadFeed<Owner, Event>, after: number): Promise<readonly Event[]> {
    const known = feed.loads.get(after);
    if (known) return known;
    if (this.#closed) return Promise.resolve([]);
    const load = this.#loads.load(
      { owner: feed.owner, after },
      (work) => this.#run('read the feeds', work),
      () => feed.loads.delete(after),
    );
    feed.loads.set(after, load);
    return load;
  }

  async #announce(): Promise<void> {
    const keys = [...this.#unannounced];
    this.#unannounced.clear();
    const named = JSON.stringify({ from: this.#instance, keys });
    const payload =
      Buffer.byteLength(named) <= maxPayloadBytes ? named : JSON.stringify({ from: this.#instance, keys: null });
    // Not by the triggers: PostgreSQL commits transactions that notify one after another.
    await this.#db.$queryRaw`SELECT pg_notify(${this.#source.channel}, ${payload})::text`;
  }

  async #poll(): Promise<void> {
    const { keyOf, readLastSeqs } = this.#source;
    const owners = [...this.#feeds.values()].map(({ owner }) => owner);
    for (let from = 0; from < owners.length; from += pollBatch) {
      for (const { lastSeq, owner } of await readLastSeqs(owners.slice(from, from + pollBatch), this.#db)) {
        for (const reader of this.#feeds.get(keyOf(owner))?.readers ?? []) if (reader.position < lastSeq) reader.wake();
      }
    }
  }

  #repeat(name: string, ms: number, work: () => Promise<unknown>): void {
    let running = false;
    const round = async () => {
      running = true;
      await work().finally(() => {
        running = false;
      });
    };
    this.#timers.push(
      setInterval(() => {
        if (!running) this.#run(name, round);
      }, ms).unref(),
    );
  }

  #run(name: string, work: () => Promise<unknown>): void {
    if (this.#closed) return;
    const round = withoutCounting(null, work)
      .catch((error: unknown) => this.#logger.warn({ err: error, job: name }, 'a job of a feed failed'))
      .finally(() => this.#pending.delete(round));
    this.#pending.add(round);
  }
}

/** A feed that is read here. */
interface ReadFeed<Owner, Event extends NumberedEvent> {
  readonly owner: Owner;
  readonly readers: Set<FeedReader<Event>>;
  /** What statements that have not begun will read, by the seq after which they read. */
  readonly loads: Map<number, Promise<readonly Event[]>>;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
