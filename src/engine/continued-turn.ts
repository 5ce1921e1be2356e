import type { TurnToolCall } from './events.ts';
import type { CallDecision, PausedTurn } from './paused-turn.ts';

/** A turn that continues with the answer of a step: after its pause, or after the process that had it has died. */
export interface ResumedTurn {
  readonly paused: PausedTurn;
  /** By call id, for each call that a person has decided on. */
  readonly decisions: ReadonlyMap<string, CallDecision>;
  /** The tool calls that have no output yet. */
  readonly toolCalls: readonly TurnToolCall[];
}

/** A step that begins, or begins again, in a turn whose earlier steps another process has carried out. */
export interface RetriedStep extends Pick<PausedTurn, 'agentId' | 'step' | 'usedCallIds' | 'elapsedMs'> {
  /** Whether its message is open already, its text withdrawn. */
  readonly isReopened: boolean;
  /** Characters that are known of the answer to the attempt that was under way; null: no model was asked. */
  readonly lostLength: number | null;
}
