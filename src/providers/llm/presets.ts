import { openaiUrl } from '../../config/variables.ts';
import type { ModelEndpoint } from '../../engine/ports.ts';
import { locateAzure } from './azure.ts';

/** What is known of a model provider by its name. */
export interface LlmPreset {
  /** Null: an agent has to say where it is (`llmNeedsApiUrl`), or it is the environment's. */
  readonly apiUrl: string | null;
  /** The API that is spoken where an agent names none. */
  readonly api: ModelEndpoint['api'];
}

/**
 * The model providers that agents can have, by name. `custom` is everything else that speaks one of the two APIs; `demo`
 * is the model of the environment, whatever that is.
 */
export const llmPresets: Readonly<Record<string, LlmPreset>> = {
  openai: { apiUrl: openaiUrl, api: 'RESPONSES' },
  'azure-openai': { apiUrl: null, api: 'CHAT_COMPLETIONS' },
  groq: { apiUrl: 'https://api.groq.com/openai/v1', api: 'CHAT_COMPLETIONS' },
  ollama: { apiUrl: 'http://localhost:11434/v1', api: 'CHAT_COMPLETIONS' },
  vllm: { apiUrl: null, api: 'CHAT_COMPLETIONS' },
  openrouter: { apiUrl: 'https://openrouter.ai/api/v1', api: 'CHAT_COMPLETIONS' },
  custom: { apiUrl: null, api: 'CHAT_COMPLETIONS' },
  demo: { apiUrl: null, api: 'CHAT_COMPLETIONS' },
};

/** The providers whose address an agent has to give. */
export const llmNeedsApiUrl: ReadonlySet<string> = new Set(['azure-openai', 'vllm', 'custom']);

/**
 * What `options` cannot hold: what makes a turn what it is, and what the answer is read by. Everything else goes into the
 * body of the request as it is, over what stands there (null takes a parameter out, e.g. a temperature that a model does
 * not accept), save `apiVersion` of azure-openai, which goes into the URL.
 */
export const reservedLlmOptions: ReadonlySet<string> = new Set([
  'model',
  'messages',
  'input',
  'instructions',
  'tools',
  'functions',
  'stream',
  'stream_options',
  'store',
  'service_tier',
  'prompt',
  'user',
  'metadata',
  'n',
  'background',
  'conversation',
  'previous_response_id',
]);

/** The option of an agent that sets how long its provider may take to begin, in seconds. It is not sent. */
export const firstByteOption = 'firstByteTimeoutSeconds';

/** What an agent says of its model, as far as it matters for the way there. */
export interface LlmChoice {
  readonly provider: string;
  readonly api: ModelEndpoint['api'];
  readonly apiUrl: string | null;
  readonly completionsPath: string | null;
  readonly options: unknown;
}

/** Where a model is, without a key. */
export type LlmAddress = Required<Pick<ModelEndpoint, 'apiUrl' | 'query' | 'keyStyle' | 'options'>> & {
  /** Null: the usual one of the API. It may hold `modelInPath`. */
  readonly path: string | null;
};

/**
 * Where the model of a choice is, by its provider's preset; null where neither says: it is the environment's.
 * @throws {TypeError} when apiUrl is no URL
 */
export function locateLlm(choice: LlmChoice): LlmAddress | null {
  const given = choice.apiUrl ?? llmPresets[choice.provider]?.apiUrl ?? null;
  if (given === null) return null;
  const { base, query } = splitUrl(given);
  const options = readOptions(choice.options);
  const path = choice.completionsPath === null ? null : `/${choice.completionsPath.replace(/^\/+/, '')}`;
  if (choice.provider === 'azure-openai') {
    // The Responses API has no deployments in its path: the model in the body names it.
    const operation = choice.api === 'RESPONSES' ? null : '/chat/completions';
    return { ...locateAzure({ base, query, options, path }, operation), keyStyle: 'api-key' };
  }
  return { apiUrl: base, path, query, keyStyle: 'bearer', options };
}

/** A base URL without a slash at its end, and what stood behind its question mark. */
export function splitUrl(given: string): { readonly base: string; readonly query: Readonly<Record<string, string>> } {
  const url = new URL(given);
  const query = Object.fromEntries(url.searchParams);
  return { base: `${url.origin}${url.pathname.replace(/\/+$/, '')}`, query };
}

function readOptions(options: unknown): Readonly<Record<string, unknown>> {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) return {};
  return Object.fromEntries(Object.entries(options).filter(([name]) => !reservedLlmOptions.has(name)));
}
