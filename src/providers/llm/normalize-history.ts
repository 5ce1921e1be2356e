import type { AttachedContent, HistoryItem, ModelRequest } from '../../engine/ports.ts';

/** A history that a provider takes, and the instructions that belong to it. */
export interface NormalizedHistory {
  readonly instructions: string;
  readonly history: readonly HistoryItem[];
}

/** The user message before an assistant's that begins the conversation. */
const opening = 'Begin the conversation.';
/** The assistant message between tool results and the next user message, if the turn was stopped there. */
const stopped = '(I was stopped before I could answer.)';
/** What stands there if the user has said something while the agent worked. */
const working = '(I was working on it when the user wrote this.)';
/** A user message without any text. */
const blank = '(no text)';

/**
 * Makes a history that strict servers take: the chat templates of vLLM and llama.cpp, Mistral, Gemini, and endpoints in
 * front of Anthropic. They want one system message at the beginning, then users and assistants in turn, beginning with
 * a user; no user message directly after tool results; no blank text; and no tool calls if no tools are offered.
 *
 * - System messages go to the end of the instructions, in their order.
 * - Neighbouring messages of one role become one, with a blank line between them.
 * - Tool calls that the agent could not make become a note with their results for the model.
 */
export function normalizeHistory({ instructions, history, tools }: Omit<ModelRequest, 'endpoint'>): NormalizedHistory {
  const notes: string[] = instructions.trim() === '' ? [] : [instructions];
  const items: HistoryItem[] = [];
  const source = tools.length === 0 ? history.flatMap(describeCalls(history)) : history;
  for (const item of source) {
    if (item.role === 'system') {
      if (item.content.trim() !== '') notes.push(item.content);
    } else push(items, item);
  }
  return { instructions: notes.join('\n\n'), history: items };
}

/** Drops what even lenient providers refuse: blank text. */
export function dropBlanks(history: readonly HistoryItem[]): readonly HistoryItem[] {
  return history.flatMap((item): HistoryItem[] => {
    if (item.role === 'tool' || item.content.trim() !== '') return [item];
    if (item.role === 'user') return [{ ...item, content: blank }];
    return item.role === 'assistant' && item.calls.length > 0 ? [{ ...item, content: '' }] : [];
  });
}

function push(items: HistoryItem[], item: Exclude<HistoryItem, { role: 'system' }>): void {
  const last = items.at(-1);
  if (item.role === 'tool') {
    items.push(item);
    return;
  }
  if (item.role === 'user') {
    const content = item.content.trim() === '' ? blank : item.content;
    const { attached } = item;
    if (last?.role === 'user') items[items.length - 1] = joinUserItems(last, { ...item, content });
    else {
      if (last?.role === 'tool')
        items.push({ role: 'assistant', content: item.isSteered ? working : stopped, calls: [] });
      items.push({ role: 'user', content, ...(attached && { attached }) });
    }
    return;
  }
  const content = item.content.trim() === '' ? '' : item.content;
  if (content === '' && item.calls.length === 0) return;
  if (last === undefined) items.push({ role: 'user', content: opening });
  if (last?.role !== 'assistant') {
    items.push({ ...item, content });
    return;
  }
  const text = [last.content, content].filter((part) => part !== '').join('\n\n');
  items[items.length - 1] = { ...item, content: text };
}

type UserItem = Extract<HistoryItem, { role: 'user' }>;

function joinUserItems(last: UserItem, next: UserItem): UserItem {
  const images = [...(last.attached?.images ?? []), ...(next.attached?.images ?? [])];
  const content = `${last.content}\n\n${next.content}`;
  return { role: 'user', content, ...(images.length > 0 && { attached: { text: '', images } }) };
}

/** The images of a message that are there, as `data:` URLs. Its texts are in its content by then (runs/execute/give-files.ts). */
export function listImageUrls(attached: AttachedContent | undefined): string[] {
  return (attached?.images ?? []).flatMap(({ url }) => (url === undefined ? [] : [url]));
}

/** Turns calls and their results into notes, which come where a user message may. */
function describeCalls(history: readonly HistoryItem[]): (item: HistoryItem) => HistoryItem[] {
  const outputs = new Map(history.flatMap((item) => (item.role === 'tool' ? [[item.callId, item.output]] : [])));
  return (item) => {
    if (item.role === 'tool') return [];
    if (item.role !== 'assistant' || item.calls.length === 0) return [item];
    const lines = item.calls.map(
      (call) =>
        `[Earlier in this conversation, the tool ${call.name} was called with ${call.arguments}. It returned: ${outputs.get(call.id) ?? 'nothing'}]`,
    );
    const text: HistoryItem[] =
      item.content.trim() === '' ? [] : [{ role: 'assistant', content: item.content, calls: [] }];
    return [...text, { role: 'user', content: lines.join('\n') }];
  };
}
