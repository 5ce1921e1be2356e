import { type PlannedAgent, writeInstructions } from './plan.ts';
import type { HistoryItem, ModelEndpoint } from './ports.ts';
import { estimateHistory, estimateOverhead, estimateTokens } from './tokens.ts';
import { cutAnswer } from './tool-result.ts';

/** The context window that is assumed if neither the agent nor its provider's preset says how large it is. */
const defaultContextTokens = 32_000;

/** Tokens that are left for the answer if nobody has set a limit; at most a quarter of the window. */
const answerTokens = 4_096;
/** Estimates are imprecise, so that not all of the window is planned with. */
const usedPart = 0.9;
const minBudget = 256;

/** Characters of a tool result that stay when it is shortened, at least. */
const minResultLength = 400;

/** The context window of a model, in tokens: an assumed one if it is not known. */
export function windowOf({ contextTokens }: Pick<ModelEndpoint, 'contextTokens'>): number {
  return contextTokens ?? defaultContextTokens;
}

/**
 * How many tokens of history fit into a model's context window, beside the agent's instructions and tools and the answer.
 * @param contextTokens the window; unset: the agent's
 */
export function planHistoryTokens(
  agent: Pick<PlannedAgent, 'instructions' | 'outputSchema' | 'context' | 'tools' | 'maxTokens' | 'endpoint'>,
  contextTokens: number = windowOf(agent.endpoint),
): number {
  const { tools, maxTokens } = agent;
  const specs = tools.map(({ name, description, parameters }) => ({ name, description, parameters }));
  const reserved = Math.min(maxTokens ?? answerTokens, contextTokens / 4);
  const free = contextTokens - reserved - estimateOverhead(writeInstructions(agent), specs);
  return Math.max(minBudget, Math.floor(free * usedPart));
}

/**
 * Makes a history fit into a number of tokens: tool results and the texts of files are shortened, from the oldest on and no further than needed;
 * if that is not enough, turns are dropped from the oldest on. The user's last message always stays.
 */
export function fitHistory(history: readonly HistoryItem[], budgetTokens: number): readonly HistoryItem[] {
  let excess = estimateHistory(history) - budgetTokens;
  if (excess <= 0) return history;
  const shortened = history.map((item) => {
    if (excess <= 0) return item;
    if (item.role === 'user') {
      const short = shortenAttached(item, excess);
      excess -= estimateTokens(item) - estimateTokens(short);
      return short;
    }
    if (item.role !== 'tool' || item.output.length <= minResultLength) return item;
    // A character of JSON is about a byte; escapes make the cut text a little longer than asked for.
    const length = Math.max(minResultLength, item.output.length - (excess + 16) * 4);
    const short = { ...item, output: JSON.stringify(cutAnswer(item.output, length)) };
    excess -= estimateTokens(item) - estimateTokens(short);
    return short;
  });
  return dropOldestTurns(shortened, excess);
}

const cutNote = '\n[The rest of the files does not fit beside the conversation.]';

/** Cuts what stands in the files of a message, by so many tokens if there are so many. */
function shortenAttached<Item extends Extract<HistoryItem, { role: 'user' }>>(item: Item, excess: number): Item {
  const { attached } = item;
  if (attached === undefined || attached.text.length <= minResultLength) return item;
  const length = Math.max(minResultLength, attached.text.length - (excess + 16) * 4);
  if (length + cutNote.length >= attached.text.length) return item;
  return { ...item, attached: { ...attached, text: attached.text.slice(0, length).toWellFormed() + cutNote } };
}

function dropOldestTurns(history: readonly HistoryItem[], excess: number): readonly HistoryItem[] {
  const starts = history.flatMap((item, index) => (item.role === 'user' ? [index] : []));
  const last = starts.at(-1) ?? 0;
  let from = 0;
  let left = excess;
  for (const start of starts) {
    if (left <= 0 || start > last) break;
    left -= estimateHistory(history.slice(from, start));
    from = start;
  }
  // What the application said before the first turn stays: it is not part of any.
  const notes = history.slice(0, from).filter((item) => item.role === 'system');
  return from === 0 ? history : [...notes, ...history.slice(from)];
}
