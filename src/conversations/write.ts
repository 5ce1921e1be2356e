import { z } from 'zod';
import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { parseInput, text } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import { type Conversation, Prisma } from '../generated/prisma/client.ts';
import type { ConversationFeed } from '../log/conversation-feed.ts';
import { chooseInScenario, chooseWithoutScenario, type Floor } from './choose-agent.ts';
import { type ConversationQuery, explainMissingConversation } from './read.ts';
import { makeTitle, untitled } from './text.ts';

const title = text(1, 200).refine((value) => value.trim() !== '', 'must not be blank');
const key = text(1, 255);

const createInput = z.strictObject({
  title: title.nullish(),
  scenarioKey: key.nullish(),
  agentId: z.string().nullish(),
  projectId: key.nullish(),
});

const updateInput = z.strictObject({
  title: title.nullish(),
  scenarioKey: key.nullish(),
  agentId: z.string().nullish(),
});

/**
 * Begins a conversation of the viewer.
 *
 * The floor goes to the given agent, else to the scenario's root, else to whoever is the default agent at the time.
 * Without a title it is named after its first user message.
 * @param input CreateConversationInput
 * @throws {BadUserInputError} naming the field; also for an agent outside the scenario, and for what is not active
 * @throws {NotFoundError | ForbiddenError} for the scenario and the agent
 */
export async function createConversation(
  viewer: Viewer,
  db: Database,
  input: unknown,
  query: ConversationQuery = {},
): Promise<Conversation> {
  const given = parseInput(createInput, input ?? {}, ['input']);
  const { tenantId, userId } = viewer;
  const { agentId = null, projectId = null } = given;
  const floor =
    typeof given.scenarioKey === 'string'
      ? await chooseInScenario(viewer, db, { key: given.scenarioKey, projectId }, agentId, ['input'])
      : await chooseWithoutScenario(viewer, db, agentId, ['input', 'agentId']);
  // The count moves with the row, in one transaction, so that totalCount never counts rows.
  const writing = db.$transaction([
    db.$executeRaw`
      UPDATE users SET conversation_count = conversation_count + 1 WHERE tenant_id = ${tenantId} AND id = ${userId}`,
    db.conversation.create({
      data: {
        tenantId,
        userId,
        ...floor,
        projectId,
        title: given.title ?? untitled,
        autoTitle: given.title == null,
      },
      ...query,
    }),
  ]);
  const [, conversation] = await writing.catch((error: unknown) => {
    throw isDangling(error) ? new ConflictError('The scenario was deleted meanwhile. Try again.') : error;
  });
  return conversation;
}

/** Whether a row points to one that is gone: the scenario, which was there a moment ago. */
function isDangling(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2003';
}

/**
 * Changes what is given and leaves what is absent. A null `title` goes back to the title of the first user message, a
 * null `scenarioKey` takes the conversation out of its scenario, a null `agentId` gives the floor back to the
 * scenario's root or the default agent. Another scenario moves the floor to its root, unless an agent is given.
 * @param id the public id
 * @param input UpdateConversationInput
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} as createConversation does
 * @throws {ConflictError} when the scenario was changed by somebody else meanwhile
 */
export async function updateConversation(
  viewer: Viewer,
  db: Db,
  feed: ConversationFeed,
  id: string,
  input: unknown,
  query: ConversationQuery = {},
): Promise<Conversation> {
  const row = parseId('Conversation', id, ['id']);
  const given = parseInput(updateInput, input, ['input']);
  const own = { id: row, tenantId: viewer.tenantId, userId: viewer.userId };
  const before = await db.conversation.findUnique({ where: own, select: forFloor });
  if (before === null) throw await explainMissingConversation(viewer, db, row);
  const floor = await chooseNextFloor(viewer, db, before, given);
  const naming = given.title === undefined ? {} : await chooseTitle(viewer, db, row, given.title);
  try {
    const updated = await db.conversation.update({
      // An agent was checked against this scenario: another one that came meanwhile must not get it.
      where: floor === null ? own : { ...own, scenarioId: before.scenarioId },
      data: { ...floor, ...naming, updatedAt: new Date() },
      ...query,
    });
    feed.publish({ type: 'ConversationUpdated', conversationId: row });
    const [fromAgentId, toAgentId] = [before.activeAgentId, updated.activeAgentId];
    if (toAgentId !== null && toAgentId !== fromAgentId) {
      feed.publish({ type: 'AgentSwitched', conversationId: row, fromAgentId, toAgentId, reason: null });
    }
    return updated;
  } catch (error) {
    if (isDangling(error)) throw new ConflictError('The scenario was deleted meanwhile. Try again.');
    if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2025') throw error;
    if ((await db.conversation.findUnique({ where: own, select: { id: true } })) === null) {
      throw await explainMissingConversation(viewer, db, row);
    }
    throw new ConflictError('The scenario of the conversation was changed meanwhile. Try again.');
  }
}

/**
 * Deletes a conversation with its messages, runs and their archives. One statement.
 * @param id the public id
 * @returns the public id
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the id
 */
export async function deleteConversation(viewer: Viewer, db: Db, id: string): Promise<string> {
  const row = parseId('Conversation', id, ['id']);
  const { tenantId, userId } = viewer;
  const gone = await db.$executeRaw`
    WITH gone AS (
      DELETE FROM conversations WHERE id = ${row}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId} RETURNING id
    )
    UPDATE users SET conversation_count = conversation_count - 1
    WHERE tenant_id = ${tenantId} AND id = ${userId} AND EXISTS (SELECT 1 FROM gone)`;
  if (gone === 0) throw await explainMissingConversation(viewer, db, row);
  return formatId('Conversation', row);
}

/** What of a conversation says where the floor may go. */
const forFloor = { scenarioId: true, activeAgentId: true, projectId: true } as const;

/** Where the floor goes; null: it stays. */
async function chooseNextFloor(
  viewer: Viewer,
  db: Db,
  { scenarioId, projectId }: { readonly scenarioId: string | null; readonly projectId: string | null },
  given: z.output<typeof updateInput>,
): Promise<Floor | null> {
  if (given.scenarioKey === undefined && given.agentId === undefined) return null;
  const agentId = given.agentId ?? null;
  if (typeof given.scenarioKey === 'string') {
    return chooseInScenario(viewer, db, { key: given.scenarioKey, projectId }, agentId, ['input']);
  }
  if (given.scenarioKey === undefined && scenarioId !== null) {
    return chooseInScenario(viewer, db, { id: scenarioId }, agentId, ['input']);
  }
  return chooseWithoutScenario(viewer, db, agentId, ['input', 'agentId']);
}

/** The title that was given; for null, the one that the first user message makes. */
async function chooseTitle(viewer: Viewer, db: Db, row: string, given: string | null) {
  if (given !== null) return { title: given, autoTitle: false };
  const first = await db.message.findFirst({
    where: { tenantId: viewer.tenantId, conversationId: row, role: 'USER' },
    orderBy: { position: 'asc' },
    select: { content: true },
  });
  const made = first === null ? untitled : makeTitle(first.content);
  return { title: made, autoTitle: made === untitled };
}
