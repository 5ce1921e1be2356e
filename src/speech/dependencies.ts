import type { Logger } from 'pino';
import type { AgentDependencies } from '../agents/dependencies.ts';
import { ProviderError } from '../api/errors.ts';
import type { Database } from '../database/client.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import { createDial } from '../outbound/dial.ts';
import type { SpeechLimits } from '../providers/speech/synthesis.ts';
import type { TranscriptionLimits } from '../providers/speech/transcription.ts';
import { deleteExpiredClips } from './clips.ts';

/** The options of a SpeechRuntime. */
export interface SpeechRuntimeOptions {
  readonly db: Database;
  /** For agents and their providers. */
  readonly agents: AgentDependencies;
  /** How often speech and transcriptions may be requested. */
  readonly limit: RateLimit;
  /** How long a clip can be fetched, in milliseconds. */
  readonly ttlMs: number;
  readonly logger: Logger;
  /** The limits of provider requests; absent: the defaults. */
  readonly limits?: { readonly speech?: SpeechLimits; readonly transcription?: TranscriptionLimits };
}

const defaultSpeechLimits: SpeechLimits = { totalMs: 120_000, idleMs: 60_000, maxBytes: 32_000_000 };
const defaultTranscriptionLimits: TranscriptionLimits = { totalMs: 120_000, quietMs: 10_000, maxBytes: 4_000_000 };
const sweepEveryMs = 60_000;

/** Runs requests to speech providers: their limits, the requests in progress, and the job that deletes expired clips. */
export class SpeechRuntime {
  readonly db: Database;
  readonly agents: AgentDependencies;
  readonly limit: RateLimit;
  readonly ttlMs: number;
  readonly limits: { readonly speech: SpeechLimits; readonly transcription: TranscriptionLimits };
  readonly #logger: Logger;
  readonly #dial = createDial();
  readonly #guardedDial: typeof fetch;
  readonly #closing = new AbortController();
  /** Requests and jobs in progress. */
  readonly #pending = new Set<Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SpeechRuntimeOptions) {
    this.db = options.db;
    this.agents = options.agents;
    this.limit = options.limit;
    this.ttlMs = options.ttlMs;
    this.limits = {
      speech: options.limits?.speech ?? defaultSpeechLimits,
      transcription: options.limits?.transcription ?? defaultTranscriptionLimits,
    };
    this.#logger = options.logger;
    this.#guardedDial = createDial({ guard: options.agents.guard });
  }

  /** Starts the background job that deletes expired clips every minute. */
  start(): void {
    this.#timer = setInterval(() => {
      const sweep = deleteExpiredClips(this.db, new Date())
        .catch((error: unknown) => this.#logger.error({ err: error }, 'failed to delete expired clips'))
        .finally(() => this.#pending.delete(sweep));
      this.#pending.add(sweep);
    }, sweepEveryMs);
    this.#timer.unref();
  }

  /** The fetch function for an endpoint: guarded if a user set its address. */
  dialFor({ guarded }: { readonly guarded: boolean }): typeof fetch {
    return guarded ? this.#guardedDial : this.#dial;
  }

  /**
   * Runs a request to a provider. It is aborted when the server stops or the client disconnects. Failures are logged with
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
      // A request that the client abandoned has not failed.
      if (error instanceof ProviderError && !clientGone?.aborted) {
        this.#logger.warn({ err: error, problem: error.problem }, 'speech provider failed');
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
