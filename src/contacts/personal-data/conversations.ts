import { ForbiddenError } from '../../api/errors.ts';
import { isAdmin } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { Prisma } from '../../generated/prisma/client.ts';

/** A conversation with a contact, of whichever user of the tenant. */
export interface ContactConversation {
  readonly id: string;
  readonly userId: string;
}

const batch = 50;

/**
 * The condition for conversations `c` that belong to the personal data of a contact: those with it, and those of its tickets,
 * each by its index.
 */
export function isOfContact({ tenantId }: Viewer, contactId: string): Prisma.Sql {
  return Prisma.sql`c.tenant_id = ${tenantId} AND c.id IN (
    SELECT id FROM conversations WHERE tenant_id = ${tenantId} AND contact_id = ${contactId}::uuid
    UNION
    SELECT conversation_id FROM tickets
    WHERE tenant_id = ${tenantId} AND contact_id = ${contactId}::uuid AND conversation_id IS NOT NULL
  )`;
}

/**
 * Some of the conversations of a contact and its tickets, in the order of their ids.
 * @param contactId the row id
 * @param options.after the row id of the last one that was read; null: none
 * @param options.what is refused to whoever is no admin if one is another user's, which may have got the contact since
 *   {@link requireOwnConversations}
 * @throws {ForbiddenError}
 */
export async function readConversationsAfter(
  viewer: Viewer,
  db: Db,
  contactId: string,
  { after, what }: { readonly after: string | null; readonly what: string },
): Promise<ContactConversation[]> {
  const further = after === null ? Prisma.empty : Prisma.sql`AND c.id > ${after}::uuid`;
  const found = await db.$queryRaw<ContactConversation[]>`
    SELECT c.id, c.user_id AS "userId" FROM conversations AS c
    WHERE ${isOfContact(viewer, contactId)} ${further} ORDER BY c.id LIMIT ${batch}`;
  if (!isAdmin(viewer) && found.some(({ userId }) => userId !== viewer.userId)) throw refuse(what);
  return found;
}

/**
 * Refuses whoever could reach conversations of other users through a contact or its tickets. Admins answer for the whole tenant.
 * @param contactId the row id
 * @param what is refused: `export a contact with whom other users have conversations`
 * @throws {ForbiddenError}
 */
export async function requireOwnConversations(viewer: Viewer, db: Db, contactId: string, what: string): Promise<void> {
  if (isAdmin(viewer)) return;
  const [other] = await db.$queryRaw<{ readonly id: string }[]>`
    SELECT c.id FROM conversations AS c
    WHERE ${isOfContact(viewer, contactId)} AND c.user_id <> ${viewer.userId} LIMIT 1`;
  if (other !== undefined) throw refuse(what);
}

function refuse(what: string): ForbiddenError {
  return new ForbiddenError(`Only an admin of your tenant may ${what}.`);
}
