import type { Scenario } from '../generated/prisma/client.ts';

/** When a classifier chooses the agent that answers. */
export const orchestrationModes = ['OFF', 'FIRST_TURN', 'EVERY_TURN'] as const;

/** The confidence below which a classifier's choice is not followed, if nobody sets one. */
export const defaultThreshold = 0.6;

/** How the agent that answers a turn of a scenario is chosen. */
export interface Orchestration {
  readonly mode: (typeof orchestrationModes)[number];
  /** The row id of the agent that classifies; null: the model of the root agent does. */
  readonly classifierAgentId: string | null;
  /** From 0 to 1. */
  readonly threshold: number;
  /** What the classifier is told in addition; null: nothing. */
  readonly instructions: string | null;
}

/** The orchestration of a scenario that has none. */
export const noOrchestration: Orchestration = {
  mode: 'OFF',
  classifierAgentId: null,
  threshold: defaultThreshold,
  instructions: null,
};

/** The columns of a scenario that hold it. */
export type OrchestrationColumns = Pick<
  Scenario,
  'orchestrationMode' | 'classifierAgentId' | 'orchestrationThreshold' | 'orchestrationInstructions'
>;

/** Reads the orchestration of a row. */
export function readOrchestration(row: OrchestrationColumns): Orchestration {
  const { orchestrationMode: mode, classifierAgentId, orchestrationThreshold: threshold } = row;
  return { mode, classifierAgentId, threshold, instructions: row.orchestrationInstructions };
}

/** The columns for an orchestration. */
export function writeOrchestration({ mode, classifierAgentId, threshold, instructions }: Orchestration) {
  return {
    orchestrationMode: mode,
    classifierAgentId,
    orchestrationThreshold: threshold,
    orchestrationInstructions: instructions,
  } satisfies OrchestrationColumns;
}
