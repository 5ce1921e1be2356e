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
import { requireProject } from '../projects/access.ts';
import { conversationColumns } from './columns.ts';
import { joinLastMessage, type LastMessageColumns, lastMessageColumns, noteLastMessage } from './last-message.ts';
import type { ConversationQuery } from './read.ts';

/**
 * The columns that conversations can be ordered by. Each has its index (tenant, user, whether archived, column, id), and
 * one of the pinned ones.
 */
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
  const { list, page, isPart, count } = await planList(viewer, db, options);
  if ('plain' in query) {
    const found = await readPlain(viewer, reads, { ...list, shelf: options.isArchived }, page, query.plain);
    const total = isPart ? undefined : found.rows[0]?.node.total;
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
  /** Only conversations of this project, by its id or key: one more statement. */
  readonly projectId?: string | null | undefined;
  /** Whether archived conversations are listed, or the others; null: both. Absent: the others. */
  readonly isArchived?: boolean | null | undefined;
  /** Only pinned conversations, or only others; null: both. */
  readonly isPinned?: boolean | null | undefined;
};

/**
 * Checks the arguments of a list.
 * @returns the list, its page, whether it is a part of all conversations, and how its rows are counted where they are not
 *   counted with the page
 * @throws {BadUserInputError} if a page argument or the search is invalid; as `requireProject` does
 */
export async function planList(viewer: Viewer, db: Db, options: ListOptions) {
  const order = options.orderBy ?? defaultOrder;
  const sort = sortColumns[order.field];
  const page = parsePage<RowKey>(options, { list: nameList(order), key: sort.key, ...pageSizes });
  const search = parseInput(searchInput, options.search ?? null, ['search']);
  const project =
    options.projectId == null ? null : await requireProject(viewer, db, options.projectId, 'VIEWER', ['projectId']);
  const archived = Prisma.sql`is_archived`;
  const others = Prisma.sql`NOT is_archived`;
  const { isArchived } = options;
  const conditions = [
    Prisma.sql`tenant_id = ${viewer.tenantId} AND user_id = ${viewer.userId}`,
    ...(options.isPinned == null ? [] : [options.isPinned ? Prisma.sql`is_pinned` : Prisma.sql`NOT is_pinned`]),
    ...(project === null ? [] : [Prisma.sql`project_id = ${project.id}::uuid`]),
    ...(search === null ? [] : [Prisma.sql`title ILIKE ${containing(search)}`]),
  ];
  const isPart = conditions.length > 1;
  if (isArchived !== null) conditions.push(isArchived ? archived : others);
  const where = Prisma.join(conditions, ' AND ');
  const descending = order.direction === 'DESC';
  const both = isArchived === null ? { parts: [archived, others] } : {};
  const list: KeyList = { table: Prisma.sql`conversations AS c`, where, sort, descending, ...both };
  const count = () => (isPart ? countFound(db, where) : countAll(viewer, db, isArchived));
  return { list, page, isPart, count };
}

/** Reads with a page the number of all conversations of a viewer that are archived, that are not, or both: as `total`. */
export function totalColumn({ tenantId, userId }: Viewer, isArchived: boolean | null | undefined): Prisma.Sql {
  const archived = Prisma.sql`archived_conversation_count`;
  const all = Prisma.sql`conversation_count`;
  const wanted = isArchived === null ? all : isArchived ? archived : Prisma.sql`${all} - ${archived}`;
  return Prisma.sql`(SELECT ${wanted} FROM users WHERE tenant_id = ${tenantId} AND id = ${userId}) AS total`;
}

/** What is read of a list in one statement: columns, the count of all, and the beginning of each last message. */
export interface PlainQuery {
  readonly plain: { readonly lastMessage: boolean };
}

async function readPlain(
  viewer: Viewer,
  { db, answer }: SizedReads,
  { shelf, ...list }: KeyList & { readonly shelf: ListOptions['isArchived'] },
  page: Page<RowKey>,
  { lastMessage }: PlainQuery['plain'],
) {
  const total = totalColumn(viewer, shelf);
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

async function countAll({ tenantId, userId }: Viewer, db: Db, isArchived: ListOptions['isArchived']): Promise<number> {
  const user = await db.user.findUnique({
    where: { tenantId_id: { tenantId, id: userId } },
    select: { conversationCount: true, archivedConversationCount: true },
  });
  if (user === null) return 0;
  const { conversationCount: all, archivedConversationCount: archived } = user;
  return isArchived === null ? all : isArchived ? archived : all - archived;
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
