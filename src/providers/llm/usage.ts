import { isRecord } from '../../engine/json.ts';
import type { TokenUsage } from '../../engine/ports.ts';

/** More than any model call takes, and small enough for every sum and column that it goes into. */
const maxTokens = 100_000_000;

type Data = Readonly<Record<string, unknown>>;

/** The usage in a chunk of a chat completion: at its top level, in its choice, or under a provider's own name. */
export function findChatUsage(chunk: object): unknown {
  if (!isRecord(chunk)) return undefined;
  if (isRecord(chunk.usage)) return chunk.usage;
  const groq = isRecord(chunk.x_groq) ? chunk.x_groq.usage : undefined;
  if (isRecord(groq)) return groq;
  // Moonshot: in the choice.
  const choice: unknown = Array.isArray(chunk.choices) ? chunk.choices[0] : undefined;
  if (isRecord(choice) && isRecord(choice.usage)) return choice.usage;
  if (isRecord(chunk.usageMetadata)) return chunk.usageMetadata;
  // Ollama writes its own counts at the top level, llama.cpp its timings.
  if (typeof chunk.prompt_eval_count === 'number' || typeof chunk.eval_count === 'number') return chunk;
  return isRecord(chunk.timings) && typeof chunk.timings.predicted_n === 'number' ? chunk.timings : undefined;
}

/**
 * The usage of an answer, under the names that providers give it.
 * @returns null: none was reported, or it cannot be true
 */
export function readUsage(usage: unknown): TokenUsage | null {
  if (!isRecord(usage)) return null;
  const input = count(usage, 'prompt_tokens', 'input_tokens', 'promptTokenCount', 'prompt_eval_count', 'prompt_n');
  const shown = count(usage, 'completion_tokens', 'output_tokens', 'candidatesTokenCount', 'eval_count', 'predicted_n');
  if (input === null || shown === null) return null;
  const inputDetails = part(usage, 'prompt_tokens_details', 'input_tokens_details');
  const outputDetails = part(usage, 'completion_tokens_details', 'output_tokens_details');
  const reported =
    count(outputDetails, 'reasoning_tokens') ?? count(usage, 'reasoning_tokens', 'thoughtsTokenCount') ?? 0;
  const total = count(usage, 'total_tokens', 'totalTokenCount') ?? 0;
  // Gemini and xAI leave the reasoning out of the completion, and count it only in the total.
  const uncounted = Math.max(0, total - input - shown);
  return checkParts({
    inputTokens: input,
    outputTokens: shown + uncounted,
    cachedInputTokens:
      count(inputDetails, 'cached_tokens') ??
      count(usage, 'prompt_cache_hit_tokens', 'cached_tokens', 'cachedContentTokenCount', 'cache_read_input_tokens') ??
      0,
    cacheWriteInputTokens:
      count(inputDetails, 'cache_write_tokens') ?? count(usage, 'cache_creation_input_tokens') ?? 0,
    reasoningTokens: reported === 0 ? uncounted : reported,
  });
}

function part(usage: Data, ...names: readonly string[]): Data {
  const found = names.map((name) => usage[name]).find(isRecord);
  return found ?? {};
}

/** The first of the fields that holds a plausible number of tokens; null: none does. */
function count(data: Data, ...names: readonly string[]): number | null {
  for (const name of names) {
    const value = data[name];
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maxTokens) return value;
  }
  return null;
}

function checkParts(usage: TokenUsage): TokenUsage | null {
  const { inputTokens, cachedInputTokens, cacheWriteInputTokens, outputTokens, reasoningTokens } = usage;
  const input = cachedInputTokens <= inputTokens && cacheWriteInputTokens <= inputTokens;
  return input && reasoningTokens <= outputTokens ? usage : null;
}
