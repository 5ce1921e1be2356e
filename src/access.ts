import type { Viewer } from './auth/viewer.ts';
import { ForbiddenError, NotFoundError } from './errors.ts';

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
export function explainAbsence(viewer: Viewer, what: string, owner: Owner | null): ForbiddenError | NotFoundError {
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
