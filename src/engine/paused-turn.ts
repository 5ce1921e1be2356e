import type { HistoryItem, RequestedCall } from './ports.ts';

/** What a turn that waits for a person goes on from. Plain data: as JSON it outlives the process. */
export interface PausedTurn {
  /** Whose step it was. */
  readonly agentId: string;
  readonly step: number;
  /** What the model of the step was given. */
  readonly history: readonly HistoryItem[];
  /** What it answered. */
  readonly content: string;
  /** All that it called, handoffs too. */
  readonly calls: readonly RequestedCall[];
  /** What the model is told of the calls that are over: call id and output. */
  readonly outputs: readonly (readonly [callId: string, output: string])[];
  readonly usedCallIds: readonly string[];
  /** For how long the turn has run, in milliseconds. */
  readonly elapsedMs: number;
}

/** What a person has said to a call that waited. */
export interface CallDecision {
  readonly approved: boolean;
  /** The arguments to use instead of the model's; null: its own. */
  readonly editedArguments: string | null;
  /** The id of the user. */
  readonly decidedBy: string;
  readonly decidedAt: Date;
}

/** A turn that goes on. */
export interface ResumedTurn {
  readonly paused: PausedTurn;
  /** By call id, for each call that waited. */
  readonly decisions: ReadonlyMap<string, CallDecision>;
}
