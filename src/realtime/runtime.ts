import type { Logger } from 'pino';
import { ProviderError } from '../api/errors.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import { createDial } from '../outbound/dial.ts';
import type { RunRuntime } from '../runs/runtime.ts';
import { deleteOldSessions } from './sessions.ts';

/** What realtime sessions are minted with, as the operator has set it up. */
export interface RealtimeDefaults {
  readonly model: string;
  /** Null: the provider's own. */
  readonly voice: string | null;
  /** The model that writes down what the user says. */
  readonly transcriptionModel: string;
}

/** The options of a RealtimeRuntime. */
export interface RealtimeOptions {
  /** The database, agents, tools and the feed. */
  readonly runs: RunRuntime;
  readonly defaults: RealtimeDefaults;
  /** How often sessions may be started and items recorded. */
  readonly limit: RateLimit;
  readonly logger: Logger;
  /** How long a provider may take to mint a secret, in milliseconds; absent: 15,000. */
  readonly mintTimeoutMs?: number;
}

const sweepEveryMs = 600_000;

/** Carries out realtime sessions: the requests to providers in progress, and the job that deletes old sessions. */
export class RealtimeRuntime {
  readonly runs: RunRuntime;
  readonly defaults: RealtimeDefaults;
  readonly limit: RateLimit;
  readonly logger: Logger;
  readonly mintTimeoutMs: number;
  // A secret is minted once for each request: a connection that has gone stale must not send it twice.
  readonly #dial = createDial({ keepAlive: false });
  readonly #guardedDial: typeof fetch;
  readonly #closing = new AbortController();
  /** Requests and jobs in progress. */
  readonly #pending = new Set<Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ runs, defaults, limit, logger, mintTimeoutMs = 15_000 }: RealtimeOptions) {
    this.runs = runs;
    this.defaults = defaults;
    this.limit = limit;
    this.logger = logger;
    this.mintTimeoutMs = mintTimeoutMs;
    this.#guardedDial = createDial({ guard: runs.agents.guard, keepAlive: false });
  }

  /** Starts the background job that deletes old sessions. */
  start(): void {
    this.#timer = setInterval(() => {
      const sweep = deleteOldSessions(this.runs.db)
        .catch((error: unknown) => this.logger.error({ err: error }, 'failed to delete old realtime sessions'))
        .finally(() => this.#pending.delete(sweep));
      this.#pending.add(sweep);
    }, sweepEveryMs);
    this.#timer.unref();
  }

  /** The fetch function for an endpoint: guarded if a user set its address. */
  dialFor({ guarded = false }: { readonly guarded?: boolean }): typeof fetch {
    return guarded ? this.#guardedDial : this.#dial;
  }

  /**
   * Runs work that asks a provider. It is aborted when the server stops or the client disconnects. Failures are logged with
   * their causes, which clients do not see.
   * @param clientGone aborts when the client disconnects; null: only the server can abort it
   */
  async work<T>(clientGone: AbortSignal | null, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const closing = this.#closing.signal;
    const working = request(clientGone === null ? closing : AbortSignal.any([closing, clientGone]));
    this.#pending.add(working);
    try {
      return await working;
    } catch (error) {
      if (error instanceof ProviderError && !clientGone?.aborted) {
        this.logger.warn({ err: error, problem: error.problem }, 'realtime provider failed');
      }
      throw error;
    } finally {
      this.#pending.delete(working);
    }
  }

  /** Aborts what is in progress, and waits for its end. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await Promise.allSettled(this.#pending);
  }
}
