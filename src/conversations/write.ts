import { randomUUIDv7 } from 'node:crypto';
import type { z } from 'zod';
import { selectDefaultAgentId } from '../agents/read.ts';
import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import { isForeignKeyViolation, isMissingRow, isUniqueViolation } from '../database/errors.ts';
import type { ConversationFeed } from '../feed/conversation-feed.ts';
import { type Conversation, Prisma } from '../generated/prisma/client.ts';
import { type ActiveAgentColumns, chooseInScenario, chooseWithoutScenario } from './choose-agent.ts';
import { conversationColumns } from './columns.ts';
import { assertSameCreation, type CreationColumns, makeCreationColumns } from './creation-key.ts';
import { createConversationInput, updateConversationInput } from './input.ts';
import type { KnownConversations } from './known-conversations.ts';
import { type ConversationQuery, explainMissingConversation } from './read.ts';
import { makeTitle, untitled } from './text.ts';

/**
 * Creates a conversation of the viewer. Its active agent is the given agent, else the scenario's root, else the default
 * agent at the time of each turn. Without a title, its first user message becomes its title. With an idempotencyKey that
 * the viewer has used before, it returns the conversation that was created then, as it is now.
 * @param input CreateConversationInput
 * @param known remembers it for its first turn
 * @throws {BadUserInputError} naming the field; also for an agent outside the scenario, and if something is not active;
 *   {@link NotFoundError} and {@link ForbiddenError} for the scenario and the agent; {@link ConflictError} if the key came
 *   with another input before
 */
export async function createConversation(
  viewer: Viewer,
  db: Database,
  feed: ConversationFeed,
  input: unknown,
  query: ConversationQuery = {},
  known?: KnownConversations,
): Promise<Conversation> {
  const { idempotencyKey, ...parsed } = parseInput(createConversationInput, input ?? {}, ['input']);
  const creation = makeCreationColumns(idempotencyKey, parsed);
  const created = creation && (await findCreated(viewer, db, creation, query));
  if (created) return created;
  const { tenantId, userId } = viewer;
  const { agentId = null, projectId = null } = parsed;
  const active = await chooseFirstAgent(viewer, db, { scenarioKey: parsed.scenarioKey ?? null, agentId, projectId });
  const title = parsed.title ?? null;
  const row = { ...noCreation, ...creation, ...active, projectId, title: title ?? untitled, autoTitle: title === null };
  try {
    const conversation = await insertConversation(viewer, db, row);
    feed.wake(viewer);
    if (conversation.scenarioId === null) known?.remember(viewer, conversation.id, conversation);
    if (!query.include) return conversation;
    return await db.conversation.findUniqueOrThrow({ where: { id: conversation.id, tenantId, userId }, ...query });
  } catch (error) {
    // A concurrent request with the same key was faster.
    const other = creation && isUniqueViolation(error) && (await findCreated(viewer, db, creation, query));
    if (other) return other;
    throw isForeignKeyViolation(error) ? scenarioDeleted() : error;
  }
}

/** The active agent of a new conversation. The default agent is looked up by the statement that creates it. */
async function chooseFirstAgent(
  viewer: Viewer,
  db: Database,
  { scenarioKey, agentId, projectId }: Readonly<Record<'scenarioKey' | 'agentId' | 'projectId', string | null>>,
): Promise<NewActiveAgent> {
  if (scenarioKey !== null) return chooseInScenario(viewer, db, { key: scenarioKey, projectId }, agentId, ['input']);
  if (agentId !== null) return chooseWithoutScenario(viewer, db, agentId, ['input', 'agentId']);
  return { scenarioId: null, activeAgentId: Prisma.sql`(${selectDefaultAgentId(viewer)})`, followsDefault: true };
}

/** The active agent of a new conversation: an id, or what selects it. */
type NewActiveAgent = Omit<ActiveAgentColumns, 'activeAgentId'> & {
  readonly activeAgentId: string | null | Prisma.Sql;
};

/** The columns of a conversation that was created without an idempotency key. */
export const noCreation = { creationKey: null, creationHash: null };

/**
 * Stores a new conversation. The counter of the user changes with the row, in one statement, so that totalCount does not
 * count rows; and the row of the user is locked until the transaction ends, if there is one.
 */
export async function insertConversation(
  { tenantId, userId }: Viewer,
  db: Db,
  row: NewActiveAgent & Pick<Conversation, 'projectId' | 'title' | 'autoTitle' | 'creationKey' | 'creationHash'>,
): Promise<Conversation> {
  const { projectId, title, autoTitle, scenarioId, activeAgentId, followsDefault, creationKey, creationHash } = row;
  const [conversation] = await db.$queryRaw<Conversation[]>`
    WITH counted AS (
      UPDATE users SET conversation_count = conversation_count + 1 WHERE tenant_id = ${tenantId} AND id = ${userId}
      RETURNING id
    )
    INSERT INTO conversations AS c (id, tenant_id, user_id, project_id, title, auto_title, scenario_id, active_agent_id,
      follows_default, creation_key, creation_hash)
    SELECT ${randomUUIDv7()}::uuid, ${tenantId}, counted.id, ${projectId}, ${title}, ${autoTitle}, ${scenarioId}::uuid,
      ${activeAgentId}::uuid, ${followsDefault}, ${creationKey}, ${creationHash}
    FROM counted
    RETURNING ${conversationColumns}`;
  if (conversation === undefined) throw new Error('The user of a conversation does not exist.');
  return conversation;
}

/**
 * The conversation that an idempotency key has created before; null: none.
 * @throws {ConflictError} if it was created with another input
 */
async function findCreated(
  { tenantId, userId }: Viewer,
  db: Db,
  creation: CreationColumns,
  query: ConversationQuery,
): Promise<Conversation | null> {
  const where = { tenantId, userId, creationKey: creation.creationKey };
  const found = await db.conversation.findFirst({ where, ...query });
  if (found !== null) assertSameCreation(found, creation, 'conversation');
  return found;
}

function scenarioDeleted(): ConflictError {
  return new ConflictError('The scenario was deleted meanwhile. Try again.');
}

/**
 * Changes the given fields of a conversation. A null `title` makes its first user message its title again, a null
 * `scenarioKey` takes it out of its scenario, a null `agentId` makes the scenario's root or the default agent the active
 * agent. With another scenario its root becomes the active agent, unless an agent is given.
 * @param id the public id
 * @param input UpdateConversationInput
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} as `createConversation` does
 * @throws {ConflictError} if the scenario was concurrently changed
 */
export async function updateConversation(
  viewer: Viewer,
  db: Db,
  feed: ConversationFeed,
  id: string,
  input: unknown,
  query: ConversationQuery = {},
): Promise<Conversation> {
  const conversationId = parseId('Conversation', id, ['id']);
  const parsed = parseInput(updateConversationInput, input, ['input']);
  const own = { id: conversationId, tenantId: viewer.tenantId, userId: viewer.userId };
  const before = await db.conversation.findUnique({
    where: own,
    select: { scenarioId: true, projectId: true },
  });
  if (before === null) throw await explainMissingConversation(viewer, db, conversationId);
  const active = await chooseActiveAgent(viewer, db, before, parsed);
  const naming = parsed.title === undefined ? {} : await chooseTitle(viewer, db, conversationId, parsed.title);
  try {
    const updated = await db.conversation.update({
      // The agent was checked against this scenario, and must not be stored if another one was set meanwhile.
      where: active === null ? own : { ...own, scenarioId: before.scenarioId },
      data: { ...active, ...naming, updatedAt: new Date() },
      ...query,
    });
    feed.wake(viewer);
    return updated;
  } catch (error) {
    if (isForeignKeyViolation(error)) throw scenarioDeleted();
    if (!isMissingRow(error)) throw error;
    if ((await db.conversation.findUnique({ where: own, select: { id: true } })) === null) {
      throw await explainMissingConversation(viewer, db, conversationId);
    }
    throw new ConflictError('The scenario of the conversation was changed meanwhile. Try again.');
  }
}

/**
 * Deletes a conversation with its messages, runs and their archives. One statement.
 * @param id the public id
 * @returns the public id
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError}
 */
export async function deleteConversation(viewer: Viewer, db: Db, id: string): Promise<string> {
  const conversationId = parseId('Conversation', id, ['id']);
  const { tenantId, userId } = viewer;
  const deleted = await db.$executeRaw`
    WITH gone AS (
      DELETE FROM conversations WHERE id = ${conversationId}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId}
      RETURNING id
    )
    UPDATE users SET conversation_count = conversation_count - 1
    WHERE tenant_id = ${tenantId} AND id = ${userId} AND EXISTS (SELECT 1 FROM gone)`;
  if (deleted === 0) throw await explainMissingConversation(viewer, db, conversationId);
  return formatId('Conversation', conversationId);
}

/**
 * Counts the conversations of a tenant that use a scenario.
 * @param scenarioId the row id
 */
export function countConversationsInScenario(db: Db, tenantId: string, scenarioId: string): Promise<number> {
  return db.conversation.count({ where: { tenantId, scenarioId } });
}

/** The active agent after an update; null: it stays. */
async function chooseActiveAgent(
  viewer: Viewer,
  db: Db,
  { scenarioId, projectId }: { readonly scenarioId: string | null; readonly projectId: string | null },
  input: z.output<typeof updateConversationInput>,
): Promise<ActiveAgentColumns | null> {
  if (input.scenarioKey === undefined && input.agentId === undefined) return null;
  const agentId = input.agentId ?? null;
  if (typeof input.scenarioKey === 'string') {
    return chooseInScenario(viewer, db, { key: input.scenarioKey, projectId }, agentId, ['input']);
  }
  if (input.scenarioKey === undefined && scenarioId !== null) {
    return chooseInScenario(viewer, db, { id: scenarioId }, agentId, ['input']);
  }
  return chooseWithoutScenario(viewer, db, agentId, ['input', 'agentId']);
}

/** The given title; for null, the title that the first user message makes. */
async function chooseTitle(viewer: Viewer, db: Db, conversationId: string, title: string | null) {
  if (title !== null) return { title, autoTitle: false };
  const first = await db.message.findFirst({
    where: { tenantId: viewer.tenantId, conversationId, role: 'USER', position: { not: null } },
    orderBy: { position: 'asc' },
    select: { content: true },
  });
  const made = first === null ? untitled : makeTitle(first.content);
  return { title: made, autoTitle: made === untitled };
}
