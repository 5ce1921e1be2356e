import { type ChatTurnInput, createTurn, followRun, type Turn, type TurnState } from '@switchboard/client';
import { useSyncExternalStore } from 'react';
import { client, socket } from './client.ts';
import { type AttachmentViewFragment, FinishedRunDocument, ThreadDocument } from './generated/graphql.ts';

/** A turn that this page shows while it runs. When it has ended, the stored messages take its place. */
export interface LiveTurn {
  readonly turn: Turn;
  /** What this page has sent. Null: it follows a run. */
  readonly input: ChatTurnInput | null;
  /** The message whose place the turn takes: what follows it is hidden. `keeps`: the message itself stays. */
  readonly replaces: { readonly messageId: string; readonly keeps: boolean } | null;
  /** Whether the turn creates the conversation. */
  readonly isNew: boolean;
  /** The files of its message. */
  readonly files: readonly AttachmentViewFragment[];
  /** Handoffs, calls, messages and what guardrails have found, in the order in which they were first seen: their kind and id. */
  readonly order: readonly string[];
  readonly state: TurnState;
}

/** What the turn hides of the thread, whether it begins a conversation, and the files that are shown with its message. */
interface Place extends Pick<LiveTurn, 'replaces' | 'isNew' | 'files'> {
  readonly input?: ChatTurnInput | null;
}

const turns = new Map<string, LiveTurn>();
const listeners = new Set<() => void>();
/** Runs whose end was seen: the list may still call them unfinished for a moment. */
const ended = new Set<string>();

const pendingKey = (conversationId: string) => `switchboard:turn:${conversationId}`;

/** Sends a message. Until the turn has ended, a reload of the page attaches to the same turn: it is never started twice. */
export function sendTurn(input: ChatTurnInput, place: Place): void {
  const { replaces, isNew, files } = place;
  const keyed = { ...input, idempotencyKey: input.idempotencyKey ?? crypto.randomUUID() };
  sessionStorage.setItem(
    pendingKey(input.conversationId),
    JSON.stringify({ input: keyed, place: { replaces, isNew, files } }),
  );
  show(input.conversationId, createTurn(socket, keyed), { ...place, input: keyed });
}

/** Names the files of a message: uploads by their ids, others by their addresses. */
export function named(files: readonly AttachmentViewFragment[]): Pick<ChatTurnInput, 'attachmentIds' | 'attachments'> {
  const attachmentIds = files.flatMap(({ id }) => id ?? []);
  const attachments = files.filter(({ id }) => !id).map(({ name, size, type, url }) => ({ name, size, type, url }));
  return { ...(attachmentIds.length > 0 && { attachmentIds }), ...(attachments.length > 0 && { attachments }) };
}

/** Attaches to what this tab has sent before the page was loaded again, if it is not known how that ended. */
export function resumeTurn(conversationId: string): void {
  const pending = sessionStorage.getItem(pendingKey(conversationId));
  if (pending === null || turns.has(conversationId)) return;
  const { input, place }: { input: ChatTurnInput; place: Place } = JSON.parse(pending);
  show(conversationId, createTurn(socket, input), { ...place, input });
}

/**
 * Follows a run that another tab or device has started, or that ran when the page was loaded: from its beginning, because the
 * calls that wait belong to no stored message yet. After a cut it goes on behind the last event that was seen.
 */
export function attachRun(conversationId: string, runId: string): void {
  if (turns.has(conversationId) || ended.has(runId)) return;
  show(conversationId, followRun(socket, runId), { replaces: null, isNew: false, files: [] });
}

/** Takes a turn that was refused or is lost from the page. */
export function dismissTurn(conversationId: string): void {
  turns.get(conversationId)?.turn.leave();
  forget(conversationId);
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
const never = () => () => {};

/** The turn of a conversation that is shown now. While a text grows, it stays the same: see {@link useLiveText}. */
export function useLiveTurn(conversationId: string): LiveTurn | null {
  return useSyncExternalStore(subscribe, () => turns.get(conversationId) ?? null);
}

/**
 * The text of a message, as far as the turn of a conversation has written it.
 * @param conversationId null: no turn writes the message, and it has no such text
 */
export function useLiveText(conversationId: string | null, messageId: string): string | null {
  return useSyncExternalStore(conversationId === null ? never : subscribe, () => {
    const { messages } = (conversationId !== null && turns.get(conversationId)?.turn.getState()) || { messages: [] };
    return messages.find(({ id }) => id === messageId)?.text ?? null;
  });
}

function show(conversationId: string, turn: Turn, { replaces, isNew, files, input = null }: Place): void {
  const update = () => {
    const known = turns.get(conversationId);
    const state = turn.getState();
    // Whoever shows the whole conversation is not told of each word.
    if (known === undefined || !hasOnlyGrown(known.state, state)) {
      const order = extend(known?.order ?? [], state);
      turns.set(conversationId, { turn, input, replaces, isNew, files, state, order });
    }
    notify();
  };
  turns.delete(conversationId);
  update();
  turn.subscribe(() => {
    if (turns.get(conversationId)?.turn !== turn) return;
    update();
    void settle(conversationId, turn);
  });
}

/** Whether nothing but texts differ that were there already. */
function hasOnlyGrown(before: TurnState, after: TurnState): boolean {
  const { messages: old, seq: _old, ...rest } = before;
  const { messages, seq: _seq, ...known } = after;
  return (
    isAlike(rest, known) &&
    old.length === messages.length &&
    messages.every((message, at) => {
      const { text, reasoning: _reasoning, ...others } = message;
      const { text: oldText = '', reasoning: _old, ...oldOthers } = old[at] ?? {};
      return isAlike(others, oldOthers) && (text === '') === (oldText === '');
    })
  );
}

function isAlike(one: object, other: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(one).every(([name, value]) => value === other[name]);
}

function extend(order: readonly string[], { handoffs, toolCalls, messages, guardrails }: TurnState): readonly string[] {
  const seen = new Set(order);
  const all = [
    ...handoffs.map(({ id }) => `handoff ${id}`),
    ...toolCalls.map(({ id }) => `call ${id}`),
    ...messages.map(({ id }) => `message ${id}`),
    ...guardrails.map((_found, index) => `guardrail ${index}`),
  ];
  const added = all.filter((item) => !seen.has(item));
  return added.length === 0 ? order : [...order, ...added];
}

/** When a turn has ended, reads once what it has left, and lets that take its place. */
async function settle(conversationId: string, turn: Turn): Promise<void> {
  const { status, runId, messages } = turn.getState();
  if (status !== 'COMPLETED' && status !== 'FAILED' && status !== 'CANCELLED') return;
  sessionStorage.removeItem(pendingKey(conversationId));
  // It was refused: what was written stays on the page with the reason.
  if (runId === null || ended.has(runId)) return;
  ended.add(runId);
  const live = turns.get(conversationId);
  const fresh = { requestPolicy: 'network-only' } as const;
  await client.query(FinishedRunDocument, { id: runId }, fresh);
  const thread = client.readQuery(ThreadDocument, { id: conversationId })?.data?.conversation;
  const listed = new Set(thread?.messages.edges.map(({ node }) => node.id));
  const isListed = messages.every(({ id, agent }) => agent === '' || listed.has(id));
  if (!isListed || live?.replaces || live?.isNew) await client.query(ThreadDocument, { id: conversationId }, fresh);
  if (turns.get(conversationId)?.turn === turn) forget(conversationId);
}

function forget(conversationId: string): void {
  sessionStorage.removeItem(pendingKey(conversationId));
  turns.delete(conversationId);
  notify();
}

function notify(): void {
  for (const listener of [...listeners]) listener();
}
