import { z } from 'zod';
import { decimal, text } from '../api/input.ts';
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
const noOrchestration: Orchestration = {
  mode: 'OFF',
  classifierAgentId: null,
  threshold: defaultThreshold,
  instructions: null,
};

const parts = {
  mode: z.enum(orchestrationModes),
  threshold: decimal(0, 1),
  instructions: text(1, 10_000),
};

/** OrchestrationInput. The classifier is a public id. */
export const orchestrationInput = z.strictObject({
  mode: parts.mode,
  classifierAgentId: z.string().nullish(),
  threshold: parts.threshold.nullish(),
  instructions: parts.instructions.nullish(),
});

/** The orchestration of a scenario in a file. The classifier is the name of an agent of the file. */
export const orchestrationInFile = z.strictObject({
  mode: parts.mode,
  classifier: text(1, 255).optional(),
  threshold: parts.threshold.default(defaultThreshold),
  instructions: parts.instructions.optional(),
});

/** What a file says of an orchestration, with row ids. @param idOf the row id of an agent of the file, by its name */
export function nameOrchestration(
  written: z.output<typeof orchestrationInFile> | undefined,
  idOf: (name: string) => string,
): Orchestration {
  if (written === undefined) return noOrchestration;
  const { mode, classifier, threshold, instructions = null } = written;
  return { mode, classifierAgentId: classifier === undefined ? null : idOf(classifier), threshold, instructions };
}

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
