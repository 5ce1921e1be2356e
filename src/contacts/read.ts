import { formatId, parseId } from '../api/ids.ts';
import type { InputPath } from '../api/input.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { Contact, Prisma } from '../generated/prisma/client.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface ContactQuery {
  readonly include?: Prisma.ContactInclude;
}

/**
 * Reads a contact of the viewer's tenant. A contact that was merged gives the one into which it was merged.
 * @param id the public id, `con_<uuid>`
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError} if it is another
 *   tenant's
 */
export async function readContact(viewer: Viewer, db: Db, id: string, query: ContactQuery = {}): Promise<Contact> {
  const { tenantId } = viewer;
  const row = parseId('Contact', id, ['id']);
  const contact = await db.contact.findUnique({ where: { id: row, tenantId }, ...query });
  if (contact === null) throw await explainMissingContact(viewer, db, row);
  if (contact.mergedIntoId === null) return contact;
  const target = await db.contact.findUnique({ where: { id: contact.mergedIntoId, tenantId }, ...query });
  if (target === null) throw await explainMissingContact(viewer, db, row);
  return target;
}

/**
 * The row id of a contact of the viewer's tenant, for whoever refers to it; of one that was merged, the row id of the
 * contact into which it was merged. One statement. Contacts belong to the tenant: all of its users may refer to them.
 *
 * A column that refers to contacts is named `contact_id`, has a composite foreign key (tenant_id, contact_id) with NO
 * ACTION, and the trigger `follow_merged_contact`, which follows a merge that happens meanwhile. It is listed in
 * contacts/references.ts. If the contact is erased meanwhile, the foreign key refuses the row.
 * @param id the public id, `con_<uuid>`
 * @param path where the id stood in the arguments, for the error
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError} if it is another
 *   tenant's
 */
export async function resolveContactId(viewer: Viewer, db: Db, id: string, path: InputPath): Promise<string> {
  const row = parseId('Contact', id, path);
  const [found] = await db.$queryRaw<{ readonly id: string }[]>`
    SELECT coalesce(merged_into_id, id) AS id FROM contacts WHERE id = ${row}::uuid AND tenant_id = ${viewer.tenantId}`;
  if (found === undefined) throw await explainMissingContact(viewer, db, row);
  return found.id;
}

/**
 * The contacts with these row ids, in their order; null for each that the viewer's tenant does not have. For fields of the
 * graph that name a contact. One statement.
 */
export async function readContactsById(
  { tenantId }: Viewer,
  db: Db,
  ids: readonly string[],
): Promise<(Contact | null)[]> {
  const rows = await db.contact.findMany({ where: { tenantId, id: { in: [...ids] } } });
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => byId.get(id) ?? null);
}

/**
 * The error for a contact that the viewer may not see: FORBIDDEN if it is another tenant's, else NOT_FOUND.
 * @param row the row id
 * @returns the error; the caller throws it. Takes one statement
 */
export async function explainMissingContact(viewer: Viewer, db: Db, row: string) {
  const other = await db.contact.findUnique({ where: { id: row }, select: { tenantId: true } });
  const owner = other && { tenantId: other.tenantId, userId: null };
  return notFoundOrForbidden(viewer, `contact ${formatId('Contact', row)}`, owner);
}
