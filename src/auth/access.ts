import { ForbiddenError, NotFoundError } from '../api/errors.ts';
import type { Viewer } from './viewer.ts';

/** The owner of a row; `userId` null: the whole tenant. */
export interface Owner {
  readonly tenantId: string;
  readonly userId: string | null;
}

/** Whether a row is the viewer's own, or shared in the viewer's tenant. */
export function belongsTo(viewer: Viewer, owner: Owner): boolean {
  return owner.tenantId === viewer.tenantId && (owner.userId === null || owner.userId === viewer.userId);
}

/**
 * The error for a row that the viewer may not see: FORBIDDEN if it belongs to somebody else, else NOT_FOUND. Functions that
 * look up the owner for it are called `explainMissing…`; they return the error as well, and their callers throw it.
 * @param what the name of the row in the message: `conversation conv_…`
 * @param owner the owner of the row; null: the row does not exist
 */
export function notFoundOrForbidden(viewer: Viewer, what: string, owner: Owner | null): ForbiddenError | NotFoundError {
  if (owner !== null && !belongsTo(viewer, owner)) return new ForbiddenError(`You may not use ${what}.`);
  return new NotFoundError(`There is no ${what}.`);
}

/** Whether the viewer is an admin of the tenant. */
export function isAdmin({ roles }: Viewer): boolean {
  return roles.includes('admin');
}

/**
 * Refuses viewers who are not admins of their tenant.
 * @param what only admins may do: `change shared agents`
 * @throws {ForbiddenError} if the viewer is not an admin
 */
export function requireAdmin(viewer: Viewer, what: string): void {
  if (!isAdmin(viewer)) throw new ForbiddenError(`Only an admin of your tenant may ${what}.`);
}
