import { isAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { Prisma, type Ticket, type TicketChange, type TicketComment } from '../generated/prisma/client.ts';
import { rowBytes, type SizedReads } from '../limits/answer-budget.ts';

/**
 * The condition for comments `c` that the viewer may read. What is internal is for everybody who may see the ticket but the
 * contact, and so not for the user who speaks for the contact, unless that user wrote it or is an admin.
 */
export function isReadableComment(viewer: Viewer): Prisma.Sql {
  if (isAdmin(viewer)) return Prisma.sql`true`;
  return Prisma.sql`(NOT c.is_internal OR c.author = ${viewer.userId} OR NOT EXISTS (
    SELECT 1 FROM tickets AS t
    WHERE t.tenant_id = c.tenant_id AND t.id = c.ticket_id AND t.creator_is_contact AND t.created_by = ${viewer.userId}
  ))`;
}

const columns = Prisma.sql`c.id, c.tenant_id AS "tenantId", c.ticket_id AS "ticketId", c.body, c.is_internal AS "isInternal",
  c.author, c.created_at AS "createdAt"`;

/**
 * The comments of several tickets that the viewer may see, the oldest first. Two statements.
 * @throws {QueryTooComplexError} if they are too much for one answer
 */
export async function readCommentsOf(
  viewer: Viewer,
  { db, answer }: SizedReads,
  tickets: readonly Ticket[],
): Promise<TicketComment[][]> {
  const ids = tickets.filter(({ commentCount }) => commentCount > 0).map(({ id }) => id);
  if (ids.length === 0) return tickets.map(() => []);
  const where = Prisma.sql`c.tenant_id = ${viewer.tenantId} AND c.ticket_id = ANY(${ids}::uuid[]) AND ${isReadableComment(viewer)}`;
  const [size] = await db.$queryRaw<{ bytes: number }[]>`
    SELECT coalesce(sum(octet_length(c.body) + ${rowBytes}), 0)::int AS bytes FROM ticket_comments AS c WHERE ${where}`;
  await answer.take(size?.bytes ?? 0);
  const found = await db.$queryRaw<TicketComment[]>`
    SELECT ${columns} FROM ticket_comments AS c WHERE ${where} ORDER BY c.created_at, c.id`;
  const byTicket = Map.groupBy(found, ({ ticketId }) => ticketId);
  return tickets.map(({ id }) => byTicket.get(id) ?? []);
}

/** One comment. @param id the row id @returns null: it does not exist, or the viewer may not read it */
export async function findComment(viewer: Viewer, db: Db, id: string): Promise<TicketComment | null> {
  const [found] = await db.$queryRaw<TicketComment[]>`
    SELECT ${columns} FROM ticket_comments AS c
    WHERE c.tenant_id = ${viewer.tenantId} AND c.id = ${id}::uuid AND ${isReadableComment(viewer)}`;
  return found ?? null;
}

/**
 * The history of several tickets that the viewer may see, the oldest change first. One statement.
 * @throws {QueryTooComplexError} if they are too much for one answer
 */
export async function readHistoryOf(
  { tenantId }: Viewer,
  { db, answer }: SizedReads,
  tickets: readonly Ticket[],
): Promise<TicketChange[][]> {
  const changed = tickets.filter(({ changeCount }) => changeCount > 0);
  if (changed.length === 0) return tickets.map(() => []);
  await answer.take(changed.reduce((sum, { changeCount }) => sum + changeCount, 0) * rowBytes);
  const found = await db.ticketChange.findMany({
    where: { tenantId, ticketId: { in: changed.map(({ id }) => id) } },
    orderBy: [{ at: 'asc' }, { id: 'asc' }],
  });
  const byTicket = Map.groupBy(found, ({ ticketId }) => ticketId);
  return tickets.map(({ id }) => byTicket.get(id) ?? []);
}
