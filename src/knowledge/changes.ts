import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import { withoutCounting } from '../database/statements.ts';
import type { KnowledgeDocument } from '../generated/prisma/client.ts';
import { BasePoll } from './base-poll.ts';

/** The channel of PostgreSQL on which instances notify each other that documents of a base have changed. */
export const knowledgeChannel = 'switchboard_knowledge';
/** Notices are collected for so long: progress comes in bursts. */
const announceAfterMs = 50;
/** How often readers look for changes whose notice got lost. */
const pollEveryMs = 2_000;

type Step = IteratorResult<KnowledgeDocument, undefined>;
const done: Step = { done: true, value: undefined };

/**
 * The changes of documents, as this process reads them. A document has the number of its last change in its base, so
 * readers are positions: whoever is slow gets each document as it is then, and costs nothing. A process wakes the readers
 * of a base when it has changed something, notifies the other instances, and looks every other second; the readers of one
 * base look together (base-poll.ts).
 */
export class KnowledgeChanges implements AsyncDisposable {
  readonly #db: Database;
  readonly #logger: Logger;
  readonly #alone: boolean;
  readonly #instance = randomUUID();
  readonly #readers = new Set<ChangeReader>();
  /** By the row id of the base. */
  readonly #polls = new Map<string, BasePoll>();
  readonly #unannounced = new Set<string>();
  readonly #pending = new Set<Promise<unknown>>();
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  /** @param options.alone whether no other process uses the database: then nobody has to be notified */
  constructor(options: { readonly db: Database; readonly logger: Logger; readonly alone: boolean }) {
    this.#db = options.db;
    this.#logger = options.logger;
    this.#alone = options.alone;
    this.#timer = setInterval(() => this.check(), pollEveryMs).unref();
  }

  /** How many readers there are. */
  get size(): number {
    return this.#readers.size;
  }

  /**
   * Reads the documents of a base that change from now on.
   * @param base that the viewer may read: row id, and the number of its last change
   */
  follow(
    viewer: Viewer,
    base: { readonly id: string; readonly changeSeq: number },
  ): AsyncIterableIterator<KnowledgeDocument, undefined> {
    const poll = this.#polls.get(base.id) ?? new BasePoll(this.#db, { tenantId: viewer.tenantId, id: base.id });
    this.#polls.set(base.id, poll);
    const leave = poll.join(viewer);
    const reader = new ChangeReader({
      baseId: base.id,
      after: base.changeSeq,
      load: (after) => this.#load(viewer, poll, after),
      onClose: () => {
        this.#readers.delete(reader);
        leave();
        if (!poll.isUsed) this.#polls.delete(base.id);
      },
    });
    this.#readers.add(reader);
    if (this.#closed) reader.close();
    return reader;
  }

  /** Notifies the readers of a base, on every instance, that documents have changed. Call it after the commit. */
  wake(baseId: string): void {
    this.#wakeReaders(baseId);
    if (this.#alone || this.#closed) return;
    if (this.#unannounced.size === 0) setTimeout(() => this.#announce(), announceAfterMs).unref();
    this.#unannounced.add(baseId);
  }

  /** Takes a notice of another instance. */
  hear(payload: string): void {
    const [from, ...bases] = payload.split(' ');
    if (from !== this.#instance) for (const base of bases) this.#wakeReaders(base);
  }

  /** Has all readers look: notices may have been missed. */
  check(): void {
    for (const reader of this.#readers) reader.wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const reader of [...this.#readers]) reader.close();
    await Promise.all(this.#pending);
  }

  #wakeReaders(baseId: string): void {
    for (const reader of this.#readers) if (reader.baseId === baseId) reader.wake();
  }

  /** The next documents that have changed; null: the base is gone, or the viewer may not read it any more. */
  async #load(viewer: Viewer, poll: BasePoll, after: number): Promise<readonly KnowledgeDocument[] | null> {
    // Of all of its readers: it belongs to no request.
    const work = withoutCounting(null, () => poll.read(viewer, after)).catch((error: unknown) => {
      // The database is away for a moment: the next look finds what there is.
      this.#logger.warn({ err: error }, 'failed to read the changes of a knowledge base');
      return [];
    });
    this.#pending.add(work);
    return work.finally(() => this.#pending.delete(work));
  }

  #announce(): void {
    // Ids have 36 characters, and a notice at most 8,000 bytes.
    const bases = [...this.#unannounced].slice(0, 200);
    for (const base of bases) this.#unannounced.delete(base);
    if (this.#unannounced.size > 0) setTimeout(() => this.#announce(), announceAfterMs).unref();
    const payload = [this.#instance, ...bases].join(' ');
    const work = withoutCounting(
      null,
      () => this.#db.$queryRaw`SELECT pg_notify(${knowledgeChannel}, ${payload})::text`,
    )
      .catch((error: unknown) => this.#logger.warn({ err: error }, 'failed to notify other instances of documents'))
      .finally(() => this.#pending.delete(work));
    this.#pending.add(work);
  }
}

/** One reader of the changes of a base. */
class ChangeReader implements AsyncIterableIterator<KnowledgeDocument, undefined> {
  readonly baseId: string;
  readonly #load: (after: number) => Promise<readonly KnowledgeDocument[] | null>;
  readonly #onClose: () => void;
  #after: number;
  #batch: readonly KnowledgeDocument[] = [];
  #wakes = 0;
  #wakeUp: (() => void) | null = null;
  #closed = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: {
    readonly baseId: string;
    readonly after: number;
    readonly load: (after: number) => Promise<readonly KnowledgeDocument[] | null>;
    readonly onClose: () => void;
  }) {
    this.baseId = options.baseId;
    this.#after = options.after;
    this.#load = options.load;
    this.#onClose = options.onClose;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  wake(): void {
    this.#wakes += 1;
    this.#wakeUp?.();
    this.#wakeUp = null;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.wake();
    this.#onClose();
  }

  next(): Promise<Step> {
    // One after another, whoever asks.
    const step = this.#last.then(() => this.#read());
    this.#last = step.catch(() => {});
    return step;
  }

  return(): Promise<Step> {
    this.close();
    return Promise.resolve(done);
  }

  async #read(): Promise<Step> {
    while (!this.#closed) {
      const [next, ...rest] = this.#batch;
      if (next !== undefined) {
        this.#batch = rest;
        this.#after = next.changeSeq;
        return { done: false, value: next };
      }
      const wakes = this.#wakes;
      const loaded = await this.#load(this.#after);
      if (loaded === null) {
        this.close();
        break;
      }
      this.#batch = loaded;
      if (loaded.length > 0 || wakes !== this.#wakes) continue;
      await new Promise<void>((resolve) => {
        this.#wakeUp = resolve;
      });
    }
    return done;
  }
}
