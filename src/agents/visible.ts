import { formatId } from '../api/ids.ts';
import { belongsTo, notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { explainUnreadable, readableRows } from '../projects/access.ts';

/**
 * The condition for agents that the viewer may see: the tenant's shared ones, those of the viewer's projects and the viewer's
 * own, without deleted ones.
 */
export function visibleAgents(viewer: Viewer) {
  return {
    tenantId: viewer.tenantId,
    deletedAt: null,
    AND: [{ OR: [{ ownerId: null }, { ownerId: viewer.userId }] }, readableRows(viewer)],
  };
}

/**
 * Whether an agent can be used in a project: it belongs to that project, or to none.
 * @param projectId the row id; null: in no project
 */
export function isInProject(agent: { readonly projectId: string | null }, projectId: string | null): boolean {
  return agent.projectId === null || agent.projectId === projectId;
}

/**
 * The query whose first row is the default agent: the viewer's own default, else the tenant's, else the development
 * agent. Only active ones.
 */
export function defaultAgentFirst(viewer: Viewer) {
  return {
    where: { AND: [visibleAgents(viewer), { isActive: true, OR: [{ isDefault: true }, { isDevelopment: true }] }] },
    orderBy: [{ isDefault: 'desc' as const }, { ownerId: { sort: 'asc' as const, nulls: 'last' as const } }],
  };
}

/**
 * The error for an agent that the viewer may not see: FORBIDDEN if it belongs to somebody else, else NOT_FOUND.
 * @param agentId the row id
 * @param named what the message adds after the id, for an agent that was named by another object
 * @returns the error; the caller throws it. Takes one statement
 */
export async function explainMissingAgent(viewer: Viewer, db: Db, agentId: string, named = '') {
  const agent = await db.agent.findUnique({
    where: { id: agentId },
    select: { tenantId: true, ownerId: true, projectId: true, deletedAt: true },
  });
  const what = `agent ${formatId('Agent', agentId)}${named}`;
  if (agent?.deletedAt === null && agent.ownerId === null) return explainUnreadable(viewer, what, agent);
  return notFoundOrForbidden(viewer, what, agent && { tenantId: agent.tenantId, userId: agent.ownerId });
}

/**
 * Checks an agent by which an admin filters a list: a shared one, or their own, deleted ones included. One statement.
 * @param agentId the row id
 * @throws {ForbiddenError} {@link NotFoundError}
 */
export async function assertMayFilterBy(viewer: Viewer, db: Db, agentId: string): Promise<void> {
  const agent = await db.agent.findUnique({ where: { id: agentId }, select: { tenantId: true, ownerId: true } });
  const owner = agent && { tenantId: agent.tenantId, userId: agent.ownerId };
  if (owner === null || !belongsTo(viewer, owner)) {
    throw notFoundOrForbidden(viewer, `agent ${formatId('Agent', agentId)}`, owner);
  }
}
