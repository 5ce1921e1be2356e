import type { Logger } from 'pino';
import type { AgentDependencies } from '../agents/dependencies.ts';
import type { Database } from '../database/client.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import { ProviderRequests } from '../providers/speech/provider-requests.ts';
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
export class SpeechRuntime extends ProviderRequests {
  readonly db: Database;
  readonly agents: AgentDependencies;
  readonly limit: RateLimit;
  readonly ttlMs: number;
  readonly limits: { readonly speech: SpeechLimits; readonly transcription: TranscriptionLimits };

  constructor(options: SpeechRuntimeOptions) {
    super('speech', options.logger, { guard: options.agents.guard });
    this.db = options.db;
    this.agents = options.agents;
    this.limit = options.limit;
    this.ttlMs = options.ttlMs;
    this.limits = {
      speech: options.limits?.speech ?? defaultSpeechLimits,
      transcription: options.limits?.transcription ?? defaultTranscriptionLimits,
    };
  }

  /** Starts the background job that deletes expired clips every minute. */
  start(): void {
    this.sweepEvery(sweepEveryMs, 'delete expired clips', () => deleteExpiredClips(this.db, new Date()));
  }
}
