import type { ResolvedAgent } from '../agents/resolve.ts';
import type { ModelEndpoint } from '../engine/ports.ts';
import type { Orchestration } from '../scenarios/orchestration.ts';

/** An agent of the scenario that can be chosen to answer. */
export interface Candidate {
  /** The row id. */
  readonly id: string;
  /** Unique among the agents of a scenario. */
  readonly name: string;
  readonly description: string | null;
}

/** Who classifies, with the key of its provider. */
export interface PlannedClassifier {
  /** The row id. */
  readonly agentId: string;
  /** Its system prompt; null: it only lends its model. */
  readonly instructions: string | null;
  readonly endpoint: ModelEndpoint;
}

/** How the agent that answers is chosen, as a turn uses it. */
export interface PlannedOrchestration {
  readonly scenarioId: string;
  readonly config: Orchestration;
  /** At least one. */
  readonly candidates: readonly Candidate[];
  /** The root of the scenario: it lends its model if no agent classifies. Null: the scenario has none. */
  readonly rootAgentId: string | null;
  /** Who answers if nobody can be chosen: one of the candidates. */
  readonly fallbackAgentId: string;
  /** Null: no agent that could classify can be used. */
  readonly classifier: PlannedClassifier | null;
}

/**
 * Whose model classifies for a scenario.
 * @returns its row id; null: nobody's, because the scenario has no root
 */
export function findClassifierId({ classifierAgentId }: Orchestration, rootAgentId: string | null): string | null {
  return classifierAgentId ?? rootAgentId;
}

/** The agent that classifies, if it can be used. The root agent only lends its model: its system prompt is about answers. */
export function planClassifier(
  { classifierAgentId }: Orchestration,
  resolved: Pick<ResolvedAgent, 'agent' | 'llm'> | undefined,
): PlannedClassifier | null {
  if (!resolved?.agent.isActive || resolved.llm === null) return null;
  const { id: agentId, instructions } = resolved.agent;
  return { agentId, instructions: classifierAgentId === null ? null : instructions, endpoint: resolved.llm };
}
