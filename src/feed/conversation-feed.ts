import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { z } from 'zod';
import { SwitchboardError } from '../api/errors.ts';
import type { Database } from '../database/client.ts';
import { withoutCounting } from '../database/statements.ts';
import type { FeedEvent, FeedOwner } from './feed-event.ts';
import { FeedReader } from './feed-reader.ts';
import { deleteExpiredEvents, readFeed, readLastSeq, readLastSeqs } from './read-feed.ts';

/** The channel of PostgreSQL on which instances notify each other that a user's feed has grown. */
export const feedChannel = 'switchboard_feed';
/** Events that one statement reads. */
const batch = 50;
/** Notices are collected for so long, so that a burst is one statement. */
const announceAfterMs = 20;
/** The longest payload of a notice, in bytes; PostgreSQL allows 8,000. */
const maxPayloadBytes = 7_500;
/** How often the users with readers are checked, for notices that got lost. */
const pollEveryMs = 2_000;
/** How many users one check asks for. */
const pollBatch = 500;
const pruneEveryMs = 60_000;

const notice = z.object({
  from: z.string(),
  /** Null: too many to name. */
  users: z.array(z.tuple([z.string(), z.string()])).nullable(),
});

/**
 * The feeds of all users, as this process reads them. Triggers of the database write a feed in the transactions of the
 * changes; its rows are the truth. A process wakes the readers of a user when it has changed something, notifies the other
 * instances, and asks the database every other second, so that a lost notice costs time and no event.
 */
export class ConversationFeed implements AsyncDisposable {
  readonly #db: Database;
  readonly #logger: Logger;
  readonly #alone: boolean;
  readonly #instance = randomUUID();
  readonly #users = new Map<string, ReadUser>();
  readonly #timers: NodeJS.Timeout[] = [];
  /** Users whose growth the other instances have not been notified of. */
  readonly #unannounced = new Map<string, FeedOwner>();
  readonly #pending = new Set<Promise<unknown>>();
  #closed = false;

  /** @param options.alone whether no other process uses the database: then nobody has to be notified */
  constructor(options: { readonly db: Database; readonly logger: Logger; readonly alone: boolean }) {
    this.#db = options.db;
    this.#logger = options.logger;
    this.#alone = options.alone;
    this.#repeat('read the feeds', pollEveryMs, () => this.#poll());
    this.#repeat('delete expired events', pruneEveryMs, () => deleteExpiredEvents(this.#db));
  }

  /** How many readers there are. */
  get size(): number {
    return [...this.#users.values()].reduce((sum, { readers }) => sum + readers.size, 0);
  }

  /**
   * Reads the feed of a user from a position on.
   * @param options.after a seq, exclusive; null: from now on
   * @param options.conversationId the row id of the one conversation to read; null: all
   * @throws {EventsExpiredError} if events after it are not kept any more
   * @throws {BadUserInputError} if the feed has not got that far
   */
  async follow(
    owner: FeedOwner,
    options: { readonly after: number | null; readonly conversationId: string | null },
  ): Promise<FeedReader> {
    const { conversationId } = options;
    const after = options.after ?? (await readLastSeq(owner, this.#db));
    const first = options.after === null ? [] : await readFeed(owner, this.#db, { after, limit: batch });
    const key = keyOf(owner);
    const user: ReadUser = this.#users.get(key) ?? { owner, readers: new Set(), loads: new Map() };
    this.#users.set(key, user);
    const onClose = () => {
      user.readers.delete(reader);
      if (user.readers.size === 0 && this.#users.get(key) === user) this.#users.delete(key);
    };
    const load = (from: number) => this.#load(user, from);
    const reader: FeedReader = new FeedReader({ after, conversationId, first, load, onClose });
    user.readers.add(reader);
    if (this.#closed) reader.close();
    return reader;
  }

  /** Notifies the readers of a user, on every instance, that the feed has grown. Call it after the commit. */
  wake(owner: FeedOwner): void {
    const key = keyOf(owner);
    this.#wakeReaders(key);
    if (this.#alone || this.#closed) return;
    if (this.#unannounced.size === 0) {
      // The notice belongs to no operation: its statement is not counted for the one that happens to send it.
      setTimeout(() => this.#run('notify other instances', () => this.#announce()), announceAfterMs);
    }
    this.#unannounced.set(key, { tenantId: owner.tenantId, userId: owner.userId });
  }

  /** Takes a notice of another instance. */
  hear(payload: string): void {
    const heard = notice.safeParse(parseJson(payload));
    if (!heard.success || heard.data.from === this.#instance) return;
    if (heard.data.users === null) this.check();
    for (const [tenantId, userId] of heard.data.users ?? []) this.#wakeReaders(keyOf({ tenantId, userId }));
  }

  /** Asks the database which feeds have grown: notices may have been missed. */
  check(): void {
    this.#run('read the feeds', () => this.#poll());
  }

  /** Ends all readers and jobs. Resolves when nothing uses the database any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const { readers } of [...this.#users.values()]) for (const reader of [...readers]) reader.close();
    await Promise.all(this.#pending);
  }

  #wakeReaders(key: string): void {
    for (const reader of this.#users.get(key)?.readers ?? []) reader.wake();
  }

  /** Readers that are woken at the same position share one statement. */
  #load(user: ReadUser, after: number): Promise<readonly FeedEvent[]> {
    const known = user.loads.get(after);
    if (known) return known;
    const load = readFeed(user.owner, this.#db, { after, limit: batch })
      .catch((error: unknown) => {
        if (error instanceof SwitchboardError) throw error;
        // The database is away for a moment: the next check wakes the readers again.
        this.#logger.warn({ err: error }, 'failed to read a feed');
        return [];
      })
      .finally(() => user.loads.delete(after));
    user.loads.set(after, load);
    return load;
  }

  async #announce(): Promise<void> {
    const users = [...this.#unannounced.values()].map(({ tenantId, userId }) => [tenantId, userId]);
    this.#unannounced.clear();
    const named = JSON.stringify({ from: this.#instance, users });
    const payload =
      Buffer.byteLength(named) <= maxPayloadBytes ? named : JSON.stringify({ from: this.#instance, users: null });
    // Not by the triggers: PostgreSQL commits transactions that notify one after another.
    await this.#db.$queryRaw`SELECT pg_notify(${feedChannel}, ${payload})::text`;
  }

  async #poll(): Promise<void> {
    const owners = [...this.#users.values()].map(({ owner }) => owner);
    for (let from = 0; from < owners.length; from += pollBatch) {
      for (const { lastSeq, ...owner } of await readLastSeqs(owners.slice(from, from + pollBatch), this.#db)) {
        for (const reader of this.#users.get(keyOf(owner))?.readers ?? []) if (reader.position < lastSeq) reader.wake();
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
      .catch((error: unknown) => this.#logger.warn({ err: error, job: name }, 'a job of the conversation feed failed'))
      .finally(() => this.#pending.delete(round));
    this.#pending.add(round);
  }
}

/** A user whose feed is read here. */
interface ReadUser {
  readonly owner: FeedOwner;
  readonly readers: Set<FeedReader>;
  /** Statements in progress, by the seq after which they read. */
  readonly loads: Map<number, Promise<readonly FeedEvent[]>>;
}

function keyOf({ tenantId, userId }: FeedOwner): string {
  return JSON.stringify([tenantId, userId]);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
