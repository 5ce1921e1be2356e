import { ConflictError, NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import { resolveContactId } from '../contacts/read.ts';
import type { Db } from '../database/client.ts';
import { isForeignKeyViolation } from '../database/errors.ts';
import type { Prisma, Ticket } from '../generated/prisma/client.ts';
import { requireProjectOf } from '../projects/access.ts';
import { parseUpdateTicket } from './input.ts';
import { explainMissingTicket, findTicket, type TicketQuery } from './read.ts';
import { announce, type TicketRuntime } from './runtime.ts';
import { type FieldChange, tellWebhooks } from './webhook-body.ts';

/** Changes of one ticket that are stored: beyond them the oldest are deleted. */
const maxChanges = 1_000;

/**
 * Changes the given fields of a ticket; null removes a value.
 * @param id the public id
 * @param input UpdateTicketInput
 * @throws {BadUserInputError} naming the field; {@link NotFoundError} {@link ForbiddenError} for the ticket or the contact, and
 *   for a VIEWER of its project; {@link ConflictError} if it is CLOSED and the input has another status
 */
export async function updateTicket(
  viewer: Viewer,
  runtime: TicketRuntime,
  id: string,
  input: unknown,
  query: TicketQuery = {},
): Promise<Ticket> {
  const row = parseId('Ticket', id, ['id']);
  const { contactId, ...fields } = parseUpdateTicket(input);
  const { db } = runtime;
  const changing = db.$transaction(async (tx) => {
    const before = await lockTicket(viewer, tx, id, row);
    const given = {
      ...fields,
      ...(contactId === undefined
        ? {}
        : {
            contactId:
              contactId === null ? null : await resolveContactId(viewer, tx, contactId, ['input', 'contactId']),
          }),
    };
    return changeTicket(viewer, tx, before, given, query);
  });
  const ticket = await changing.catch((error: unknown) => {
    // The contact was there when it was looked up, and is erased since.
    if (isForeignKeyViolation(error) && contactId) throw new NotFoundError(`There is no contact ${contactId}.`);
    throw error;
  });
  announce(runtime, viewer.tenantId);
  return ticket;
}

type Changeable = Pick<Ticket, 'subject' | 'status' | 'priority' | 'category' | 'assignee' | 'contactId'>;

/** The fields that can be changed, by their names in the GraphQL type Ticket, with their values as texts. */
const shownFields: readonly (readonly [string, keyof Changeable])[] = [
  ['subject', 'subject'],
  ['status', 'status'],
  ['priority', 'priority'],
  ['category', 'category'],
  ['assignee', 'assignee'],
  ['contact', 'contactId'],
];

/**
 * Changes a locked ticket, with its history and the deliveries of webhooks. What stays the same is no change.
 * @param tx a transaction that holds the lock
 * @throws {ConflictError} if it is CLOSED, and is to be something else
 */
export async function changeTicket(
  viewer: Viewer,
  tx: Db,
  before: Ticket,
  given: { readonly [Field in keyof Changeable]?: Changeable[Field] | undefined },
  query: TicketQuery = {},
): Promise<Ticket> {
  const { tenantId, userId } = viewer;
  const where = { id: before.id, tenantId };
  const changed = shownFields.filter(([, key]) => given[key] !== undefined && given[key] !== before[key]);
  if (changed.length === 0) return tx.ticket.findUniqueOrThrow({ where, ...query });
  if (before.status === 'CLOSED' && given.status !== undefined && given.status !== 'CLOSED') {
    throw new ConflictError('The ticket is CLOSED, which is its end. Create another one.');
  }
  const changes: FieldChange[] = changed.map(([field, key]) => ({
    field,
    from: showValue(key, before[key]),
    to: showValue(key, given[key] ?? null),
  }));
  const data: Prisma.TicketUncheckedUpdateInput = Object.fromEntries(changed.map(([, key]) => [key, given[key]]));
  const now = new Date();
  const after = await tx.ticket.update({
    where,
    data: { ...data, updatedAt: now, changeCount: { increment: changes.length } },
    ...query,
  });
  const changeRows = changes.map((change) => ({ ...change, tenantId, ticketId: before.id, by: userId, at: now }));
  await tx.ticketChange.createMany({ data: changeRows });
  if (after.changeCount > maxChanges) await deleteOldChanges(viewer, tx, before.id);
  await tellWebhooks(tx, after, { type: 'ticket.updated', changes, changedBy: userId });
  return after;
}

async function deleteOldChanges({ tenantId }: Viewer, tx: Db, ticketId: string): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM ticket_changes WHERE id IN (
      SELECT id FROM ticket_changes WHERE tenant_id = ${tenantId} AND ticket_id = ${ticketId}::uuid
      ORDER BY changed_at DESC, id DESC OFFSET ${maxChanges})`;
  await tx.ticket.update({ where: { id: ticketId, tenantId }, data: { changeCount: maxChanges } });
}

function showValue(key: keyof Changeable, value: string | null): string | null {
  return value === null || key !== 'contactId' ? value : formatId('Contact', value);
}

/**
 * Locks a ticket that the viewer may change: one of no project, or of a project in which the viewer is an EDITOR.
 * @param id the public id, and its row
 * @throws {NotFoundError} {@link ForbiddenError} {@link ConflictError} if its project is archived
 */
export async function lockTicket(viewer: Viewer, tx: Db, id: string, row: string): Promise<Ticket> {
  await tx.$executeRaw`SELECT id FROM tickets WHERE id = ${row}::uuid AND tenant_id = ${viewer.tenantId} FOR NO KEY UPDATE`;
  const ticket = await findTicket(viewer, tx, row);
  if (ticket === null) throw await explainMissingTicket(viewer, tx, id, row);
  if (ticket.projectId !== null) await requireProjectOf(viewer, tx, ticket.projectId, 'EDITOR');
  return ticket;
}
