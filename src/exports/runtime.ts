import type { Logger } from 'pino';
import type { Database } from '../database/client.ts';
import { Rounds } from '../database/rounds.ts';
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
  readonly #sweep: Rounds;

  constructor(options: {
    readonly db: Database;
    readonly ttlSeconds: number;
    readonly maxImportBytes: number;
    readonly logger: Logger;
  }) {
    this.db = options.db;
    this.ttlMs = options.ttlSeconds * 1000;
    this.maxImportBytes = options.maxImportBytes;
    this.#sweep = new Rounds({
      everyMs: sweepEveryMs,
      work: () => deleteExpiredExports(this.db),
      problem: 'failed to delete expired exports',
      logger: options.logger,
    });
  }

  /** Starts to delete expired files every minute. */
  start(): void {
    this.#sweep.start();
  }

  /** Ends the job. Resolves when it uses the database no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sweep[Symbol.asyncDispose]();
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
