import { z } from 'zod';
import type { TokenUsage } from '../../engine/ports.ts';

/** More than any model call takes, and little enough for every sum and column that it goes into. */
const maxTokens = 100_000_000;

const count = z.int().min(0).max(maxTokens);
const detail = count.nullish().transform((value) => value ?? 0);

const chatUsage = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count.nullish(),
  prompt_tokens_details: z.object({ cached_tokens: detail, cache_write_tokens: detail }).nullish(),
  completion_tokens_details: z.object({ reasoning_tokens: detail }).nullish(),
});

const responsesUsage = z.object({
  input_tokens: count,
  output_tokens: count,
  input_tokens_details: z.object({ cached_tokens: detail, cache_write_tokens: detail }).nullish(),
  output_tokens_details: z.object({ reasoning_tokens: detail }).nullish(),
});

/** The usage of a chat completion, or null when there is none or it cannot be true. */
export function readChatUsage(value: unknown): TokenUsage | null {
  const usage = chatUsage.safeParse(value).data;
  if (usage === undefined) return null;
  const reasoningTokens = usage.completion_tokens_details?.reasoning_tokens ?? 0;
  const shown = usage.prompt_tokens + usage.completion_tokens;
  // Some providers (xAI) leave the reasoning out of the completion and count it only in the total.
  const apart = reasoningTokens > 0 && usage.total_tokens === shown + reasoningTokens;
  return checkParts({
    inputTokens: usage.prompt_tokens,
    outputTokens: usage.completion_tokens + (apart ? reasoningTokens : 0),
    cachedInputTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    cacheWriteInputTokens: usage.prompt_tokens_details?.cache_write_tokens ?? 0,
    reasoningTokens,
  });
}

/** The usage of a response, or null when there is none or it cannot be true. */
export function readResponseUsage(value: unknown): TokenUsage | null {
  const usage = responsesUsage.safeParse(value).data;
  if (usage === undefined) return null;
  return checkParts({
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    cachedInputTokens: usage.input_tokens_details?.cached_tokens ?? 0,
    cacheWriteInputTokens: usage.input_tokens_details?.cache_write_tokens ?? 0,
    reasoningTokens: usage.output_tokens_details?.reasoning_tokens ?? 0,
  });
}

function checkParts(usage: TokenUsage): TokenUsage | null {
  const { inputTokens, cachedInputTokens, cacheWriteInputTokens, outputTokens, reasoningTokens } = usage;
  const input = cachedInputTokens <= inputTokens && cacheWriteInputTokens <= inputTokens;
  return input && reasoningTokens <= outputTokens ? usage : null;
}
