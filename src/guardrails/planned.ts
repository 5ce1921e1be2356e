import type { GuardModelCall } from '../engine/guard.ts';
import type { Guardrail } from './config.ts';
import type { TextMatcher } from './find.ts';

/** What a provider says of a text. */
export interface Judgement {
  readonly flagged: boolean;
  readonly categories: readonly { readonly name: string; readonly flagged: boolean; readonly score: number }[];
  /** In the words of the classifier; null: none. */
  readonly reasoning: string | null;
  /** The model call that it took, for the ledger; null: none that counts tokens. */
  readonly call: GuardModelCall | null;
}

/** A check could not be carried out. The message says why, for people; it holds nothing of the text. */
export class CheckFailed extends Error {
  override readonly name = 'CheckFailed';
  /** The model call that failed, for the ledger; null: it cost nothing. */
  readonly call: GuardModelCall | null;

  constructor(message: string, call: GuardModelCall | null = null) {
    super(message);
    this.call = call;
  }
}

/**
 * Asks a provider about a text.
 * @throws {CheckFailed} if it cannot say
 * @throws the signal's reason if it is aborted
 */
export type AskProvider = (text: string, signal: AbortSignal) => Promise<Judgement>;

/** A guardrail as a turn uses it: it either finds parts of a text itself, or asks a provider about it. */
export type PlannedGuardrail = { readonly config: Guardrail } & (
  | { readonly matcher: TextMatcher; readonly ask: null }
  | { readonly matcher: null; readonly ask: AskProvider }
);
