import type { Logger } from 'pino';
import type { AttachmentsEnv } from '../config/attachments.ts';
import type { Database } from '../database/client.ts';
import { Rounds } from '../database/rounds.ts';
import { DocumentParser } from '../knowledge/parse/document-parser.ts';
import { ConcurrencyLimit } from '../limits/concurrency-limit.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import type { KeyRing } from '../secrets/key-ring.ts';
import { deleteObjects } from './delete-objects.ts';
import type { ObjectStore } from './object-store.ts';

const sweepEveryMs = 60_000;
/** Files that one statement deletes. */
const sweepBatch = 20;
/** Files that are read at the same time: an image takes 200 MB of memory meanwhile. */
const atOnce = { user: 2, tenant: 3, process: 4 } as const;
/** What reading one document may take. */
const parserLimits = { maxMemoryBytes: 512_000_000, timeoutMs: 30_000 } as const;

/** What uploads are taken with, and the job that deletes those that no message has taken. One for the process. */
export class AttachmentRuntime implements AsyncDisposable {
  readonly db: Database;
  /** Sign the addresses that can be fetched without a token. */
  readonly keys: KeyRing;
  readonly bounds: AttachmentsEnv;
  readonly limit: RateLimit;
  /** Counts the files that are being read. */
  readonly reading = new ConcurrencyLimit('uploads', atOnce);
  readonly parser = new DocumentParser(parserLimits);
  /** Where files are. Null: in the database. */
  readonly store: ObjectStore | null;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  readonly #sweep: Rounds;

  constructor(options: {
    readonly db: Database;
    readonly keys: KeyRing;
    readonly bounds: AttachmentsEnv;
    readonly limit: RateLimit;
    readonly store: ObjectStore | null;
    readonly logger: Logger;
  }) {
    this.db = options.db;
    this.keys = options.keys;
    this.bounds = options.bounds;
    this.limit = options.limit;
    this.store = options.store;
    this.#logger = options.logger;
    this.#sweep = new Rounds({
      everyMs: sweepEveryMs,
      work: () => this.#deleteAll(),
      problem: 'failed to delete expired uploads',
      logger: options.logger,
    });
  }

  /** Starts to delete expired uploads every minute, and the objects of all that were deleted. */
  start(): void {
    this.#sweep.start();
  }

  async #deleteAll(): Promise<void> {
    await deleteExpiredAttachments(this.db);
    if (this.store === null) return;
    const { db, store } = this;
    await deleteObjects({ db, store, logger: this.#logger, signal: this.#closing.signal });
  }

  /** Ends the job and the reader of documents. Resolves when it uses the database no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#sweep[Symbol.asyncDispose](), this.parser[Symbol.asyncDispose]()]);
  }
}

/** Deletes uploads that no message has taken in time, some at a time. What one instance deletes, the others skip. */
export async function deleteExpiredAttachments(db: Database): Promise<void> {
  for (;;) {
    const deleted = await db.$executeRaw`
      DELETE FROM attachments WHERE id = ANY(ARRAY(
        SELECT id FROM attachments WHERE expires_at < now() ORDER BY expires_at LIMIT ${sweepBatch} FOR UPDATE SKIP LOCKED
      ))`;
    if (deleted < sweepBatch) return;
  }
}
