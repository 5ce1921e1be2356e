import { z } from 'zod';
import { formatId, parseId } from '../api/ids.ts';
import { parseInput, text } from '../api/input.ts';
import { buildConnection, type Connection, encodeCursor, type PageArgs, pageSizes, parsePage } from '../api/paging.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, type SortColumn, textColumn, timeColumn } from '../database/keyset.ts';
import { type Conversation, Prisma } from '../generated/prisma/client.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface ConversationQuery {
  readonly include?: Prisma.ConversationInclude;
}

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

const defaultOrder: ConversationOrder = { field: 'UPDATED_AT', direction: 'DESC' };

/**
 * Reads one conversation of the viewer.
 * @param id the public id
 * @throws {BadUserInputError} if the id is not a conversation id
 * @throws {NotFoundError} if it does not exist
 * @throws {ForbiddenError} if it is another user's
 */
export async function readConversation(
  viewer: Viewer,
  db: Db,
  id: string,
  query: ConversationQuery = {},
): Promise<Conversation> {
  const conversationId = parseId('Conversation', id, ['id']);
  const where = { id: conversationId, tenantId: viewer.tenantId, userId: viewer.userId };
  const conversation = await db.conversation.findUnique({ where, ...query });
  if (conversation === null) throw await explainMissingConversation(viewer, db, conversationId);
  return conversation;
}

/**
 * The error for a conversation that is not the viewer's: FORBIDDEN if it is another user's, else NOT_FOUND.
 * @param conversationId the row id
 * @returns the error; the caller throws it. Takes one statement
 */
export async function explainMissingConversation(viewer: Viewer, db: Db, conversationId: string) {
  const owner = await db.conversation.findUnique({
    where: { id: conversationId },
    select: { tenantId: true, userId: true },
  });
  return notFoundOrForbidden(viewer, `conversation ${formatId('Conversation', conversationId)}`, owner);
}

/**
 * A page of the viewer's conversations, the most recently updated first unless ordered otherwise. Two statements, and one
 * more for totalCount.
 * @param options.search a part of the title; case does not matter
 * @throws {BadUserInputError} if a page argument or the search is invalid
 */
export async function listConversations(
  viewer: Viewer,
  db: Db,
  options: PageArgs & {
    readonly orderBy?: ConversationOrder | null | undefined;
    readonly search?: string | null | undefined;
  },
  query: ConversationQuery = {},
): Promise<Connection<Conversation>> {
  const { tenantId, userId } = viewer;
  const { field, direction } = options.orderBy ?? defaultOrder;
  const sort = sortColumns[field];
  const rules = { list: nameList(options.orderBy ?? defaultOrder), key: sort.key, ...pageSizes };
  const page = parsePage<RowKey>(options, rules);
  const search = parseInput(text(1, 200).nullable(), options.search ?? null, ['search']);
  const own = Prisma.sql`tenant_id = ${tenantId} AND user_id = ${userId}`;
  const where = search === null ? own : Prisma.sql`${own} AND title ILIKE ${containing(search)}`;
  const found = await readKeyPage(
    db,
    { table: Prisma.sql`conversations`, where, sort, descending: direction === 'DESC' },
    page,
  );
  const ids = found.rows.map(({ key }) => key[1]);
  const rows =
    ids.length === 0 ? [] : await db.conversation.findMany({ where: { tenantId, userId, id: { in: ids } }, ...query });
  const countAll = async () => {
    const user = await db.user.findUnique({
      where: { tenantId_id: { tenantId, id: userId } },
      select: { conversationCount: true },
    });
    return user?.conversationCount ?? 0;
  };
  const countFound = async () => {
    const counted = await db.$queryRaw`SELECT count(*)::int AS count FROM conversations WHERE ${where}`;
    return z.tuple([z.object({ count: z.int() })]).parse(counted)[0].count;
  };
  return buildConnection(page, arrangeByKey(found, rows), search === null ? countAll : countFound);
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
