import type { Logger } from 'pino';
import type { RateLimit } from '../limits/rate-limit.ts';
import { ProviderRequests } from '../providers/speech/provider-requests.ts';
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
export class RealtimeRuntime extends ProviderRequests {
  readonly runs: RunRuntime;
  readonly defaults: RealtimeDefaults;
  readonly limit: RateLimit;
  readonly mintTimeoutMs: number;

  constructor({ runs, defaults, limit, logger, mintTimeoutMs = 15_000 }: RealtimeOptions) {
    // A secret is minted once for each request: a connection that has gone stale must not send it twice.
    super('realtime', logger, { guard: runs.agents.guard, keepAlive: false });
    this.runs = runs;
    this.defaults = defaults;
    this.limit = limit;
    this.mintTimeoutMs = mintTimeoutMs;
  }

  /** Starts the background job that deletes old sessions. */
  start(): void {
    this.sweepEvery(sweepEveryMs, 'delete old realtime sessions', () => deleteOldSessions(this.runs.db));
  }
}
