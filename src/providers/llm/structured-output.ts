import type { ModelEndpoint } from '../../engine/ports.ts';

/** The form of an answer. */
export interface AnswerFormat {
  readonly name: string;
  /** JSON Schema. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Whether each object requires all that it may hold: OpenAI's strict mode wants that, and `additionalProperties: false`. */
  readonly strict: boolean;
}

/** The options of an endpoint with the form of the answer: structured output, as each of the two APIs asks for it. */
export function withAnswerFormat({ api, options = {} }: ModelEndpoint, format: AnswerFormat): Record<string, unknown> {
  if (api === 'CHAT_COMPLETIONS') return { ...options, response_format: { type: 'json_schema', json_schema: format } };
  const text = typeof options.text === 'object' && options.text !== null ? options.text : {};
  return { ...options, text: { ...text, format: { type: 'json_schema', ...format } } };
}

const fence = '```';

/**
 * The JSON of an answer, as text; models without structured output put it into a fence. The fence is cut off without a pattern:
 * one with optional white space takes hours for an answer of white space.
 */
export function cutFence(written: string): string {
  const text = written.trim();
  const isFenced = text.length >= 2 * fence.length && text.startsWith(fence) && text.endsWith(fence);
  const json = isFenced ? text.slice(fence.length, -fence.length).replace(/^json/, '') : text;
  return json.trim();
}

/**
 * The JSON value of an answer.
 * @returns undefined: it is no JSON
 */
export function parseAnswer(written: string): unknown {
  try {
    return JSON.parse(cutFence(written));
  } catch {
    return undefined;
  }
}
