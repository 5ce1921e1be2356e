import { z } from 'zod';
import {
  buildConnection,
  type Connection,
  type Page,
  type PageArgs,
  type PageRows,
  pageSizes,
  parsePage,
} from '../api/paging.ts';
import type { Viewer } from '../auth/viewer.ts';
import { resolveContactId } from '../contacts/read.ts';
import { readConversation } from '../conversations/read.ts';
import type { Db } from '../database/client.ts';
import {
  arrangeByKey,
  type KeyList,
  type RowKey,
  readKeyPage,
  type SizedKey,
  type SortColumn,
  timeColumn,
} from '../database/keyset.ts';
import { readKeyPages } from '../database/keyset-lists.ts';
import { buildOwnedConnections, parseOwnedPage } from '../database/owned-lists.ts';
import { Prisma, type Ticket, TicketPriority } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { fitPage } from '../limits/fit-page.ts';
import { isReadable, requireProject } from '../projects/access.ts';
import { parseFilter, type TicketFilter } from './input.ts';
import type { TicketQuery } from './read.ts';

/** The columns that tickets can be ordered by. Each has its index (tenant, column, id). */
const sortColumns = {
  CREATED_AT: timeColumn(Prisma.sql`created_at`),
  UPDATED_AT: timeColumn(Prisma.sql`updated_at`),
  PRIORITY: {
    column: Prisma.sql`priority`,
    type: Prisma.sql`"TicketPriority"`,
    key: z.tuple([z.enum(TicketPriority), z.uuid()]),
  },
} as const satisfies Record<string, SortColumn>;

interface TicketOrder {
  readonly field: keyof typeof sortColumns;
  readonly direction: 'ASC' | 'DESC';
}

const defaultOrder: TicketOrder = { field: 'UPDATED_AT', direction: 'DESC' };

/** The arguments of a list of tickets. */
export type TicketListArgs = PageArgs & {
  readonly filter?: unknown;
  readonly orderBy?: TicketOrder | null | undefined;
};

/**
 * A page of the tickets that the viewer may see, the most recently updated first unless ordered otherwise. Two statements, one
 * for totalCount, and one for each id in the filter.
 * @throws {BadUserInputError} if an argument is invalid; {@link ForbiddenError} {@link NotFoundError} for an id in the filter
 */
export async function listTickets(
  viewer: Viewer,
  { db, answer }: SizedReads,
  args: TicketListArgs,
  query: TicketQuery = {},
): Promise<Connection<Ticket>> {
  const order = args.orderBy ?? defaultOrder;
  const sort = sortColumns[order.field];
  const list = `tickets:${order.field}:${order.direction}`;
  const page = parsePage<RowKey>(args, { list, key: sort.key, ...pageSizes });
  const filter = parseFilter(args.filter);
  const { tenantId } = viewer;
  const where = Prisma.join([Prisma.sql`tenant_id = ${tenantId}`, ...(await selectRows(viewer, db, filter))], ' AND ');
  return readPage(tenantId, { db, answer }, page, { where, sort, descending: order.direction === 'DESC' }, query);
}

/**
 * A page of the tickets of each contact that the viewer may see, the most recently created first. Two statements for all
 * contacts, and one more for their totalCount.
 * @param contactIds row ids of contacts that the viewer may see
 * @throws {BadUserInputError} if a page argument is invalid, or a cursor is of another contact; as `fitPage` does
 */
export async function listTicketsOfContacts(
  viewer: Viewer,
  { db, answer }: SizedReads,
  args: PageArgs,
  contactIds: readonly string[],
  query: TicketQuery = {},
): Promise<Connection<Ticket>[]> {
  const page = parseOwnedPage(args, 'ticketsOfContact', contactIds);
  const { tenantId } = viewer;
  const lists = {
    table: Prisma.sql`tickets`,
    where: Prisma.sql`tenant_id = ${tenantId} AND ${isReadable(viewer, Prisma.sql`project_id`)}`,
    owner: Prisma.sql`contact_id`,
    sort: sortColumns.CREATED_AT,
    descending: true,
    bytes: Prisma.sql`bytes`,
  };
  const pages: PageRows<SizedKey>[] = [];
  // Each is cut to what those before it have left.
  for (const found of await readKeyPages(db, lists, contactIds, page)) pages.push(await fitPage(page, found, answer));
  const ids = pages.flatMap(({ rows }) => rows.map(({ key }) => key[1]));
  const rows = ids.length === 0 ? [] : await db.ticket.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildOwnedConnections(db, lists, contactIds, page, { pages, rows });
}

async function readPage(
  tenantId: string,
  { db, answer }: SizedReads,
  page: Page<RowKey>,
  keys: Omit<KeyList, 'table'>,
  query: TicketQuery,
): Promise<Connection<Ticket>> {
  const list = { table: Prisma.sql`tickets`, ...keys, bytes: Prisma.sql`bytes` };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows = ids.length === 0 ? [] : await db.ticket.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), () => countTickets(db, keys.where));
}

async function countTickets(db: Db, where: Prisma.Sql): Promise<number> {
  const [row] = await db.$queryRaw<{ count: number }[]>`SELECT count(*)::int AS count FROM tickets WHERE ${where}`;
  return row?.count ?? 0;
}

async function selectRows(viewer: Viewer, db: Db, filter: TicketFilter): Promise<Prisma.Sql[]> {
  const { status, priority, assignee, contactId, conversationId, projectId, search } = filter;
  const conditions: Prisma.Sql[] = [];
  if (projectId == null) {
    conditions.push(isReadable(viewer, Prisma.sql`project_id`));
  } else {
    const { id } = await requireProject(viewer, db, projectId, 'VIEWER', ['filter', 'projectId']);
    conditions.push(Prisma.sql`project_id = ${id}::uuid`);
  }
  if (status != null) conditions.push(Prisma.sql`status = ANY(${status}::"TicketStatus"[])`);
  if (priority != null) conditions.push(Prisma.sql`priority = ANY(${priority}::"TicketPriority"[])`);
  if (assignee != null) conditions.push(Prisma.sql`assignee = ${assignee}`);
  if (contactId != null) {
    const id = await resolveContactId(viewer, db, contactId, ['filter', 'contactId']);
    conditions.push(Prisma.sql`contact_id = ${id}::uuid`);
  }
  if (conversationId != null) {
    const { id } = await readConversation(viewer, db, conversationId, {}, ['filter', 'conversationId']);
    conditions.push(Prisma.sql`conversation_id = ${id}::uuid`);
  }
  if (search != null) conditions.push(matches(search));
  return conditions;
}

/** All words of a search, each of which may be the beginning of one: in the number, the subject or the body. */
function matches(search: string): Prisma.Sql {
  const words = search.split(/\s+/u).filter((word) => /[\p{L}\p{N}]/u.test(word));
  // Quoted, so that nothing in it is an operator of a tsquery.
  const terms = words.map((word) => `'${word.replace(/[\\']/g, (found) => found + found)}':*`);
  if (terms.length === 0) return Prisma.sql`false`;
  return Prisma.sql`tsv @@ to_tsquery('simple', ${terms.join(' & ')})`;
}
