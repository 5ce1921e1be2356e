import { parseId } from '../api/ids.ts';
import type { InputPath } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { readContactsById } from '../contacts/read.ts';
import type { Db } from '../database/client.ts';
import type { Contact, Prisma, Ticket } from '../generated/prisma/client.ts';
import { explainUnreadable, readableRows } from '../projects/access.ts';

/** Relations to load with the row: those that a document selects. */
export interface TicketQuery {
  readonly include?: Prisma.TicketInclude;
}

/**
 * A ticket that the viewer may see: of no project, or of one of the viewer's.
 * @param id the public id
 * @param path where the id stood in the arguments
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the id
 */
export async function readTicket(
  viewer: Viewer,
  db: Db,
  id: string,
  query: TicketQuery = {},
  path: InputPath = ['id'],
): Promise<Ticket> {
  const row = parseId('Ticket', id, path);
  const ticket = await findTicket(viewer, db, row, query);
  if (ticket === null) throw await explainMissingTicket(viewer, db, id, row);
  return ticket;
}

/**
 * As `readTicket`, by the row id.
 * @returns null: it does not exist, or the viewer may not see it
 */
export function findTicket(viewer: Viewer, db: Db, row: string, query: TicketQuery = {}): Promise<Ticket | null> {
  return db.ticket.findFirst({ where: { id: row, tenantId: viewer.tenantId, ...readableRows(viewer) }, ...query });
}

/** The contacts of several tickets, in their order; null: it has none. One statement. */
export async function readContactsOf(
  viewer: Viewer,
  db: Db,
  tickets: readonly Pick<Ticket, 'contactId'>[],
): Promise<(Contact | null)[]> {
  const ids = [...new Set(tickets.flatMap(({ contactId }) => contactId ?? []))];
  if (ids.length === 0) return tickets.map(() => null);
  const found = await readContactsById(viewer, db, ids);
  const byId = new Map(found.flatMap((contact) => (contact === null ? [] : [[contact.id, contact] as const])));
  return tickets.map(({ contactId }) => (contactId === null ? null : (byId.get(contactId) ?? null)));
}

/** The error for an id that is not of a ticket that the viewer may see; the caller throws it. */
export async function explainMissingTicket(viewer: Viewer, db: Db, id: string, row: string) {
  const found = await db.ticket.findUnique({ where: { id: row }, select: { tenantId: true, projectId: true } });
  return explainUnreadable(viewer, `ticket ${id}`, found);
}
