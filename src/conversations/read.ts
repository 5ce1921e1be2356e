import { formatId, parseId } from '../api/ids.ts';
import type { InputPath } from '../api/input.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { ConfigurationStore } from '../database/change-configuration.ts';
import type { Db } from '../database/client.ts';
import type { Conversation, Prisma } from '../generated/prisma/client.ts';
import { requireProjectCached } from '../projects/access.ts';
import { conversationColumns } from './columns.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface ConversationQuery {
  readonly include?: Prisma.ConversationInclude;
}

/**
 * Reads one conversation of the viewer.
 * @param id the public id
 * @param path where the id stood in the arguments
 * @throws {BadUserInputError} if the id is not a conversation id
 * @throws {NotFoundError} if it does not exist
 * @throws {ForbiddenError} if it is another user's
 */
export async function readConversation(
  viewer: Viewer,
  db: Db,
  id: string,
  query: ConversationQuery = {},
  path: InputPath = ['id'],
): Promise<Conversation> {
  const conversationId = parseId('Conversation', id, path);
  const conversation = await findConversation(viewer, db, conversationId, query);
  if (conversation === null) throw await explainMissingConversation(viewer, db, conversationId);
  return conversation;
}

/**
 * As {@link readConversation}, for a conversation in which something is to happen: whoever is no EDITOR in its project, any
 * more, only reads it.
 * @throws {ForbiddenError} also for the project; {@link ConflictError} if it is archived
 */
export async function readActiveConversation(
  viewer: Viewer,
  store: ConfigurationStore,
  id: string,
  path: InputPath = ['id'],
): Promise<Conversation> {
  const conversation = await readConversation(viewer, store.db, id, {}, path);
  if (conversation.projectId !== null) await requireProjectCached(viewer, store, conversation.projectId, 'EDITOR');
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
 * The project of one of the viewer's conversations.
 * @param id the row id
 * @returns null: it is in none, or is not the viewer's
 */
export async function readProjectOf({ tenantId, userId }: Viewer, db: Db, id: string): Promise<string | null> {
  const row = await db.conversation.findUnique({ where: { id, tenantId, userId }, select: { projectId: true } });
  return row?.projectId ?? null;
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
