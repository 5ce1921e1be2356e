import type { CallStatus } from './events.ts';
import { isRecord, parseJson } from './json.ts';
import type { AttachedContent, HistoryItem, ProviderState, RequestedCall } from './ports.ts';
import { estimateHistory } from './tokens.ts';
import { deniedNote, transferredOutput, unknownNote } from './tool-step.ts';

/** A stored message, as history needs it. */
export interface PastMessage {
  readonly role: 'USER' | 'ASSISTANT' | 'SYSTEM';
  readonly content: string;
  /** The model step of its run that wrote it or, for a message that joined the run, that it came before; null: none. */
  readonly step: number | null;
  /** What models are given of its files; unset: there are none. */
  readonly attached?: AttachedContent;
}

/** A stored tool call. */
export interface PastCall {
  readonly callId: string;
  readonly step: number;
  readonly index: number;
  readonly name: string;
  readonly arguments: string;
  /** The arguments that a person approved instead; null: those of the model. */
  readonly editedArguments: string | null;
  readonly status: CallStatus;
  readonly result: unknown;
  readonly error: string | null;
  /** What the provider wants back with the calls of this step, with the first of them. */
  readonly state?: ProviderState | null;
}

/** A stored handoff. */
interface PastHandoff {
  readonly callId: string;
  readonly step: number;
  readonly toolName: string;
  readonly reason: string | null;
}

/** A past turn: its messages in their order, and what happened between them. */
export interface PastTurn {
  readonly messages: readonly PastMessage[];
  readonly calls: readonly PastCall[];
  readonly handoffs: readonly PastHandoff[];
}

/**
 * The history that a model is given. Whatever happened before, each call has a result, nothing is empty, and arguments
 * that are not JSON are wrapped. What single providers want beyond that is for the model port to do.
 *
 * @param turns oldest first; the last is the one that begins, and stays whole
 * @param budgetTokens if the history is longer, whole turns are dropped from the oldest on
 */
export function buildHistory(turns: readonly PastTurn[], budgetTokens: number): HistoryItem[] {
  const kept: HistoryItem[][] = [];
  let left = budgetTokens;
  for (const [back, turn] of turns.toReversed().entries()) {
    const items = itemsOf(turn);
    left -= estimateHistory(items);
    if (left < 0 && back > 0) break;
    kept.push(items);
  }
  return kept.reverse().flat();
}

function itemsOf(turn: PastTurn): HistoryItem[] {
  const items: HistoryItem[] = [];
  for (const message of turn.messages) {
    if (message.step !== null || message.content === '') continue;
    if (message.role === 'ASSISTANT') items.push({ role: 'assistant', content: message.content, calls: [] });
    else if (message.role === 'SYSTEM') items.push({ role: 'system', content: message.content });
    else items.push(userItem(message));
  }
  const written = turn.messages.filter((message) => message.step !== null);
  const steps = new Set([...written, ...turn.calls, ...turn.handoffs].map((entry) => entry.step ?? 0));
  for (const step of [...steps].sort((a, b) => a - b)) {
    const ofStep = written.filter((message) => message.step === step);
    for (const message of ofStep) if (message.role === 'USER') items.push({ ...userItem(message), isSteered: true });
    const content = ofStep
      .filter(({ role }) => role !== 'USER')
      .map((message) => message.content)
      .join('');
    const calls: RequestedCall[] = [];
    const results: HistoryItem[] = [];
    let state: ProviderState | null = null;
    for (const call of turn.calls.filter((entry) => entry.step === step).sort((a, b) => a.index - b.index)) {
      // The model is shown what was done: the arguments as a person has changed them.
      const written = call.editedArguments ?? call.arguments;
      state ??= call.state ?? null;
      calls.push({ id: call.callId, name: call.name, arguments: validArguments(written) });
      results.push({ role: 'tool', callId: call.callId, output: describeOutcome(call) });
    }
    for (const handoff of turn.handoffs.filter((entry) => entry.step === step)) {
      const reason = handoff.reason === null ? {} : { reason: handoff.reason };
      calls.push({ id: handoff.callId, name: handoff.toolName, arguments: JSON.stringify(reason) });
      results.push({ role: 'tool', callId: handoff.callId, output: transferredOutput });
    }
    if (content !== '' || calls.length > 0) {
      items.push({ role: 'assistant', content, calls, ...(state === null ? {} : { state }) }, ...results);
    }
  }
  return items;
}

function userItem({ content, attached }: PastMessage): Extract<HistoryItem, { role: 'user' }> {
  return { role: 'user', content, ...(attached && { attached }) };
}

/** What the model is told of a call that has ended, by its row. */
export function describeOutcome(call: Pick<PastCall, 'status' | 'result' | 'error'>): string {
  switch (call.status) {
    case 'SUCCEEDED':
      return JSON.stringify(call.result ?? null);
    case 'FAILED':
      return JSON.stringify({ error: call.error ?? 'The tool failed.' });
    case 'DENIED':
      return JSON.stringify({ error: call.error ?? deniedNote });
    case 'UNKNOWN':
      return JSON.stringify({ error: call.error ?? unknownNote });
    default:
      return JSON.stringify({ error: 'Cancelled: the turn was stopped before there was an answer.' });
  }
}

function validArguments(written: string): string {
  // The model sees what it wrote, the provider sees JSON.
  return isRecord(parseJson(written)) ? written : JSON.stringify({ invalid: written });
}
