import { capTokens, isTokenLimit } from './turn-settings.ts';

type Options = Readonly<Record<string, unknown>>;

/** The maximum number of tokens of an answer that the operator pays for. */
const maxOperatorTokens = 32_000;

/**
 * The options that an agent may have if it uses the operator's key: they change how a model answers, and not what it may
 * do, what is stored, or what a token costs. Any other option could cost the operator more, such as web search.
 */
const operatorOptions: ReadonlySet<string> = new Set([
  ...['temperature', 'top_p', 'top_k', 'min_p', 'seed', 'stop', 'logit_bias'],
  ...['frequency_penalty', 'presence_penalty', 'repetition_penalty'],
  ...['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'truncation'],
  ...['reasoning', 'reasoning_effort', 'verbosity', 'text', 'response_format', 'parallel_tool_calls', 'tool_choice'],
  // It becomes a part of Azure's URL.
  'apiVersion',
]);

/**
 * Finds the first option that an agent must not have if it uses the operator's key.
 * @returns its path in the options, and what is wrong with it; null: there is none
 */
export function findOperatorOptionProblem(
  options: Options,
): { readonly path: readonly string[]; readonly message: string } | null {
  for (const [name, value] of Object.entries(options)) {
    if (!operatorOptions.has(name)) {
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
export function restrictOptions(options: Options): Options {
  const allowed = Object.entries(options).filter(
    ([name, value]) => operatorOptions.has(name) && !(isTokenLimit(name) && value === null),
  );
  return capTokens(Object.fromEntries(allowed), maxOperatorTokens);
}
