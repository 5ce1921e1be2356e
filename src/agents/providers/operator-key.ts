import type { BadUserInputError } from '../../api/errors.ts';
import { badInput } from '../../api/input.ts';
import {
  findOperatorOptionProblem,
  type ProviderOptions,
  restrictOptions,
} from '../../providers/llm/operator-limits.ts';
import type { AllowedModels, ProviderDefaults, ProviderRules } from './defaults.ts';

/** A decrypted key of an agent for a provider. */
export interface ProviderKey {
  /** The only origin that it may be sent to. */
  readonly origin: string;
  readonly value: string;
}

/** What decides whose key is sent. */
interface KeyedEndpoint {
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly model: string | null;
  readonly guarded?: boolean;
  readonly options?: ProviderOptions;
}

/**
 * The models that may be used with the operator's key, for each kind of provider: the configured one, and those of
 * MODELS_ALLOWED. The demo models cost nothing, so agents may call them by any name.
 * @param listed the entries of MODELS_ALLOWED; `*` allows all
 */
export function readAllowedModels(listed: readonly string[], { llm, tts, stt }: ProviderDefaults): AllowedModels {
  const read = (configured: ProviderDefaults['llm' | 'tts' | 'stt']) => {
    if (listed.includes('*') || (listed.length === 0 && configured?.config.provider === 'demo')) return null;
    const model = configured?.endpoint.model ?? '';
    return new Set([...(model === '' ? [] : [model]), ...listed]);
  };
  return { llm: read(llm), tts: read(tts), stt: read(stt) };
}

/**
 * Whether a resolved endpoint uses the operator's address and key, and not a key of the agent's own. The development agent
 * stores the operator's key as its own, so equal keys for the same origin count as the operator's.
 * @param key the agent's own key; null: it has none
 * @param fallback the operator's endpoint; null: there is none
 */
function usesOperatorKey(endpoint: KeyedEndpoint, key: ProviderKey | null, fallback: KeyedEndpoint | null): boolean {
  if (fallback === null) return false;
  if (endpoint === fallback) return true;
  const { origin } = new URL(endpoint.apiUrl);
  const isSameOrigin = origin === new URL(fallback.apiUrl).origin;
  if (isSameOrigin && endpoint.apiKey !== '' && endpoint.apiKey === fallback.apiKey) return true;
  return endpoint.guarded === false && key?.origin !== origin;
}

/**
 * What a provider asks for that the operator's key may not be used for.
 * @param endpoint the provider without a key of its own, resolved
 * @returns the error that names the field; null: nothing, or it does not use the operator's key
 */
export function findOperatorKeyProblem(
  { defaults, allowedModels }: ProviderRules,
  kind: keyof AllowedModels,
  endpoint: KeyedEndpoint,
  options: ProviderOptions,
): BadUserInputError | null {
  if (!usesOperatorKey(endpoint, null, defaults[kind]?.endpoint ?? null)) return null;
  const allowed = allowedModels[kind];
  if (allowed !== null && !allowed.has(endpoint.model ?? '')) {
    const names = [...allowed].join(', ');
    return badInput(
      ['input', kind, 'model'],
      `must be one of ${names} with the key of this server: choose one of them, or set an apiKey`,
    );
  }
  const problem = findOperatorOptionProblem(kind, options);
  return problem && badInput(['input', kind, 'options', ...problem.path], problem.message);
}

/** An endpoint after what the operator's key may not be used for was taken away. */
export interface Restricted<Endpoint> {
  /** Null: there is none, or its model may not be used. */
  readonly endpoint: Endpoint | null;
  /** The model that may not be used with the operator's key. Null: none. */
  readonly refusedModel: string | null;
  /** The models that may be used instead, because it uses the operator's key. Null: any. */
  readonly allowed: ReadonlySet<string> | null;
}

/** Applies what the operator's key may be used for to an endpoint that uses it. */
export function restrictEndpoint<Endpoint extends KeyedEndpoint>(
  kind: keyof AllowedModels,
  endpoint: Endpoint | null,
  from: {
    readonly key: ProviderKey | null;
    readonly fallback: Endpoint | null;
    readonly allowed: ReadonlySet<string> | null;
  },
): Restricted<Endpoint> {
  const { key, fallback, allowed } = from;
  if (endpoint === null || !usesOperatorKey(endpoint, key, fallback)) {
    return { endpoint, refusedModel: null, allowed: null };
  }
  if (endpoint === fallback) return { endpoint, refusedModel: null, allowed };
  const { model, options } = endpoint;
  if (allowed !== null && model !== fallback?.model && !allowed.has(model ?? '')) {
    return { endpoint: null, refusedModel: model ?? '', allowed };
  }
  const restricted = options === undefined ? endpoint : { ...endpoint, options: restrictOptions(kind, options) };
  return { endpoint: restricted, refusedModel: null, allowed };
}
