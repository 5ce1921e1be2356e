import type { ModelEndpoint } from '../../engine/ports.ts';
import type { AddressGuard } from '../../outbound/address-guard.ts';
import type { SpeechEndpoint, TranscriptionEndpoint } from '../../providers/llm/endpoints.ts';
import type { LlmConfig, SttConfig, TtsConfig } from './config.ts';

/** The environment's providers, which agents without providers of their own use, and how the graph shows them. */
export interface ProviderDefaults {
  readonly llm: { readonly endpoint: ModelEndpoint; readonly config: LlmConfig };
  /** Null: agents without a provider of their own do not speak. */
  readonly tts: { readonly endpoint: SpeechEndpoint; readonly config: TtsConfig } | null;
  /** Null: agents without a provider of their own do not listen. */
  readonly stt: { readonly endpoint: TranscriptionEndpoint; readonly config: SttConfig } | null;
}

/** What providers of agents are checked against. */
export interface ProviderRules {
  readonly defaults: ProviderDefaults;
  /** Which addresses the providers of users may have. */
  readonly guard: AddressGuard;
  readonly allowedModels: AllowedModels;
}

/** The models that may be used with the operator's key, for each kind of provider (MODELS_ALLOWED). Null: any. */
export interface AllowedModels {
  readonly llm: ReadonlySet<string> | null;
  readonly tts: ReadonlySet<string> | null;
  readonly stt: ReadonlySet<string> | null;
}
