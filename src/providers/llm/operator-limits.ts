import { capTokens, isTokenLimit } from './turn-settings.ts';

/** Further fields of the body of a request. */
export type ProviderOptions = Readonly<Record<string, unknown>>;

/** The maximum number of tokens of an answer that the operator pays for. */
const maxOperatorTokens = 32_000;

/**
 * The options that an agent may have if it uses the operator's key: they change how a provider answers, and not what it
 * may do, what is stored, or what a token costs. Any other option could cost the operator more, such as web search.
 */
const operatorOptions: Readonly<Record<'llm' | 'tts' | 'stt', ReadonlySet<string>>> = {
  llm: new Set([
    ...['temperature', 'top_p', 'top_k', 'min_p', 'seed', 'stop', 'logit_bias'],
    ...['frequency_penalty', 'presence_penalty', 'repetition_penalty'],
    ...['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'truncation'],
    ...['reasoning', 'reasoning_effort', 'verbosity', 'text', 'response_format', 'parallel_tool_calls', 'tool_choice'],
    // It becomes a part of Azure's URL.
    'apiVersion',
  ]),
  tts: new Set(['speed', 'instructions', 'response_format', 'sample_rate', 'language', 'seed', 'apiVersion']),
  stt: new Set([
    ...['prompt', 'temperature', 'timestamp_granularities[]', 'apiVersion'],
    // Of WhisperLive.
    ...['use_vad', 'vad_parameters', 'initial_prompt', 'hotwords', 'no_speech_thresh'],
  ]),
};

/**
 * Finds the first option that an agent must not have if it uses the operator's key.
 * @returns its path in the options, and what is wrong with it; null: there is none
 */
export function findOperatorOptionProblem(
  kind: keyof typeof operatorOptions,
  options: ProviderOptions,
): { readonly path: readonly string[]; readonly message: string } | null {
  for (const [name, value] of Object.entries(options)) {
    if (!operatorOptions[kind].has(name)) {
      return { path: [name], message: 'is not allowed with the key of this server: remove it, or set an apiKey' };
    }
    if (isTokenLimit(name) && !(typeof value === 'number' && value <= maxOperatorTokens)) {
      const limit = maxOperatorTokens.toLocaleString('en-US');
      return {
        path: [name],
        message: `must be at most ${limit} with the key of this server: lower it, or set an apiKey`,
      };
    }
  }
  return null;
}

/**
 * The options that are sent with the operator's key: without those that are not allowed, and with no token limit above the
 * maximum. A null token limit, which would take the server's limit out of the request, is dropped too.
 */
export function restrictOptions(kind: keyof typeof operatorOptions, options: ProviderOptions): ProviderOptions {
  const allowed = Object.entries(options).filter(
    ([name, value]) => operatorOptions[kind].has(name) && !(isTokenLimit(name) && value === null),
  );
  return capTokens(Object.fromEntries(allowed), maxOperatorTokens);
}
