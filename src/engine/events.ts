import type { GuardResult } from './guard.ts';
import type { PausedTurn } from './paused-turn.ts';
import type { Failure, FileText, ProviderState, RequestedCall, TokenUsage } from './ports.ts';
import type { Routed } from './routing.ts';

/** The states of a tool call. */
export const callStatuses = [
  'PENDING',
  'AWAITING_APPROVAL',
  'RUNNING',
  'SUCCEEDED',
  'FAILED',
  'DENIED',
  'CANCELLED',
  'UNKNOWN',
] as const;
export type CallStatus = (typeof callStatuses)[number];

/** Why the model stopped writing a message. */
const finishReasons = ['STOP', 'LENGTH', 'FILTERED', 'CANCELLED', 'ERROR'] as const;
export type FinishReason = (typeof finishReasons)[number];

/** A tool call as it stood when the event happened. */
export interface TurnToolCall {
  /** The row id. It is the same in every event, and after a pause. */
  readonly id: string;
  /** The id that the model chose, unique in its turn. */
  readonly callId: string;
  /** The message of its step; null: the step has no text. */
  readonly messageId: string | null;
  readonly step: number;
  readonly index: number;
  readonly name: string;
  /** As the model wrote them. */
  readonly arguments: string;
  /** The arguments that a person approved instead; null: those of the model. */
  readonly editedArguments: string | null;
  /** The id of the user who approved or denied it; null: nobody was asked, or nobody has decided yet. */
  readonly decidedBy: string | null;
  readonly result: unknown;
  readonly status: CallStatus;
  readonly error: string | null;
  readonly agentId: string;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  /** When the call is cancelled if nobody has decided on it; null: nobody was asked. Whoever pauses the turn sets it. */
  readonly approvalExpiresAt: Date | null;
}

/** How many tokens a model call took, for the ledger. */
export interface TurnModelCall {
  readonly step: number;
  readonly agentId: string;
  readonly model: string;
  /** Null: the model reported none. */
  readonly usage: TokenUsage | null;
  /** About how many it took, for budgets: nobody is to evade them by stopping the call before it reports any. */
  readonly estimatedTokens?: number;
  readonly durationMs: number;
  readonly timeToFirstTokenMs: number | null;
}

/** A handoff that a model asked for. */
export interface RequestedTransfer extends RequestedCall {
  /** Its position among all calls of the step, from 0. */
  readonly index: number;
}

/**
 * What happens in a turn, in order. Each turn ends with exactly one of turnCompleted, turnFailed, turnCancelled and
 * turnPaused. Before it, every tool call that was started has been completed and every open message closed.
 */
export type TurnEvent =
  | { readonly type: 'messageStarted'; readonly messageId: string; readonly agentId: string; readonly step: number }
  /** `offset` is where the delta starts in its message, in UTF-16 code units. */
  | { readonly type: 'textDelta'; readonly messageId: string; readonly offset: number; readonly delta: string }
  /** The reasoning before the message, which is not started if the step writes no text. `offset` is as for text. */
  | { readonly type: 'reasoningDelta'; readonly messageId: string; readonly offset: number; readonly delta: string }
  /** The text of the message from `length` code units on was withdrawn. */
  | { readonly type: 'textRetracted'; readonly messageId: string; readonly length: number }
  | {
      readonly type: 'messageCompleted';
      readonly messageId: string;
      readonly content: string;
      /** PARTIAL if the turn failed or was cancelled while it was written; REDACTED if it is complete and a guardrail replaced something of it. */
      readonly status: 'COMPLETE' | 'PARTIAL' | 'REDACTED';
      readonly finishReason: FinishReason;
      /** Whether the turn is complete with it: turnCompleted is the next event. */
      readonly isFinal: boolean;
      /** The answer as its agent’s output schema has it, as JSON columns hold it; unset: the agent has none, or the text is no answer. */
      readonly data?: unknown;
    }
  /**
   * What a step asks for, before its message is completed and before any of it begins: `toolCalls` without handoffs,
   * `transfers` the handoffs alone. `state` is what the provider wants back with them. Readers see the calls in the message.
   */
  | {
      readonly type: 'callsRequested';
      readonly toolCalls: readonly TurnToolCall[];
      readonly transfers: readonly RequestedTransfer[];
      readonly state: ProviderState | null;
    }
  | { readonly type: 'toolCallStarted'; readonly toolCall: TurnToolCall }
  | { readonly type: 'toolCallCompleted'; readonly toolCall: TurnToolCall }
  | {
      readonly type: 'handoffOccurred';
      /** The row id. */
      readonly id: string;
      readonly callId: string;
      readonly step: number;
      readonly fromAgentId: string;
      readonly toAgentId: string;
      readonly reason: string | null;
      readonly at: Date;
    }
  /** The result of a guardrail. Readers are shown it if something was flagged. */
  | { readonly type: 'guardrailChecked'; readonly result: GuardResult; readonly step: number }
  /**
   * A guardrail has replaced something of what the user has sent: the text is as `content` says from now on, and what stands in
   * these files, in which something was replaced, as they say.
   */
  | { readonly type: 'inputRedacted'; readonly content: string; readonly files: readonly FileText[] }
  /** A message of the user has joined the turn, before the model of a step is called. It is stored. */
  | { readonly type: 'messageSteered'; readonly messageId: string }
  /** The agent with which the turn begins was chosen. */
  | { readonly type: 'agentRouted'; readonly routed: Routed }
  /** A guardrail has blocked the user's text: no model is given it. */
  | { readonly type: 'inputBlocked' }
  /** For the ledger; readers of the run are not shown it. */
  | { readonly type: 'modelCalled'; readonly call: TurnModelCall }
  | { readonly type: 'turnCompleted' }
  /** `waiting` are the calls that a person has to decide on, at least one; all other calls of their step are done. */
  | { readonly type: 'turnPaused'; readonly waiting: readonly TurnToolCall[]; readonly paused: PausedTurn }
  /** `cause` is for the server's log, never for readers. */
  | { readonly type: 'turnFailed'; readonly failure: Failure; readonly cause?: unknown }
  | { readonly type: 'turnCancelled' };
