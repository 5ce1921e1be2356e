import type { z } from 'zod';
import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { resolveContactId } from '../contacts/read.ts';
import type { Db } from '../database/client.ts';
import { isForeignKeyViolation, isMissingRow } from '../database/errors.ts';
import type { ConversationFeed } from '../feed/conversation-feed.ts';
import type { Conversation } from '../generated/prisma/client.ts';
import { requireProjectOf } from '../projects/access.ts';
import { type ActiveAgentColumns, chooseInScenario, chooseWithoutScenario } from './choose-agent.ts';
import { scenarioDeleted } from './create.ts';
import { updateConversationInput } from './input.ts';
import { type ConversationQuery, explainMissingConversation } from './read.ts';
import { makeTitle, untitled } from './text.ts';

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
  const contact = await chooseContact(viewer, db, parsed.contactId);
  const naming = parsed.title === undefined ? {} : await chooseTitle(viewer, db, conversationId, parsed.title);
  const { isArchived, isPinned, ...others } = parsed;
  const shelf = {
    ...(isArchived === undefined ? {} : { isArchived: isArchived ?? false }),
    ...(isPinned === undefined ? {} : { isPinned: isPinned ?? false }),
  };
  // To pin or to archive a conversation is no activity in it: it stays where it is in the list.
  const isActivity = Object.values(others).some((value) => value !== undefined) || Object.keys(shelf).length === 0;
  try {
    const updated = await db.conversation.update({
      // The agent was checked against this scenario, and must not be stored if another one was set meanwhile.
      where: active === null ? own : { ...own, scenarioId: before.scenarioId },
      data: { ...active, ...contact, ...naming, ...shelf, ...(isActivity ? { updatedAt: new Date() } : {}) },
      ...query,
    });
    feed.wake(viewer);
    return updated;
  } catch (error) {
    if (isForeignKeyViolation(error)) {
      // It may be the contact that is gone.
      await chooseContact(viewer, db, parsed.contactId);
      throw scenarioDeleted();
    }
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
  if (projectId !== null) await requireProjectOf(viewer, db, projectId, 'EDITOR');
  const agentId = input.agentId ?? null;
  if (typeof input.scenarioKey === 'string') {
    return chooseInScenario(viewer, db, { key: input.scenarioKey, projectId }, agentId, ['input']);
  }
  if (input.scenarioKey === undefined && scenarioId !== null) {
    return chooseInScenario(viewer, db, { id: scenarioId }, agentId, ['input']);
  }
  return chooseWithoutScenario(viewer, db, agentId, ['input', 'agentId'], projectId);
}

/** The contact after an update: a row id, or nobody; nothing: it stays. */
async function chooseContact(viewer: Viewer, db: Db, contactId: string | null | undefined) {
  if (contactId === undefined) return {};
  if (contactId === null) return { contactId };
  return { contactId: await resolveContactId(viewer, db, contactId, ['input', 'contactId']) };
}

/** The given title; for null, the title that the first user message makes. */
async function chooseTitle(viewer: Viewer, db: Db, conversationId: string, title: string | null) {
  if (title !== null) return { title, autoTitle: false, titleOrigin: 'PERSON' as const };
  const first = await db.message.findFirst({
    where: { tenantId: viewer.tenantId, conversationId, role: 'USER', position: { not: null } },
    orderBy: { position: 'asc' },
    select: { content: true },
  });
  const made = first === null ? untitled : makeTitle(first.content);
  return { title: made, autoTitle: made === untitled, titleOrigin: 'MESSAGE' as const };
}
