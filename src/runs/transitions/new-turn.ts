import type { Viewer } from '../../auth/viewer.ts';
import type { NewConversation } from '../../conversations/create.ts';
import type { AttachedBases } from '../../knowledge/attached-documents.ts';
import type { StoredTurn, TurnInput } from '../input.ts';
import type { CompiledTurn } from '../planned-turn.ts';

/** A turn that is to be written as a run. */
export interface NewTurn {
  readonly viewer: Viewer;
  readonly input: TurnInput;
  /** The part of the input that the run's row keeps. */
  readonly stored: StoredTurn;
  readonly turn: CompiledTurn;
  /** The conversation that is created with the turn; unset: it exists. */
  readonly creates?: NewConversation;
  /** The knowledge bases that its attachments are added to. Null: they were not checked. */
  readonly attachedBases: AttachedBases | null;
  /** What guardrails have made of the texts of its uploads, by public id; unset: nothing. */
  readonly changedTexts?: ReadonlyMap<string, string>;
  /** What guardrails have made of the user message before it is stored. */
  readonly messageStatus: 'COMPLETE' | 'REDACTED' | 'BLOCKED';
}
