import { z } from 'zod';
import { parseInput, text } from '../api/input.ts';
import {
  buildConnection,
  type Connection,
  encodeCursor,
  type Page,
  type PageArgs,
  pageSizes,
  parsePage,
} from '../api/paging.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import {
  arrangeByKey,
  type KeyList,
  type RowKey,
  readKeyPage,
  readRowPage,
  type SortColumn,
  textColumn,
  timeColumn,
} from '../database/keyset.ts';
import { type Conversation, Prisma } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { conversationColumns } from './columns.ts';
import { joinLastMessage, type LastMessageColumns, lastMessageColumns, noteLastMessage } from './last-message.ts';
import type { ConversationQuery } from './read.ts';

/** The columns that conversations can be ordered by. Each has its index (tenant, user, column, id). */
const sortColumns = {
  CREATED_AT: timeColumn(Prisma.sql`created_at`),
  UPDATED_AT: timeColumn(Prisma.sql`updated_at`),
  TITLE: textColumn(Prisma.sql`title`),
} as const satisfies Record<string, SortColumn>;

type ConversationOrderField = keyof typeof sortColumns;
type OrderDirection = 'ASC' | 'DESC';

interface ConversationOrder {
  readonly field: ConversationOrderField;
  readonly direction: OrderDirection;
}

const searchInput = text(1, 200).nullable();

const defaultOrder: ConversationOrder = { field: 'UPDATED_AT', direction: 'DESC' };

/**
 * A page of the viewer's conversations, the most recently updated first unless ordered otherwise. One statement for what is
 * plain; else two, and one more for totalCount.
 * @param options.search a part of the title; case does not matter
 * @param query what to read: relations, or what is plain
 * @throws {BadUserInputError} if a page argument or the search is invalid
 */
export async function listConversations(
  viewer: Viewer,
  reads: SizedReads,
  options: ListOptions,
  query: ConversationQuery | PlainQuery = {},
): Promise<Connection<Conversation>> {
  const { db } = reads;
  const { tenantId, userId } = viewer;
  const { list, page, isSearch, count } = planList(viewer, db, options);
  if ('plain' in query) {
    const found = await readPlain(viewer, reads, list, page, query.plain);
    const total = isSearch ? undefined : found.rows[0]?.node.total;
    return buildConnection(page, found, () => total ?? count());
  }
  const found = await readKeyPage(db, list, page);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows =
    ids.length === 0 ? [] : await db.conversation.findMany({ where: { tenantId, userId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), count);
}

/** The arguments of a list of conversations. */
export type ListOptions = PageArgs & {
  readonly orderBy?: ConversationOrder | null | undefined;
  /** A part of the title; case does not matter. */
  readonly search?: string | null | undefined;
};

/**
 * Checks the arguments of a list.
 * @returns the list, its page, and how its rows are counted where they are not counted with the page
 * @throws {BadUserInputError} if a page argument or the search is invalid
 */
export function planList(viewer: Viewer, db: Db, options: ListOptions) {
  const order = options.orderBy ?? defaultOrder;
  const sort = sortColumns[order.field];
  const page = parsePage<RowKey>(options, { list: nameList(order), key: sort.key, ...pageSizes });
  const search = parseInput(searchInput, options.search ?? null, ['search']);
  const own = Prisma.sql`tenant_id = ${viewer.tenantId} AND user_id = ${viewer.userId}`;
  const where = search === null ? own : Prisma.sql`${own} AND title ILIKE ${containing(search)}`;
  const descending = order.direction === 'DESC';
  const list: KeyList = { table: Prisma.sql`conversations AS c`, where, sort, descending };
  const count = () => (search === null ? countAll(viewer, db) : countFound(db, where));
  return { list, page, isSearch: search !== null, count };
}

/** Reads with a page the number of all conversations of a viewer, as `total`. */
export function totalColumn({ tenantId, userId }: Viewer): Prisma.Sql {
  return Prisma.sql`(SELECT conversation_count FROM users WHERE tenant_id = ${tenantId} AND id = ${userId}) AS total`;
}

/** What is read of a list in one statement: columns, the count of all, and the beginning of each last message. */
export interface PlainQuery {
  readonly plain: { readonly lastMessage: boolean };
}

async function readPlain(
  viewer: Viewer,
  { db, answer }: SizedReads,
  list: KeyList,
  page: Page<RowKey>,
  { lastMessage }: PlainQuery['plain'],
) {
  const total = totalColumn(viewer);
  const found = await readRowPage<Conversation & LastMessageColumns & { readonly total: number }>(
    db,
    {
      ...list,
      columns: conversationColumns,
      joined: lastMessage
        ? { columns: Prisma.sql`${total}, ${lastMessageColumns}`, tables: joinLastMessage(viewer.tenantId) }
        : { columns: total, tables: Prisma.empty },
    },
    page,
  );
  const rows = found.rows.map(({ node }) => node);
  if (lastMessage) await answer.take(rows.reduce((sum, row) => sum + noteLastMessage(row), 0));
  return found;
}

async function countAll({ tenantId, userId }: Viewer, db: Db): Promise<number> {
  const user = await db.user.findUnique({
    where: { tenantId_id: { tenantId, id: userId } },
    select: { conversationCount: true },
  });
  return user?.conversationCount ?? 0;
}

async function countFound(db: Db, where: Prisma.Sql): Promise<number> {
  const counted = await db.$queryRaw`SELECT count(*)::int AS count FROM conversations WHERE ${where}`;
  return z.tuple([z.object({ count: z.int() })]).parse(counted)[0].count;
}

/** A conversation as an edge of `conversations` in its default order. */
export function buildConversationEdge(conversation: Conversation) {
  const key: RowKey = [conversation.updatedAt.toISOString(), conversation.id];
  return { cursor: encodeCursor(nameList(defaultOrder), key), node: conversation };
}

/** Names a list in its cursors. */
function nameList({ field, direction }: ConversationOrder): string {
  return `conversations:${field}:${direction}`;
}

/** A LIKE pattern for texts that contain this one, with its wildcards escaped. */
function containing(search: string): string {
  return `%${search.replace(/[\\%_]/g, '\\$&')}%`;
}
