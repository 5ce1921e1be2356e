import { ForbiddenError } from '../../api/errors.ts';
import { isAdmin } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import { isReadable } from '../../projects/access.ts';

/**
 * Refuses whoever could read tickets through a contact that they may not read otherwise, or erase some that they may not change:
 * those of projects that are archived, or in which they are no EDITOR. Admins answer for the whole tenant.
 * @param contactId the row id
 * @param need.to what has to be allowed
 * @param need.what is refused: `export a contact with tickets of other projects`
 * @throws {ForbiddenError}
 */
export async function requireTickets(
  viewer: Viewer,
  db: Db,
  contactId: string,
  { to, what }: { readonly to: 'read' | 'change'; readonly what: string },
): Promise<void> {
  if (isAdmin(viewer)) return;
  const allowed = to === 'read' ? isReadable(viewer, Prisma.sql`t.project_id`) : isChangeable(viewer);
  const [other] = await db.$queryRaw<{ readonly id: string }[]>`
    SELECT t.id FROM tickets AS t
    WHERE t.tenant_id = ${viewer.tenantId} AND t.contact_id = ${contactId}::uuid AND NOT ${allowed} LIMIT 1`;
  if (other !== undefined) throw new ForbiddenError(`Only an admin of your tenant may ${what}.`);
}

/** The condition for tickets `t` that the viewer may change. */
export function isChangeable(viewer: Viewer): Prisma.Sql {
  if (isAdmin(viewer)) return Prisma.sql`true`;
  const { tenantId, userId } = viewer;
  return Prisma.sql`(t.project_id IS NULL OR EXISTS (
    SELECT 1 FROM project_members AS m JOIN projects AS p ON p.tenant_id = m.tenant_id AND p.id = m.project_id
    WHERE m.tenant_id = ${tenantId} AND m.project_id = t.project_id AND m.user_id = ${userId}
      AND m.role IN ('EDITOR', 'OWNER') AND NOT p.is_archived
  ))`;
}
