import { z } from 'zod';
import { UnavailableError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { storedGuardrails } from '../guardrails/config.ts';
import { renameClassifiers } from '../guardrails/input.ts';
import type { ScenarioInput } from './input.ts';
import { orchestrationModes } from './orchestration.ts';

/** A version of a scenario as it is stored. Agents and the project are row ids; the members are in the order of the input. */
const snapshotSchema = z.object({
  key: z.string(),
  name: z.string(),
  description: z.string().nullable(),
  projectId: z.string().nullable(),
  isActive: z.boolean(),
  guardrails: storedGuardrails,
  orchestration: z.object({
    mode: z.enum(orchestrationModes),
    classifierAgentId: z.string().nullable(),
    threshold: z.number(),
    instructions: z.string().nullable(),
  }),
  members: z
    .array(
      z.object({
        agentId: z.string(),
        isRoot: z.boolean(),
        handoffs: z.array(z.object({ toAgentId: z.string(), description: z.string().nullable() })).readonly(),
      }),
    )
    .readonly(),
});

/** A scenario with its graph, as one of its versions had it. */
export type ScenarioSnapshot = z.output<typeof snapshotSchema>;

/**
 * Reads the snapshot of a row.
 * @throws {UnavailableError} if there is something else in it, such as what a newer instance has stored while an upgrade rolls
 */
export function readSnapshot({ version, snapshot }: { readonly version: number; readonly snapshot: unknown }) {
  const { data, error } = snapshotSchema.safeParse(snapshot);
  if (data !== undefined) return data;
  const message = `Version ${version} was stored by another release of the server, and this one cannot read it. Try again later.`;
  throw new UnavailableError(message, { cause: error });
}

/**
 * The snapshot of a row of `scenarios AS s`, in SQL: what is stored is what the database has, whoever has written it. A
 * migration has a copy, for the scenarios that were there before it.
 */
export const snapshotOf = Prisma.sql`jsonb_build_object(
  'key', s.key, 'name', s.name, 'description', s.description, 'projectId', s.project_id, 'isActive', s.is_active,
  'guardrails', s.guardrails,
  'orchestration', jsonb_build_object('mode', s.orchestration_mode, 'classifierAgentId', s.classifier_agent_id,
    'threshold', s.orchestration_threshold, 'instructions', s.orchestration_instructions),
  'members', (
    SELECT coalesce(jsonb_agg(jsonb_build_object('agentId', a.agent_id, 'isRoot', a.is_root, 'handoffs', (
      SELECT coalesce(jsonb_agg(jsonb_build_object('toAgentId', e.to_agent_id, 'description', e.description)
        ORDER BY e.position, e.to_agent_id), '[]'::jsonb)
      FROM handoff_edges AS e WHERE e.scenario_id = a.scenario_id AND e.from_agent_id = a.agent_id
    )) ORDER BY a.position, a.agent_id), '[]'::jsonb)
    FROM scenario_agents AS a WHERE a.tenant_id = s.tenant_id AND a.scenario_id = s.id
  )
)`;

/** What `updateScenario` would be given for a scenario like this: ids are public again. */
export function toInput(snapshot: ScenarioSnapshot): ScenarioInput {
  const { key, name, description, projectId, isActive, guardrails, orchestration, members } = snapshot;
  const { classifierAgentId, ...rest } = orchestration;
  const root = members.find(({ isRoot }) => isRoot);
  return {
    key,
    name,
    description,
    isActive,
    projectId: projectId === null ? null : formatId('Project', projectId),
    rootAgentId: root === undefined ? '' : formatId('Agent', root.agentId),
    agents: members.map(({ agentId, handoffs }) => ({
      agentId: formatId('Agent', agentId),
      handoffs: handoffs.map(({ toAgentId, description }) => ({
        toAgentId: formatId('Agent', toAgentId),
        description,
      })),
    })),
    guardrails: [...renameClassifiers(guardrails, (id) => formatId('Agent', id))],
    orchestration: {
      ...rest,
      classifierAgentId: classifierAgentId === null ? null : formatId('Agent', classifierAgentId),
    },
  };
}
