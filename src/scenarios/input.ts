import { z } from 'zod';
import { json, list, text } from '../api/input.ts';

/** The longest key that a scenario can have, in characters. */
export const maxScenarioKeyLength = 255;
/** The most characters of a scenario’s guardrails, written out as JSON. */
const maxGuardrailsLength = 65_536;
/** The most members of a scenario, and the most handoffs of one of them. */
const maxAgents = 100;
const maxHandoffs = 100;

const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The parts of a scenario and their limits, as mutations and files have them. */
export const scenarioParts = {
  key: text(1, maxScenarioKeyLength).refine(
    (value) => /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(value),
    'must begin with a letter or a digit and hold letters, digits, _, . and - only',
  ),
  name: text(1, 255),
  description: text(1, 2_000),
  projectId: text(1, 255),
  /** Checked to be JSON that PostgreSQL can hold. */
  guardrails: json(maxGuardrailsLength)
    .refine(isObject, 'must be a JSON object')
    .transform((value) => value as Record<string, unknown>),
  members: <Member extends z.ZodType>(member: Member) => list(member, maxAgents),
  handoffs: <Handoff extends z.ZodType>(handoff: Handoff) => list(handoff, maxHandoffs),
};

const { key, name, description, projectId, guardrails, members, handoffs } = scenarioParts;

/** ScenarioInput, as createScenario and updateScenario take it. */
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
  guardrails: guardrails.nullish(),
  isActive: z.boolean().nullish(),
});

/** What a mutation was given, checked but for its graph. */
export type ScenarioInput = z.output<typeof scenarioInput>;
