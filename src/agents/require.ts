import { formatId, parseId } from '../api/ids.ts';
import { badInput, type InputPath } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { isReadable } from '../projects/access.ts';
import { explainMissingAgent, isInProject, visibleAgents } from './visible.ts';

/**
 * The row ids of agents that the viewer may use: visible and active. One statement.
 * @param ids public ids
 * @param pathOf the path of each id in the arguments, for errors
 * @returns row ids in the order of `ids`, without repeats
 * @throws {BadUserInputError} if an id is malformed, or its agent is not active
 * @throws {NotFoundError} if an agent does not exist; {@link ForbiddenError} if it is another user's
 */
export async function requireUsableAgents(
  viewer: Viewer,
  db: Db,
  ids: readonly string[],
  pathOf: (index: number) => InputPath,
): Promise<string[]> {
  const wanted = new Map(ids.map((id, index) => [parseId('Agent', id, pathOf(index)), index]));
  if (wanted.size === 0) return [];
  const rows = await db.agent.findMany({
    where: { ...visibleAgents(viewer), id: { in: [...wanted.keys()] } },
    select: { id: true, isActive: true },
  });
  const found = new Map(rows.map((row) => [row.id, row]));
  for (const [agentId, index] of wanted) {
    const agent = found.get(agentId);
    if (agent === undefined) throw await explainMissingAgent(viewer, db, agentId);
    if (!agent.isActive) {
      throw badInput(pathOf(index), `names an agent that is not active: ${formatId('Agent', agentId)}`);
    }
  }
  return [...wanted.keys()];
}

/**
 * The row id of one agent that the viewer may use: visible and active. One statement.
 * @param id the public id
 * @param path of the id in the arguments, for errors
 * @param conversation in which it is to answer, with the row id of its project; null: it answers in none
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} as `requireUsableAgents` does
 */
export async function requireUsableAgent(
  viewer: Viewer,
  db: Db,
  id: string,
  path: InputPath,
  conversation: { readonly projectId: string | null } | null = null,
): Promise<string> {
  const agentId = parseId('Agent', id, path);
  const where = { ...visibleAgents(viewer), id: agentId };
  const agent = await db.agent.findUnique({ where, select: { isActive: true, projectId: true } });
  if (agent === null) throw await explainMissingAgent(viewer, db, agentId);
  if (!agent.isActive) throw badInput(path, 'names an agent that is not active');
  if (conversation !== null && !isInProject(agent, conversation.projectId))
    throw badInput(path, 'names an agent of a project that the conversation is not in');
  return agentId;
}

/** What others need to know of an agent whose row they lock. */
export interface LockedAgent {
  readonly name: string;
  /** Null: a shared agent, or one of a project. */
  readonly ownerId: string | null;
  /** The row id of its project; null: it belongs to none. */
  readonly projectId: string | null;
  readonly isActive: boolean;
  readonly isDeleted: boolean;
}

/**
 * Locks the rows of agents until the transaction ends, so that none of them is deleted meanwhile; they can still be
 * changed. A foreign key would not be enough: a deleted agent keeps its row. One statement, in the order of the ids.
 * @param agentIds row ids
 * @returns by row id those that the viewer may see, deleted ones included; the others are absent
 */
export async function lockAgentsInUse(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  agentIds: readonly string[],
): Promise<Map<string, LockedAgent>> {
  if (agentIds.length === 0) return new Map();
  const { tenantId, userId } = viewer;
  // Deleting takes FOR UPDATE, the only lock that waits for this one.
  const rows = await tx.$queryRaw<(LockedAgent & { readonly id: string })[]>`
    SELECT id, name, owner_id AS "ownerId", project_id AS "projectId", is_active AS "isActive", deleted_at IS NOT NULL AS "isDeleted" FROM agents
    WHERE tenant_id = ${tenantId} AND (owner_id IS NULL OR owner_id = ${userId})
      AND ${isReadable(viewer, Prisma.sql`project_id`)} AND id = ANY(${[...agentIds]}::uuid[])
    ORDER BY id FOR KEY SHARE`;
  return new Map(rows.map(({ id, ...agent }) => [id, agent]));
}
