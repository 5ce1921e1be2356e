import type { GuardResult } from './guard.ts';
import type { AttachedContent } from './ports.ts';

/** A message of the user that joins a turn which is under way. */
export interface SteeringMessage {
  /** The row id. */
  readonly messageId: string;
  readonly content: string;
  /** What the model is given of its files; unset: there are none. */
  readonly attached?: AttachedContent;
  /** What guardrails have found in it before it was stored. */
  readonly results: readonly GuardResult[];
  /** The guardrail that has found something in what was read of its files, and stops the turn; unset: none. */
  readonly blockedBy?: string;
}

/** What a turn needs from outside to be steered. */
export interface SteeringPort {
  /**
   * Called before the model of a step is called, unless the step has its answer or its message already.
   * @returns the messages that join the turn here, which are stored with it now; the oldest first
   */
  readonly takeSteering?: (step: number) => Promise<readonly SteeringMessage[]>;
}
