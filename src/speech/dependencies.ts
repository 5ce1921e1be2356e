import type { Logger } from 'pino';
import type { AgentDependencies } from '../agents/dependencies.ts';
import { ProviderError } from '../api/errors.ts';
import type { Database } from '../database/client.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import { createDial } from '../outbound/dial.ts';
import type { SpeechLimits } from '../providers/speech/synthesis.ts';
import type { TranscriptionLimits } from '../providers/speech/transcription.ts';
import { deleteExpiredClips } from './clips.ts';

/** What a host is made of. */
export interface SpeechRuntimeOptions {
  readonly db: Database;
  /** Where agents are kept and their providers reached. */
  readonly agents: AgentDependencies;
  /** How often a user may have something spoken or written down. */
  readonly limit: RateLimit;
  /** How long a clip can be fetched, in milliseconds. */
  readonly ttlMs: number;
  readonly logger: Logger;
  /** What bounds providers; the usual unless set. */
  readonly limits?: { readonly speech?: SpeechLimits; readonly transcription?: TranscriptionLimits };
}

const usualSpeech: SpeechLimits = { totalMs: 120_000, idleMs: 60_000, maxBytes: 32_000_000 };
const usualTranscription: TranscriptionLimits = { totalMs: 120_000, quietMs: 10_000, maxBytes: 4_000_000 };
const sweepEveryMs = 60_000;

/** Where speech is made and written down: what it takes, what is under way, and the clockwork that tidies up. */
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
  readonly #working = new Set<Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SpeechRuntimeOptions) {
    this.db = options.db;
    this.agents = options.agents;
    this.limit = options.limit;
    this.ttlMs = options.ttlMs;
    this.limits = {
      speech: options.limits?.speech ?? usualSpeech,
      transcription: options.limits?.transcription ?? usualTranscription,
    };
    this.#logger = options.logger;
    this.#guardedDial = createDial({ guard: options.agents.guard });
  }

  /** Starts the clockwork: clips that have expired are deleted every minute. */
  start(): void {
    this.#timer = setInterval(() => {
      const sweep = deleteExpiredClips(this.db, new Date())
        .catch((error: unknown) => this.#logger.error({ err: error }, 'clips that expired could not be deleted'))
        .finally(() => this.#working.delete(sweep));
      this.#working.add(sweep);
    }, sweepEveryMs);
    this.#timer.unref();
  }

  /** How to reach an endpoint: through the address guard where a user wrote the address. */
  dialFor({ guarded }: { readonly guarded: boolean }): typeof fetch {
    return guarded ? this.#guardedDial : this.#dial;
  }

  /**
   * Does something with a provider: it is ended when the server stops or the client leaves, and its failures are logged
   * with their causes, which clients do not hear.
   * @param left aborts when the client leaves; null: nobody's leaving ends it
   */
  async work<T>(left: AbortSignal | null, what: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const closing = this.#closing.signal;
    const working = what(left === null ? closing : AbortSignal.any([closing, left]));
    this.#working.add(working);
    try {
      return await working;
    } catch (error) {
      // One that was left has not failed.
      if (error instanceof ProviderError && !left?.aborted) {
        this.#logger.warn({ err: error, problem: error.problem }, 'a provider of speech failed');
      }
      throw error;
    } finally {
      this.#working.delete(working);
    }
  }

  /** Ends what is under way, and waits for it. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await Promise.allSettled(this.#working);
  }
}
