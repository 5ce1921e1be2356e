import { formatId, parseId } from '../api/ids.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { Conversation, Prisma } from '../generated/prisma/client.ts';
import { conversationColumns } from './columns.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface ConversationQuery {
  readonly include?: Prisma.ConversationInclude;
}

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
  const conversation = await findConversation(viewer, db, conversationId, query);
  if (conversation === null) throw await explainMissingConversation(viewer, db, conversationId);
  return conversation;
}

async function findConversation(
  { tenantId, userId }: Viewer,
  db: Db,
  id: string,
  query: ConversationQuery,
): Promise<Conversation | null> {
  if (query.include) return db.conversation.findUnique({ where: { id, tenantId, userId }, ...query });
  const [conversation] = await db.$queryRaw<Conversation[]>`
    SELECT ${conversationColumns} FROM conversations AS c
    WHERE c.id = ${id}::uuid AND c.tenant_id = ${tenantId} AND c.user_id = ${userId}`;
  return conversation ?? null;
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
