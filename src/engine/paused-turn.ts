import type { HistoryItem, ProviderState, RequestedCall } from './ports.ts';

/** The state from which a turn that waits for a person continues. Plain data: as JSON it outlives the process. */
export interface PausedTurn {
  /** The agent whose step it was. */
  readonly agentId: string;
  readonly step: number;
  /** The history that the model of the step was given. */
  readonly history: readonly HistoryItem[];
  /** The text of its answer. */
  readonly content: string;
  /** All its calls, handoffs included. */
  readonly calls: readonly RequestedCall[];
  /** What the provider of the step wants back with the calls; unset in states of earlier versions. */
  readonly state?: ProviderState | null;
  /** The results of the calls that are done, for the model: call id and output. */
  readonly outputs: readonly (readonly [callId: string, output: string])[];
  readonly usedCallIds: readonly string[];
  /** How long the turn has run, in milliseconds. */
  readonly elapsedMs: number;
}

/** What a person has decided about a call that waited. */
export interface CallDecision {
  /** The row id of the call, and of the message of its step if that has one. */
  readonly id: string;
  readonly messageId: string | null;
  readonly approved: boolean;
  /** The arguments to use instead of the model's; null: those of the model. */
  readonly editedArguments: string | null;
  /** The id of the user who decided. */
  readonly decidedBy: string;
  readonly decidedAt: Date;
}
