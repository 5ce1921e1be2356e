import { ConflictError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { deleteConversationRows } from '../../conversations/delete-rows.ts';
import type { Database, Db } from '../../database/client.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import { cancelRunsOf } from '../../runs/commands/delete.ts';
import type { RunRuntime } from '../../runs/runtime.ts';
import { eraseTicketTexts } from '../../tickets/erase-texts.ts';
import { announce, type TicketRuntime } from '../../tickets/runtime.ts';
import { readContact } from '../read.ts';
import { contactReferences, lockMerges, tableOf } from '../references.ts';
import { isOfContact, readConversationsAfter, requireOwnConversations } from './conversations.ts';
import { isChangeable, requireTickets } from './tickets.ts';

/** How often conversations are deleted that have got the contact meanwhile. */
const maxAttempts = 5;
/** Snapshots and clips that one statement deletes. */
const batch = 200;
/** What is refused to those who are no admins, if it concerns what they could not delete or change by itself. */
const refused = {
  conversations: 'erase a contact together with the conversations of other users',
  tickets: 'erase a contact whose tickets you may not change',
} as const;

/**
 * Erases a contact: its row, and those of the contacts that were merged into it, its exports, the texts of its tickets with the
 * deliveries that tell of them, and what may show it for a while, which is all context snapshots of the tenant. With its
 * conversations, also those and the ones of its tickets, of all users, with everything that hangs on them, and the speech of
 * their users. Without, they are with nobody from then on.
 *
 * What is deleted is deleted in parts, the contact last: if the server stops, the same call goes on.
 * @param id the public id
 * @returns the public id
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError} if it is another
 *   tenant's, or if the viewer is no admin, and conversations of other users would be deleted, or tickets be changed that the
 *   viewer may not change
 * @throws {ConflictError} if the contact is being changed all the time
 */
export async function eraseContact(
  viewer: Viewer,
  { runs, tickets }: { readonly runs: RunRuntime; readonly tickets: TicketRuntime },
  id: string,
  withConversations: boolean,
): Promise<string> {
  const { db } = runs;
  const contact = await readContact(viewer, db, id);
  if (withConversations) await requireOwnConversations(viewer, db, contact.id, refused.conversations);
  await requireTickets(viewer, db, contact.id, { to: 'change', what: refused.tickets });
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    if (withConversations) await eraseConversations(viewer, runs, contact.id);
    await deleteSnapshots(viewer, db);
    // In parts, so that no transaction is long; what is added meanwhile is left to the last one.
    let erased: number;
    do {
      erased = await db.$transaction((tx) => eraseTickets(viewer, tx, contact.id, withConversations));
    } while (erased > 0);
    const owners = await db.$transaction((transaction) =>
      deleteContact(viewer, transaction, contact.id, withConversations),
    );
    if (owners === null) continue;
    for (const userId of owners) runs.feed.wake({ tenantId: viewer.tenantId, userId });
    announce(tickets, viewer.tenantId);
    return formatId('Contact', contact.id);
  }
  throw new ConflictError('Conversations with the contact are being added all the time. Try again.');
}

/**
 * Erases the texts of some tickets of a contact, which are of nobody then. If conversations are deleted too, those that still
 * have one stay: it has to be found by them.
 * @returns how many; 0: there are no more
 */
function eraseTickets(viewer: Viewer, tx: Db, contactId: string, withConversations: boolean): Promise<number> {
  const released = withConversations ? Prisma.sql`AND t.conversation_id IS NULL` : Prisma.empty;
  return eraseTicketTexts(tx, viewer.tenantId, {
    which: Prisma.sql`t.contact_id = ${contactId}::uuid AND ${isChangeable(viewer)} ${released}`,
    unlink: Prisma.sql`contact_id = NULL`,
  });
}

async function eraseConversations(viewer: Viewer, runtime: RunRuntime, contactId: string): Promise<void> {
  const { tenantId } = viewer;
  for (;;) {
    const found = await readConversationsAfter(viewer, runtime.db, contactId, {
      after: null,
      what: refused.conversations,
    });
    if (found.length === 0) return;
    const ids = found.map(({ id }) => id);
    // Readers of their turns get the end of them.
    await cancelRunsOf(tenantId, runtime, ids);
    // Those that somebody else is changing at this moment are found again.
    const which = Prisma.sql`c.tenant_id = ${tenantId} AND c.id = ANY(${ids}::uuid[])`;
    await deleteConversationRows(runtime.db, which, ids.length);
    for (const userId of new Set(found.map((conversation) => conversation.userId))) {
      runtime.feed.wake({ tenantId, userId });
      await deleteInBatches(
        runtime.db,
        Prisma.sql`speech_clips`,
        Prisma.sql`tenant_id = ${tenantId} AND user_id = ${userId}`,
      );
    }
  }
}

/**
 * Nobody can say which of the snapshots show the person: pages and records do. All are short-lived, and are made again. One
 * that a queued turn has named stays, and is emptied.
 */
async function deleteSnapshots({ tenantId }: Viewer, db: Database): Promise<void> {
  await db.$executeRaw`
    UPDATE context_snapshots SET block = 'The snapshot was erased.', "references" = '{}' WHERE tenant_id = ${tenantId}
      AND EXISTS (SELECT 1 FROM runs AS r WHERE r.status = 'QUEUED' AND r.tenant_id = ${tenantId}
        AND r.input->>'contextSnapshotId' = context_snapshots.id::text)`;
  await deleteInBatches(
    db,
    Prisma.sql`context_snapshots`,
    Prisma.sql`tenant_id = ${tenantId} AND block <> 'The snapshot was erased.'`,
  );
}

async function deleteInBatches(db: Database, table: Prisma.Sql, where: Prisma.Sql): Promise<void> {
  for (;;) {
    const deleted = await db.$executeRaw`
      DELETE FROM ${table} WHERE id = ANY(ARRAY(SELECT id FROM ${table} WHERE ${where} LIMIT ${batch}))`;
    if (deleted < batch) return;
  }
}

/**
 * Deletes the row of a contact, with the rows of those that were merged into it.
 * @returns the users whose conversations have no contact any more; null: conversations that were to be deleted have got it
 *   meanwhile
 */
async function deleteContact(
  viewer: Viewer,
  db: Db,
  contactId: string,
  withConversations: boolean,
): Promise<ReadonlySet<string> | null> {
  const { tenantId } = viewer;
  await lockMerges(viewer, db);
  // From here on, nothing can refer to it any more: the lock holds up the check of foreign keys.
  await db.$queryRaw`
    SELECT id FROM contacts WHERE tenant_id = ${tenantId} AND (id = ${contactId}::uuid OR merged_into_id = ${contactId}::uuid)
    ORDER BY id FOR UPDATE`;
  const linked = await db.$queryRaw<{ readonly userId: string }[]>`
    SELECT DISTINCT c.user_id AS "userId" FROM conversations AS c WHERE ${isOfContact(viewer, contactId)}`;
  if (withConversations && linked.length > 0) return null;
  await requireTickets(viewer, db, contactId, { to: 'change', what: refused.tickets });
  let erased: number;
  do {
    erased = await eraseTickets(viewer, db, contactId, withConversations);
  } while (erased > 0);
  for (const reference of contactReferences) {
    const table = tableOf(reference);
    const where = Prisma.sql`tenant_id = ${tenantId} AND contact_id = ${contactId}::uuid`;
    if (reference.onErase === 'DELETE') await db.$executeRaw`DELETE FROM ${table} WHERE ${where}`;
    else if (reference.onErase === 'FORGET_CONTACT')
      await db.$executeRaw`UPDATE ${table} SET contact_id = NULL WHERE ${where}`;
  }
  await db.$executeRaw`DELETE FROM contacts WHERE tenant_id = ${tenantId} AND id = ${contactId}::uuid`;
  return new Set(linked.map(({ userId }) => userId));
}
