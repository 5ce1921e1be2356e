import type { Logger } from 'pino';
import type { Database } from '../database/client.ts';
import { Rounds } from '../database/rounds.ts';
import { ConcurrencyLimit } from '../limits/concurrency-limit.ts';
import type { ToolRegistry } from '../tools/registry/registry.ts';
import { deleteExpiredSnapshots } from './expire.ts';

/** A tool of the tenant that reads records of a kind, as the operator has named it. */
export interface RecordTool {
  /** What ids of such records begin with, before a colon; `*`: all that have no kind that is listed. */
  readonly kind: string;
  /** The name of the tool. */
  readonly tool: string;
  /** The argument that takes the id. */
  readonly argument: string;
}

/** The options of a ContextRuntime. */
export interface ContextOptions {
  readonly db: Database;
  readonly tools: ToolRegistry;
  readonly logger: Logger;
  /** How long a snapshot can be used, in seconds. */
  readonly ttlSeconds: number;
  readonly recordTools: readonly RecordTool[];
  /** Whether models are shown references in place of the ids of databases. */
  readonly references: boolean;
}

const sweepEveryMs = 60_000;
/** Snapshots that are being made at the same time: each may call tools. */
const atOnce = { user: 10, tenant: 50, process: 200 } as const;

/** What context snapshots are made with, and the job that deletes those that have expired. One for the process. */
export class ContextRuntime implements ContextOptions, AsyncDisposable {
  readonly db: Database;
  readonly tools: ToolRegistry;
  readonly logger: Logger;
  readonly ttlSeconds: number;
  readonly recordTools: readonly RecordTool[];
  readonly references: boolean;
  /** Counts the snapshots that are being made. */
  readonly making = new ConcurrencyLimit('snapshots', atOnce);
  readonly #sweep: Rounds;

  constructor(options: ContextOptions) {
    this.db = options.db;
    this.tools = options.tools;
    this.logger = options.logger;
    this.ttlSeconds = options.ttlSeconds;
    this.recordTools = options.recordTools;
    this.references = options.references;
    this.#sweep = new Rounds({
      everyMs: sweepEveryMs,
      work: () => this.#deleteExpired(),
      problem: 'failed to delete expired context snapshots',
      logger: options.logger,
    });
  }

  /** Starts to delete expired snapshots every minute. Of several instances, one does it at a time. */
  start(): void {
    this.#sweep.start();
  }

  /** Ends the job. Resolves when it uses the database no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sweep[Symbol.asyncDispose]();
  }

  async #deleteExpired(): Promise<void> {
    const deleted = await deleteExpiredSnapshots(this.db);
    if (deleted > 0) this.logger.debug({ deleted }, 'deleted expired context snapshots');
  }
}
