import type { Viewer } from '../../auth/viewer.ts';
import type { StoredTurn, TurnInput } from '../input.ts';
import type { CompiledTurn } from '../planned-turn.ts';

/** A turn that is to be written as a run. */
export interface NewTurn {
  readonly viewer: Viewer;
  readonly input: TurnInput;
  /** The part of the input that the run's row keeps. */
  readonly stored: StoredTurn;
  readonly turn: CompiledTurn;
  /** What guardrails have made of the user message before it is stored. */
  readonly messageStatus: 'COMPLETE' | 'REDACTED' | 'BLOCKED';
}
