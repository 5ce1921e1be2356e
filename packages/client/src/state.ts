import type { EventCall, TurnEvent } from './events.ts';

/**
 * CONNECTING: nothing was heard of it yet. WAITING: it goes on when a person has decided on a call. LOST: the connection
 * was given up, and `resume` tries again; the turn itself goes on at the server.
 */
export type TurnStatus =
  | 'CONNECTING'
  | 'QUEUED'
  | 'RUNNING'
  | 'WAITING'
  | 'COMPLETED'
  | 'FAILED'
  | 'CANCELLED'
  | 'LOST';

/** A message that an agent writes in the turn; or the reasoning of a step that only called tools, with no text and no agent. */
export interface TurnMessage {
  readonly id: string;
  readonly agent: string;
  readonly text: string;
  readonly reasoning: string;
  readonly isComplete: boolean;
}

export interface TurnCall extends EventCall {
  /** Whether a person has to decide on it: {@link Turn.approve}. */
  readonly needsApproval: boolean;
}

export interface TurnHandoff {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly reason: string | null;
}

/** What a guardrail has found in a text of the turn. */
export interface TurnGuardrail {
  readonly guardrail: string;
  /** Which text was checked: `GuardrailStage`. */
  readonly stage: string;
  /** What has happened with the text: a `ModerationAction`. */
  readonly action: string;
  /** Without the text that was flagged. */
  readonly reasoning: string | null;
}

/** Why the turn failed, was refused or is lost. */
export interface TurnError {
  /** A `RunErrorCode`, the `extensions.code` of the error that refused the turn, or CONNECTION_LOST. */
  readonly code: string;
  readonly message: string;
  /** Whether another try may work. */
  readonly retryable: boolean;
}

/** A turn as a page shows it. Never changed: each event makes another one, which shares what it did not touch. */
export interface TurnState {
  readonly status: TurnStatus;
  readonly runId: string | null;
  /** Of the last event that is in it. */
  readonly seq: number;
  /** In the queue of its conversation, from 1; null: it does not wait. */
  readonly queuePosition: number | null;
  /** What the person wrote, with its id once the turn has started. */
  readonly userMessage: { readonly id: string | null; readonly content: string } | null;
  readonly messages: readonly TurnMessage[];
  readonly toolCalls: readonly TurnCall[];
  readonly handoffs: readonly TurnHandoff[];
  /** In the order in which they were found. */
  readonly guardrails: readonly TurnGuardrail[];
  readonly error: TurnError | null;
}

export const emptyState: TurnState = {
  status: 'CONNECTING',
  runId: null,
  seq: 0,
  queuePosition: null,
  userMessage: null,
  messages: [],
  toolCalls: [],
  handoffs: [],
  guardrails: [],
  error: null,
};

/** Whether nothing comes after this status. */
export const isFinal = (status: TurnStatus): boolean =>
  status === 'COMPLETED' || status === 'FAILED' || status === 'CANCELLED';

/**
 * The state after an event. What has been applied changes nothing when it comes again: a reconnection may repeat it, and
 * offsets put text where it belongs.
 */
export function applyEvent(state: TurnState, event: TurnEvent): TurnState {
  if (event.seq <= state.seq) return state;
  const next = { ...state, seq: event.seq, runId: event.runId };
  switch (event.__typename) {
    case 'RunQueued':
      return { ...next, status: 'QUEUED', queuePosition: event.position };
    case 'RunStarted':
      return { ...next, status: 'RUNNING', queuePosition: null, userMessage: event.userMessage };
    case 'MessageStarted':
      return { ...next, status: 'RUNNING', messages: putMessage(state, event.messageId, { agent: event.agent.name }) };
    case 'TextDelta':
      return {
        ...next,
        messages: putMessage(state, event.messageId, ({ text }) => ({
          text: text.slice(0, event.offset) + event.delta,
        })),
      };
    case 'ReasoningDelta':
      return {
        ...next,
        messages: putMessage(state, event.messageId, ({ reasoning }) => ({
          reasoning: reasoning.slice(0, event.offset) + event.delta,
        })),
      };
    case 'TextRetracted':
      return {
        ...next,
        messages: putMessage(state, event.messageId, ({ text }) => ({ text: text.slice(0, event.length) })),
      };
    case 'MessageCompleted':
      return {
        ...next,
        messages: putMessage(state, event.message.id, { text: event.message.content, isComplete: true }),
      };
    case 'ToolCallStarted':
    case 'ToolCallCompleted':
    case 'ApprovalRequested': {
      const needsApproval = event.__typename === 'ApprovalRequested';
      const toolCalls = put(state.toolCalls, { ...event.toolCall, needsApproval });
      const status = toolCalls.some((call) => call.needsApproval) ? 'WAITING' : 'RUNNING';
      return { ...next, status, toolCalls };
    }
    case 'HandoffOccurred': {
      const { id, reason, fromAgent, toAgent } = event.handoff;
      return { ...next, handoffs: put(state.handoffs, { id, reason, from: fromAgent.name, to: toAgent.name }) };
    }
    case 'GuardrailTripped': {
      const { guardrail, stage, decision } = event.result;
      const found = { guardrail, stage, action: decision?.action ?? 'ALLOW', reasoning: decision?.reasoning ?? null };
      return { ...next, guardrails: [...state.guardrails, found] };
    }
    case 'RunCompleted':
      return { ...next, status: 'COMPLETED', error: null };
    case 'RunCancelled':
      return { ...next, status: 'CANCELLED', queuePosition: null, error: null };
    case 'RunFailed':
      return { ...next, status: 'FAILED', error: event.error };
    default:
      return next;
  }
}

/** A list with an item at the place of the one with its id, or at the end. */
function put<Item extends { readonly id: string }>(list: readonly Item[], item: Item): readonly Item[] {
  const at = list.findIndex(({ id }) => id === item.id);
  return at < 0 ? [...list, item] : [...list.slice(0, at), item, ...list.slice(at + 1)];
}

type Changes = Partial<TurnMessage>;

function putMessage(
  { messages }: TurnState,
  id: string,
  change: Changes | ((message: TurnMessage) => Changes),
): readonly TurnMessage[] {
  const known = messages.find((message) => message.id === id);
  const message = known ?? { id, agent: '', text: '', reasoning: '', isComplete: false };
  return put(messages, { ...message, ...(typeof change === 'function' ? change(message) : change) });
}
