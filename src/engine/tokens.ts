import type { TurnModelCall } from './events.ts';
import type { AttachedContent, HistoryItem, ModelRequest, RequestedCall, TokenUsage, ToolSpec } from './ports.ts';

/**
 * About how many tokens a text takes: a quarter of its UTF-8 bytes. Tokenisers differ by model; this is too high rather
 * than too low for languages that take several bytes a character.
 */
function countText(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 4);
}

/** About how many tokens an item of the history takes, with a few for what is around it. */
export function estimateTokens(item: HistoryItem): number {
  if (item.role === 'tool') return countText(item.output) + 4;
  if (item.role === 'user') return countText(item.content) + estimateAttached(item.attached) + 4;
  if (item.role === 'system') return countText(item.content) + 4;
  const state = item.state === undefined ? '' : JSON.stringify(item.state.data);
  return countText(item.content + callText(item.calls) + state) + 4;
}

function estimateAttached(attached: AttachedContent | undefined): number {
  if (attached === undefined) return 0;
  return countText(attached.text) + attached.images.reduce((sum, { tokens }) => sum + tokens, 0);
}

/** About how many tokens a history takes. */
export function estimateHistory(history: readonly HistoryItem[]): number {
  return history.reduce((sum, item) => sum + estimateTokens(item), 0);
}

/** About how many tokens the instructions and tools of a request take. */
export function estimateOverhead(instructions: string, tools: readonly ToolSpec[]): number {
  return countText(instructions) + countText(JSON.stringify(tools));
}

/** About how many tokens a call has taken that reported none. @param answerLength characters of its answer so far */
export function estimateCall({ instructions, history, tools }: ModelRequest, answerLength: number): number {
  return estimateOverhead(instructions, tools) + estimateHistory(history) + Math.ceil(answerLength / 4);
}

/** What a model call counts towards budgets; null: what it has reported. */
export function budgetTokensOf(call: Pick<TurnModelCall, 'usage' | 'estimatedTokens'>): number | null {
  return (call.usage === null ? call.estimatedTokens : call.usage.budgetTokens) ?? null;
}

/** A token takes a byte at least, and the estimates count four. */
const maxTokensPerEstimated = 4;
/** What providers and the options of an agent add to a request, such as templates and schemas of answers. */
const maxAddedTokens = 10_000;

/**
 * Bounds what a report counts towards budgets by what was sent and received. Who answers at an address that a user wrote may
 * report anything, and the budget of a tenant is shared by its users.
 * @param answerLength characters of the answer, with its reasoning and its calls
 */
export function boundUsage(usage: TokenUsage, request: ModelRequest, answerLength: number): TokenUsage {
  const sent = estimateCall(request, 0) * maxTokensPerEstimated + maxAddedTokens;
  // A character has four bytes at most.
  const received = answerLength * 4;
  const budgetTokens = Math.min(usage.inputTokens, sent) + Math.min(usage.outputTokens, received);
  return budgetTokens < usage.inputTokens + usage.outputTokens ? { ...usage, budgetTokens } : usage;
}

function callText(calls: readonly RequestedCall[]): string {
  return calls.map((call) => call.name + call.arguments).join('');
}
