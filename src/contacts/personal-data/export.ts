import { UnavailableError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { storeExport } from '../../exports/files.ts';
import type { ExportRuntime } from '../../exports/runtime.ts';
import { type Contact, type Export, Prisma } from '../../generated/prisma/client.ts';
import { isReadable } from '../../projects/access.ts';
import { readContact } from '../read.ts';
import { readConversationsAfter, requireOwnConversations } from './conversations.ts';
import { conversationSections, internalColumns, type Section, ticketSections } from './sections.ts';
import { requireTickets } from './tickets.ts';

/** Rows that are in memory at the same time. */
const batch = 20;
/** What is refused to those who are no admins, if it would show them what they may not read by itself. */
const refused = {
  conversations: 'export a contact with whom other users have conversations',
  tickets: 'export a contact with tickets of projects that are not yours',
} as const;

/**
 * Makes a file of everything that is kept of a contact: its own row, the conversations with it and of its tickets, of all users,
 * with their messages, runs, tool calls and drafts, and its tickets with the comments that the viewer may read. The rows are read a few at a time, and written as they are read.
 * @param id the public id
 * @param clientGone aborts when the client disconnects: the file is given up
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError} if it is another
 *   tenant's, or if the viewer is no admin, and other users have conversations with the contact, or it has tickets of projects of
 *   which the viewer is no member
 * @throws {RateLimitedError} if the viewer is making an export already, or has too many; {@link ConflictError} if it is too
 *   large
 */
export async function exportContact(
  viewer: Viewer,
  exports: ExportRuntime,
  id: string,
  clientGone: AbortSignal | null,
): Promise<Export> {
  using _slot = exports.making.enter(viewer);
  const { db } = exports;
  const contact = await readContact(viewer, db, id);
  await requireOwnConversations(viewer, db, contact.id, refused.conversations);
  await requireTickets(viewer, db, contact.id, { to: 'read', what: refused.tickets });
  const parts = writeContact(viewer, db, contact, clientGone);
  return storeExport(viewer, db, exports.ttlMs, { mediaType: 'application/json', contactId: contact.id, parts });
}

async function* writeContact(
  viewer: Viewer,
  db: Db,
  contact: Contact,
  clientGone: AbortSignal | null,
): AsyncGenerator<string> {
  const merged = await db.contact.findMany({
    where: { tenantId: viewer.tenantId, mergedIntoId: contact.id },
    select: { id: true },
  });
  const { id, name, email, phone, notes, fields, createdAt, updatedAt } = contact;
  const mergedIds = merged.map((row) => formatId('Contact', row.id));
  const shown = { id: formatId('Contact', id), mergedIds, name, email, phone, notes, fields, createdAt, updatedAt };
  yield `{"exportedAt":${JSON.stringify(new Date())},\n"contact":${JSON.stringify(shown)},\n"conversations":[`;
  let separator = '\n';
  for (let after: string | null = null; ; ) {
    const conversations = await readConversationsAfter(viewer, db, contact.id, { after, what: refused.conversations });
    for (const conversation of conversations) {
      assertConnected(clientGone);
      yield separator;
      yield* writeConversation(viewer, db, conversation.id);
      separator = ',\n';
    }
    const last = conversations.at(-1);
    if (last === undefined) break;
    after = last.id;
  }
  yield '\n],\n"tickets":[';
  yield* writeTickets(viewer, db, contact.id, clientGone);
  yield '\n]}\n';
}

function assertConnected(clientGone: AbortSignal | null): void {
  if (clientGone?.aborted) throw new UnavailableError('The client disconnected before the export was made.');
}

async function* writeConversation(viewer: Viewer, db: Db, id: string): AsyncGenerator<string> {
  const [found] = await db.$queryRaw<{ readonly row: string }[]>`
    SELECT (to_jsonb(c) - ${internalColumns})::text AS row FROM conversations AS c
    WHERE c.tenant_id = ${viewer.tenantId} AND c.id = ${id}::uuid`;
  yield `{"conversation":${found?.row ?? 'null'}`;
  for (const section of conversationSections) yield* writeSection(viewer, db, id, section);
  yield '}';
}

async function* writeTickets(
  viewer: Viewer,
  db: Db,
  contactId: string,
  clientGone: AbortSignal | null,
): AsyncGenerator<string> {
  const own = Prisma.sql`t.tenant_id = ${viewer.tenantId} AND t.contact_id = ${contactId}::uuid
    AND ${isReadable(viewer, Prisma.sql`t.project_id`)}`;
  for (let after: string | null = null; ; ) {
    const further: Prisma.Sql = after === null ? Prisma.empty : Prisma.sql`AND t.id > ${after}::uuid`;
    const tickets: { readonly id: string; readonly row: string }[] = await db.$queryRaw`
      SELECT t.id, (to_jsonb(t) - ${internalColumns})::text AS row FROM tickets AS t
      WHERE ${own} ${further} ORDER BY t.id LIMIT ${batch}`;
    for (const { id, row } of tickets) {
      assertConnected(clientGone);
      yield `${after === null ? '\n' : ',\n'}{"ticket":${row}`;
      for (const section of ticketSections) yield* writeSection(viewer, db, id, section);
      yield '}';
      after = id;
    }
    if (tickets.length < batch) return;
  }
}

/** The rows of a section, read on after the key of the last one: rows that come and go meanwhile move no others. */
async function* writeSection(
  viewer: Viewer,
  db: Db,
  ownerId: string,
  { name, table, key, of, allowed }: Section,
): AsyncGenerator<string> {
  yield `,\n"${name}":[`;
  const columns = Prisma.raw(key.map(([column]) => `t.${column}`).join(', '));
  const texts = Prisma.raw(key.map(([column]) => `t.${column}::text`).join(', '));
  for (let after: readonly string[] | null = null; ; ) {
    const rows: { readonly row: string; readonly key: string[] }[] = await db.$queryRaw`
      SELECT (to_jsonb(t) - ${internalColumns})::text AS row, ARRAY[${texts}] AS key FROM ${Prisma.raw(table)} AS t
      WHERE t.tenant_id = ${viewer.tenantId} AND ${of(Prisma.sql`${ownerId}::uuid`)}
        AND ${allowed?.(viewer) ?? Prisma.sql`true`} AND ${isAfter(columns, key, after)}
      ORDER BY ${columns} LIMIT ${batch}`;
    for (const { row, key: rowKey } of rows) {
      yield `${after === null ? '\n' : ',\n'}${row}`;
      after = rowKey;
    }
    if (rows.length < batch) break;
  }
  yield ']';
}

function isAfter(columns: Prisma.Sql, key: Section['key'], after: readonly string[] | null): Prisma.Sql {
  if (after === null) return Prisma.sql`true`;
  const values = key.map(([, type], index) => Prisma.sql`${after[index]}::text::${Prisma.raw(type)}`);
  return Prisma.sql`(${columns}) > (${Prisma.join(values)})`;
}
