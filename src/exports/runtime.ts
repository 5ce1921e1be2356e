import type { Logger } from 'pino';
import type { Database } from '../database/client.ts';
import { withoutCounting } from '../database/statements.ts';
import { ConcurrencyLimit } from '../limits/concurrency-limit.ts';

const sweepEveryMs = 60_000;
/** Files that one statement deletes. */
const sweepBatch = 20;
/** Files that are being made at the same time: each reads much. */
const atOnce = { user: 1, tenant: 3, process: 10 } as const;

/** What exports are made with, and the job that deletes those that have expired. One for the process. */
export class ExportRuntime implements AsyncDisposable {
  readonly db: Database;
  /** How long a file can be fetched, in milliseconds. */
  readonly ttlMs: number;
  /** The largest file that can be imported, in bytes. */
  readonly maxImportBytes: number;
  /** Counts the files that are being made. */
  readonly making = new ConcurrencyLimit('exports', atOnce);
  /** Counts the files of conversations that are being imported. */
  readonly importing = new ConcurrencyLimit('imports', atOnce);
  readonly #logger: Logger;
  #sweep: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly db: Database;
    readonly ttlSeconds: number;
    readonly maxImportBytes: number;
    readonly logger: Logger;
  }) {
    this.db = options.db;
    this.ttlMs = options.ttlSeconds * 1000;
    this.maxImportBytes = options.maxImportBytes;
    this.#logger = options.logger;
  }

  /** Starts to delete expired files every minute. */
  start(): void {
    this.#timer = setInterval(() => {
      this.#sweep ??= withoutCounting(null, () => deleteExpiredExports(this.db))
        .catch((error: unknown) => this.#logger.error({ err: error }, 'failed to delete expired exports'))
        .finally(() => {
          this.#sweep = null;
        });
    }, sweepEveryMs);
    this.#timer.unref();
  }

  /** Ends the job. Resolves when it uses the database no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweep;
  }
}

/** Deletes expired files, some at a time. Instances do not wait for each other: what one deletes, the others skip. */
export async function deleteExpiredExports(db: Database): Promise<void> {
  for (;;) {
    const deleted = await db.$executeRaw`
      DELETE FROM exports WHERE id = ANY(ARRAY(
        SELECT id FROM exports WHERE expires_at < now() ORDER BY expires_at LIMIT ${sweepBatch} FOR UPDATE SKIP LOCKED
      ))`;
    if (deleted < sweepBatch) return;
  }
}
