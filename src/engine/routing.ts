import type { GuardModelCall } from './guard.ts';
import type { HistoryItem } from './ports.ts';

/** Which agent answers a message, and why. Agents are row ids. */
export interface RoutingDecision {
  /** The agent that answers; null: nobody was chosen. */
  readonly rootAgentId: string | null;
  readonly selectedAgentIds: string[];
  /** The names of the tools that the agent may use. */
  readonly selectedTools: string[];
  /** From 0 to 1. */
  readonly confidence: number;
  /** For the user, in one sentence. */
  readonly reasoning: string;
  /** The names of other agents that could answer. */
  readonly alternatives: string[];
}

/**
 * What a decision rests on: the answer of a classifier; the last decision, which still holds; that the scenario has one agent
 * only; or nothing of these, because the classifier failed or was not certain enough.
 */
export const routingBases = ['CLASSIFIER', 'LAST_DECISION', 'ONLY_AGENT', 'FALLBACK'] as const;
export type RoutingBasis = (typeof routingBases)[number];

/** What users are shown in place of a reason of a classifier that a guardrail has flagged. */
export const withheldReasoning = 'A guardrail withholds the reason of the classifier.';

/** A decision with what it rests on. */
export interface Routed {
  readonly decision: RoutingDecision & { readonly rootAgentId: string };
  readonly basis: RoutingBasis;
  /** The row id of the scenario in which it was made. */
  readonly scenarioId: string;
  /** Whether another agent answers than before. */
  readonly switched: boolean;
  /** The row ids of `alternatives`. */
  readonly alternativeIds: readonly string[];
  /** The model calls that it took, for the ledger. */
  readonly calls: readonly GuardModelCall[];
  /** Why the classifier could not decide, for the log: nothing of the text is in it; null: it could, or was not asked. */
  readonly problem: string | null;
}

/** Chooses the agent with which a turn begins. */
export interface TurnRouter {
  /** Whose model is asked, so that its guardrails check the text; null: nobody's. */
  readonly classifierAgentId: string | null;
  /**
   * Chooses the agent that answers the last user message of the history.
   * @throws the signal's reason when it is aborted
   */
  route(history: readonly HistoryItem[], signal: AbortSignal): Promise<Routed>;
}
