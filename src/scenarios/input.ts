import { z } from 'zod';
import { integer, list, text } from '../api/input.ts';
import { guardrailInputs } from '../guardrails/input.ts';
import { projectName } from '../projects/input.ts';
import { orchestrationInput } from './orchestration.ts';

/** The maximum length of a scenario key, in characters. */
export const maxScenarioKeyLength = 255;
/** The maximum number of members of a scenario, and of handoffs of one member. */
const maxAgents = 100;
const maxHandoffs = 100;

/** The number of a version of a scenario. */
export const versionNumber = integer(1, 2_147_483_647);

/** The parts of a scenario and their limits, for mutations and files. */
export const scenarioParts = {
  key: text(1, maxScenarioKeyLength).refine(
    (value) => /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(value),
    'must begin with a letter or a digit and contain letters, digits, _, . and - only',
  ),
  name: text(1, 255),
  description: text(1, 2_000),
  /** The id or the key of a project. */
  projectId: projectName,
  members: <Member extends z.ZodType>(member: Member) => list(member, maxAgents),
  handoffs: <Handoff extends z.ZodType>(handoff: Handoff) => list(handoff, maxHandoffs),
};

const { key, name, description, projectId, members, handoffs } = scenarioParts;

/** ScenarioInput of createScenario and updateScenario. */
export const scenarioInput = z.strictObject({
  key,
  name,
  description: description.nullish(),
  projectId: projectId.nullish(),
  rootAgentId: z.string(),
  agents: members(
    z.strictObject({
      agentId: z.string(),
      handoffs: handoffs(z.strictObject({ toAgentId: z.string(), description: description.nullish() })),
    }),
  ),
  guardrails: guardrailInputs.nullish(),
  orchestration: orchestrationInput.nullish(),
  isActive: z.boolean().nullish(),
});

/** A ScenarioInput, checked except for its graph. */
export type ScenarioInput = z.output<typeof scenarioInput>;
