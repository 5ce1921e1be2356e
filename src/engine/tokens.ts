import type { HistoryItem, RequestedCall, ToolSpec } from './ports.ts';

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
  if (item.role !== 'assistant') return countText(item.content) + 4;
  const state = item.state === undefined ? '' : JSON.stringify(item.state.data);
  return countText(item.content + callText(item.calls) + state) + 4;
}

/** About how many tokens a history takes. */
export function estimateHistory(history: readonly HistoryItem[]): number {
  return history.reduce((sum, item) => sum + estimateTokens(item), 0);
}

/** About how many tokens the instructions and tools of a request take. */
export function estimateOverhead(instructions: string, tools: readonly ToolSpec[]): number {
  return countText(instructions) + countText(JSON.stringify(tools));
}

function callText(calls: readonly RequestedCall[]): string {
  return calls.map((call) => call.name + call.arguments).join('');
}
