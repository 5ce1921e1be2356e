import type { Connection, PageArgs } from '../api/paging.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { timeColumn } from '../database/keyset.ts';
import { readKeyPages } from '../database/keyset-lists.ts';
import { buildOwnedConnections, parseOwnedPage } from '../database/owned-lists.ts';
import type { Conversation } from '../generated/prisma/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import type { ConversationQuery } from './read.ts';

const byActivity = timeColumn(Prisma.sql`updated_at`);

/**
 * A page of the viewer's own conversations with each of some contacts, the most recently active first. Two statements for
 * all contacts, and one more for their totalCount.
 * @param contactIds row ids of contacts of the viewer's tenant
 * @throws {BadUserInputError} if a page argument is invalid, or a cursor is of another contact
 */
export async function listConversationsOfContacts(
  viewer: Viewer,
  db: Db,
  args: PageArgs,
  contactIds: readonly string[],
  query: ConversationQuery = {},
): Promise<Connection<Conversation>[]> {
  const { tenantId, userId } = viewer;
  const page = parseOwnedPage(args, 'conversationsOfContact', contactIds);
  const lists = {
    table: Prisma.sql`conversations`,
    where: Prisma.sql`tenant_id = ${tenantId} AND user_id = ${userId}`,
    owner: Prisma.sql`contact_id`,
    sort: byActivity,
    descending: true,
  };
  const pages = await readKeyPages(db, lists, contactIds, page);
  const ids = pages.flatMap(({ rows }) => rows.map((row) => row.key[1]));
  const rows =
    ids.length === 0 ? [] : await db.conversation.findMany({ where: { tenantId, userId, id: { in: ids } }, ...query });
  return buildOwnedConnections(db, lists, contactIds, page, { pages, rows });
}
