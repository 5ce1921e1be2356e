import { ForbiddenError, NotFoundError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import type { Db } from '../database/client.ts';
import type { Viewer } from './viewer.ts';

/** Who a row belongs to; `userId` null: the whole tenant. */
export interface Owner {
  readonly tenantId: string;
  readonly userId: string | null;
}

/** Whether the row is the viewer's own, or shared by the viewer's tenant. */
export function belongsTo(viewer: Viewer, owner: Owner): boolean {
  return owner.tenantId === viewer.tenantId && (owner.userId === null || owner.userId === viewer.userId);
}

/**
 * Why a row was not among the viewer's: it is somebody else's, or there is none.
 * @param what the thing with its article: `conversation conv_…`
 * @param owner whose the row is; null: there is no such row
 */
export function notFoundOrForbidden(viewer: Viewer, what: string, owner: Owner | null): ForbiddenError | NotFoundError {
  if (owner !== null && !belongsTo(viewer, owner)) return new ForbiddenError(`You may not use ${what}.`);
  return new NotFoundError(`There is no ${what}.`);
}

/** Which agents the viewer may see: the tenant's shared ones and the viewer's own, not the deleted ones. */
export function visibleAgents(viewer: Viewer) {
  return {
    tenantId: viewer.tenantId,
    deletedAt: null,
    OR: [{ ownerId: null }, { ownerId: viewer.userId }],
  };
}

/**
 * Why an agent was not among those of `visibleAgents`.
 * @param row its row id
 */
export async function explainMissingAgent(viewer: Viewer, db: Db, row: string) {
  const agent = await db.agent.findUnique({ where: { id: row }, select: { tenantId: true, ownerId: true } });
  const owner = agent && { tenantId: agent.tenantId, userId: agent.ownerId };
  return notFoundOrForbidden(viewer, `agent ${formatId('Agent', row)}`, owner);
}

/** Whether the viewer manages what the tenant shares. */
export function isAdmin(viewer: Viewer): boolean {
  return viewer.roles.includes('admin');
}

/**
 * Lets admins of the tenant pass.
 * @param what that only they may do: `change shared agents`
 * @throws {ForbiddenError} for anybody else
 */
export function requireAdmin(viewer: Viewer, what: string): void {
  if (!isAdmin(viewer)) throw new ForbiddenError(`Only an admin of your tenant may ${what}.`);
}

/**
 * Which agent answers where nothing else was chosen, as the first row of a query: the viewer's own default, else the
 * tenant's, else the development agent; only active ones.
 */
export function defaultAgentFirst(viewer: Viewer) {
  return {
    where: { AND: [visibleAgents(viewer), { isActive: true, OR: [{ isDefault: true }, { isDevelopment: true }] }] },
    orderBy: [{ isDefault: 'desc' as const }, { ownerId: { sort: 'asc' as const, nulls: 'last' as const } }],
  };
}
