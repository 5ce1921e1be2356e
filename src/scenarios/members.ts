import { ConflictError, NotFoundError } from '../api/errors.ts';
import type { Db } from '../database/client.ts';

/** The maximum number of scenarios that an error names. */
const maxNamed = 10;

/**
 * Makes sure that no scenario of the tenant has an agent that is about to be deleted, as a member or as a classifier.
 * @param agentId the row id
 * @throws {ConflictError} naming up to ten of the scenarios that use it
 */
export async function assertAgentUnused(db: Db, tenantId: string, agentId: string): Promise<void> {
  const members = await db.scenarioAgent.findMany({
    where: { tenantId, agentId },
    select: { scenario: { select: { key: true } } },
    orderBy: { scenario: { key: 'asc' } },
    take: maxNamed + 1,
  });
  const pattern = JSON.stringify([{ check: { agentId } }]);
  const classified = await db.$queryRaw<{ key: string }[]>`
    SELECT key FROM scenarios WHERE tenant_id = ${tenantId}
      AND (guardrails @> ${pattern}::jsonb OR classifier_agent_id = ${agentId}::uuid)
    ORDER BY key LIMIT ${maxNamed + 1}`;
  const keys = [...new Set([...members.map(({ scenario }) => scenario.key), ...classified.map(({ key }) => key)])];
  if (keys.length === 0) return;
  const named = keys.slice(0, maxNamed).map((key) => JSON.stringify(key));
  const more = keys.length > maxNamed ? ' and others' : '';
  const scenarios = keys.length === 1 ? 'the scenario' : 'the scenarios';
  throw new ConflictError(
    `The agent is used by ${scenarios} ${named.join(', ')}${more}: remove it from there first, or make it inactive.`,
  );
}

/** How a conversation names a scenario: by its row id, or by its key and the row id of the conversation's project. */
export type ScenarioName =
  | { readonly id: string }
  | { readonly key: string /** Null: the conversation has no project. */; readonly projectId: string | null };

/** A scenario, and one of its members. */
export interface ScenarioMember {
  readonly id: string;
  readonly key: string;
  readonly isActive: boolean;
  /** Null: the scenario does not have that member. */
  readonly member: { readonly agentId: string; readonly isUsable: boolean } | null;
}

/**
 * Finds a scenario of a tenant and one of its members. One statement.
 * @param name if both the project and the tenant have a scenario of the key, the project's is found
 * @param agentId the row id of the member; null: the root
 * @throws {NotFoundError} if the tenant has no such scenario
 */
export async function findScenarioMember(
  tenantId: string,
  db: Db,
  name: ScenarioName,
  agentId: string | null,
): Promise<ScenarioMember> {
  const scenario = await db.scenario.findFirst({
    where: 'key' in name ? { tenantId, key: name.key, OR: inProject(name.projectId) } : { id: name.id, tenantId },
    orderBy: projectFirst,
    select: {
      id: true,
      key: true,
      isActive: true,
      agents: {
        where: agentId === null ? { isRoot: true } : { agentId },
        select: { agentId: true, agent: { select: { isActive: true, deletedAt: true } } },
      },
    },
  });
  if (scenario === null) {
    const named = 'key' in name ? ` with the key ${JSON.stringify(name.key)}` : '';
    throw new NotFoundError(`There is no scenario${named}.`);
  }
  const { agents, ...found } = scenario;
  const [member] = agents;
  if (member === undefined) return { ...found, member: null };
  const isUsable = member.agent.isActive && member.agent.deletedAt === null;
  return { ...found, member: { agentId: member.agentId, isUsable } };
}

/** The condition for scenarios that conversations of a project can use: the tenant's, and the project's own. */
export function inProject(projectId: string | null) {
  return [{ projectId: null }, ...(projectId === null ? [] : [{ projectId }])];
}

/** The order in which a project's own scenario comes before the tenant's of the same key. */
export const projectFirst = { projectId: { sort: 'asc', nulls: 'last' } } as const;
