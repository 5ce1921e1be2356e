import type { Logger } from 'pino';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { ConfigurationCache } from '../database/configuration-cache.ts';
import type { ModelEndpoint, ModelPort } from '../engine/ports.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import type { AddressGuard } from '../outbound/guard.ts';
import type { SpeechEndpoint, TranscriptionEndpoint } from '../providers/llm/endpoints.ts';
import type { KeyRing } from '../secrets/key-ring.ts';
import type { LlmConfig, SttConfig, TtsConfig } from './providers/config.ts';

/** What the environment gives to agents that have no providers of their own, and how the graph shows it. */
export interface ProviderDefaults {
  readonly llm: { readonly endpoint: ModelEndpoint; readonly config: LlmConfig };
  readonly tts: { readonly endpoint: SpeechEndpoint; readonly config: TtsConfig } | null;
  readonly stt: { readonly endpoint: TranscriptionEndpoint; readonly config: SttConfig } | null;
}

/** What it takes to keep agents and to reach their providers. One for the process. */
export interface AgentDependencies {
  readonly db: Database;
  readonly keys: KeyRing;
  /** What is remembered of the tenants' configuration: drop a tenant after each change, before the answer. */
  readonly config: ConfigurationCache;
  readonly defaults: ProviderDefaults;
  readonly guard: AddressGuard;
  readonly model: ModelPort;
  readonly logger: Logger;
  /** How often agents may be created, changed, deleted and chosen. */
  readonly operationLimit: RateLimit;
  /** How often agents may be tested. */
  readonly testLimit: RateLimit;
  /** The longest that a test may take, in milliseconds. */
  readonly testTimeoutMs: number;
  /** Aborts when the server closes: what is under way ends. */
  readonly closing: AbortSignal;
  /** The tests that are under way: they are waited for before the database is closed. */
  readonly tests: Set<Promise<unknown>>;
  /** The names of the tools that there are for a tenant: agents may be given these and no others. */
  readonly toolNames: (viewer: Viewer) => Promise<ReadonlySet<string>>;
}
