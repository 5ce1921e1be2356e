import { z } from 'zod';
import { formatId, parseId } from '../api/ids.ts';
import { parseInput, text } from '../api/input.ts';
import { buildConnection, type Connection, type PageArgs, parsePage } from '../api/paging.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, type SortColumn, textColumn, timeColumn } from '../database/keyset.ts';
import { type Conversation, Prisma } from '../generated/prisma/client.ts';

/** What to load beside the row: what a document selects. */
export interface ConversationQuery {
  readonly include?: Prisma.ConversationInclude;
}

/** What conversations can be ordered by. Each has its index (tenant, user, column, id). */
const sortColumns = {
  CREATED_AT: timeColumn(Prisma.sql`created_at`),
  UPDATED_AT: timeColumn(Prisma.sql`updated_at`),
  TITLE: textColumn(Prisma.sql`title`),
} as const satisfies Record<string, SortColumn>;

export type ConversationOrderField = keyof typeof sortColumns;
export type OrderDirection = 'ASC' | 'DESC';

/**
 * One conversation of the viewer.
 * @param id the public id
 * @throws {BadUserInputError} when the id is none of a conversation
 * @throws {NotFoundError} when there is none
 * @throws {ForbiddenError} when it is somebody else's
 */
export async function readConversation(
  viewer: Viewer,
  db: Db,
  id: string,
  query: ConversationQuery = {},
): Promise<Conversation> {
  const row = parseId('Conversation', id, ['id']);
  const where = { id: row, tenantId: viewer.tenantId, userId: viewer.userId };
  const conversation = await db.conversation.findUnique({ where, ...query });
  if (conversation === null) throw await explainMissingConversation(viewer, db, row);
  return conversation;
}

/** Why a conversation is not among the viewer's: FORBIDDEN or NOT_FOUND. Takes a statement. */
export async function explainMissingConversation(viewer: Viewer, db: Db, row: string) {
  const owner = await db.conversation.findUnique({ where: { id: row }, select: { tenantId: true, userId: true } });
  return notFoundOrForbidden(viewer, `conversation ${formatId('Conversation', row)}`, owner);
}

/**
 * A page of the viewer's conversations, the one where something happened last first unless ordered otherwise.
 * Two statements, and one more where totalCount is asked for.
 * @param options.search a part of the title, in any case
 * @throws {BadUserInputError} when a page argument or the search is wrong
 */
export async function listConversations(
  viewer: Viewer,
  db: Db,
  options: PageArgs & {
    readonly orderBy?:
      | { readonly field: ConversationOrderField; readonly direction: OrderDirection }
      | null
      | undefined;
    readonly search?: string | null | undefined;
  },
  query: ConversationQuery = {},
): Promise<Connection<Conversation>> {
  const { tenantId, userId } = viewer;
  const { field, direction } = options.orderBy ?? { field: 'UPDATED_AT', direction: 'DESC' };
  const sort = sortColumns[field];
  const rules = { list: `conversations:${field}:${direction}`, key: sort.key, defaultSize: 50, maxSize: 100 };
  const page = parsePage<RowKey>(options, rules);
  const search = parseInput(text(1, 200).nullable(), options.search ?? null, ['search']);
  const own = Prisma.sql`tenant_id = ${tenantId} AND user_id = ${userId}`;
  const where = search === null ? own : Prisma.sql`${own} AND title ILIKE ${containing(search)}`;
  const found = await readKeyPage(
    db,
    { table: Prisma.sql`conversations`, where, sort, descending: direction === 'DESC' },
    page,
  );
  const ids = found.rows.map((key) => key[1]);
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

/** A LIKE pattern for any text that contains this one, whatever wildcards stand in it. */
function containing(search: string): string {
  return `%${search.replace(/[\\%_]/g, '\\$&')}%`;
}
