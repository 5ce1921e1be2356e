import type { TurnToolCall } from '../engine/events.ts';
import type { GuardResult } from '../engine/guard.ts';
import type { Failure } from '../engine/ports.ts';

/** A routing decision as it is stored; agents are row ids. */
interface RoutingDecided {
  readonly rootAgentId: string | null;
  readonly selectedAgentIds: string[];
  readonly selectedTools: string[];
  readonly confidence: number;
  readonly reasoning: string;
  readonly alternatives: string[];
}

/** An event without its place in the log. Ids are row ids. */
export type RunEventPayload =
  /** The run waits for the turns before it. `position` is its place in the queue, from 1: the next to begin. */
  | { readonly type: 'RunQueued'; readonly position: number }
  | { readonly type: 'RunStarted'; readonly userMessageId: string }
  /** `decision` is as runs store it. */
  | { readonly type: 'RoutingDecided'; readonly decision: RoutingDecided }
  | { readonly type: 'MessageStarted'; readonly messageId: string; readonly agentId: string }
  | { readonly type: 'TextDelta'; readonly messageId: string; readonly offset: number; readonly delta: string }
  | { readonly type: 'ReasoningDelta'; readonly messageId: string; readonly offset: number; readonly delta: string }
  | { readonly type: 'TextRetracted'; readonly messageId: string; readonly length: number }
  | { readonly type: 'ToolCallStarted'; readonly toolCall: TurnToolCall }
  | { readonly type: 'ToolCallCompleted'; readonly toolCall: TurnToolCall }
  | { readonly type: 'ApprovalRequested'; readonly toolCall: TurnToolCall }
  | {
      readonly type: 'HandoffOccurred';
      readonly handoffId: string;
      readonly fromAgentId: string;
      readonly toAgentId: string;
      readonly reason: string | null;
      readonly happenedAt: Date;
      /** The seq with which it was first reported: another one if the events were rebuilt. */
      readonly happenedSeq: number;
    }
  | { readonly type: 'GuardrailTripped'; readonly result: GuardResult }
  /** A message of the user joined the run. */
  | { readonly type: 'MessageSteered'; readonly messageId: string }
  | { readonly type: 'MessageCompleted'; readonly messageId: string }
  | { readonly type: 'RunCompleted' }
  | { readonly type: 'RunFailed'; readonly failure: Failure }
  | { readonly type: 'RunCancelled' };

/** An event in the log of a run. `at` is milliseconds since the epoch. */
export type RunEvent = RunEventPayload & { readonly seq: number; readonly runId: string; readonly at: number };

/** Whether it is the last event of its run. */
export function isTerminal(event: RunEventPayload): boolean {
  return event.type === 'RunCompleted' || event.type === 'RunFailed' || event.type === 'RunCancelled';
}

/**
 * Merges two adjacent deltas of one kind, if the second continues the first.
 * @returns the merged event, with the seq and the moment of the later one; null if they cannot be merged
 */
export function mergeDeltas(first: RunEvent, second: RunEvent): RunEvent | null {
  if (first.type !== 'TextDelta' && first.type !== 'ReasoningDelta') return null;
  if (first.type !== second.type) return null;
  if (first.messageId !== second.messageId || first.offset + first.delta.length !== second.offset) return null;
  return { ...second, offset: first.offset, delta: first.delta + second.delta };
}

/** How many bytes of text an event holds, in UTF-8. */
export function sizeOfEvent(event: RunEventPayload): number {
  switch (event.type) {
    case 'TextDelta':
    case 'ReasoningDelta':
      return Buffer.byteLength(event.delta);
    case 'ToolCallStarted':
    case 'ToolCallCompleted':
    case 'ApprovalRequested':
      return Buffer.byteLength(JSON.stringify(event.toolCall));
    case 'GuardrailTripped':
      return Buffer.byteLength(JSON.stringify(event.result));
    default:
      return 0;
  }
}
