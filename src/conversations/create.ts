import { randomUUIDv7 } from 'node:crypto';
import type { z } from 'zod';
import { selectDefaultAgentId } from '../agents/read.ts';
import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { type InputPath, parseInput } from '../api/input.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import { isForeignKeyViolation, isUniqueViolation } from '../database/errors.ts';
import type { ConversationFeed } from '../feed/conversation-feed.ts';
import { type Conversation, Prisma } from '../generated/prisma/client.ts';
import { requireProject } from '../projects/access.ts';
import { findScenarioMember } from '../scenarios/members.ts';
import { type ActiveAgentColumns, chooseInScenario, chooseWithoutScenario } from './choose-agent.ts';
import { conversationColumns } from './columns.ts';
import { hashCreation } from './creation-key.ts';
import { createConversationInput } from './input.ts';
import type { KnownConversations } from './known-conversations.ts';
import type { ConversationQuery } from './read.ts';
import { untitled } from './text.ts';

type CreateInput = z.output<typeof createConversationInput>;

/**
 * Creates a conversation of the viewer. Its active agent is the given agent, else the scenario's root, else the default
 * agent at the time of each turn. Without a title, its first user message becomes its title. With an id or an
 * idempotencyKey that the viewer has used before, it returns the conversation that was created then, as it is now.
 * @param input CreateConversationInput
 * @param known remembers it for its first turn
 * @throws {BadUserInputError} naming the field; also for an agent outside the scenario or the project, and if something is
 *   not active; {@link NotFoundError} and {@link ForbiddenError} for the project, the scenario and the agent;
 *   {@link ForbiddenError} if the id is that of a conversation of somebody else; {@link ConflictError} if the id or the key came with
 *   another input before
 */
export async function createConversation(
  viewer: Viewer,
  db: Database,
  feed: ConversationFeed,
  input: unknown,
  query: ConversationQuery = {},
  known?: KnownConversations,
): Promise<Conversation> {
  const parsed = parseInput(createConversationInput, input ?? {}, ['input']);
  const id = parsed.id == null ? null : parseId('Conversation', parsed.id, ['input', 'id']);
  const created = await findCreated(viewer, db, id, parsed, query);
  if (created) return created;
  const { tenantId, userId } = viewer;
  const row = await planConversation(viewer, db, id, parsed, ['input']);
  try {
    const conversation = await insertConversation(viewer, db, row);
    feed.wake(viewer);
    if (conversation.scenarioId === null) known?.remember(viewer, conversation.id, conversation);
    if (!query.include) return conversation;
    return await db.conversation.findUniqueOrThrow({ where: { id: conversation.id, tenantId, userId }, ...query });
  } catch (error) {
    // A concurrent request with the same id or key was faster.
    const other = isUniqueViolation(error) && (await findCreated(viewer, db, id, parsed, query));
    if (other) return other;
    throw isForeignKeyViolation(error) ? scenarioDeleted() : error;
  }
}

/** The active agent of a new conversation: an id, or what selects it. */
type NewActiveAgent = Omit<ActiveAgentColumns, 'activeAgentId'> & {
  readonly activeAgentId: string | null | Prisma.Sql;
};

/** A conversation that is to be created. */
export type NewConversation = NewActiveAgent &
  Pick<Conversation, 'id' | 'projectId' | 'title' | 'autoTitle' | 'creationKey' | 'creationHash'>;

/**
 * Checks what a new conversation is to be, and writes nothing.
 * @param id the row id that the client has chosen; null: a new one
 * @param path of the input in the arguments
 * @throws as `createConversation` does
 */
export async function planConversation(
  viewer: Viewer,
  db: Db,
  id: string | null,
  input: CreateInput,
  path: InputPath,
): Promise<NewConversation> {
  const { title = null, scenarioKey = null, agentId = null, projectId: project = null, idempotencyKey = null } = input;
  const projectId =
    project === null ? null : (await requireProject(viewer, db, project, 'EDITOR', [...path, 'projectId'])).id;
  const active = await chooseFirstAgent(viewer, db, { scenarioKey, agentId, projectId }, path);
  const creation =
    id === null && idempotencyKey === null
      ? noCreation
      : { creationKey: idempotencyKey, creationHash: hashCreation(describe(input)) };
  return {
    ...creation,
    ...active,
    id: id ?? randomUUIDv7(),
    projectId,
    title: title ?? untitled,
    autoTitle: title === null,
  };
}

/** The active agent of a new conversation. The default agent is looked up by the statement that creates it. */
async function chooseFirstAgent(
  viewer: Viewer,
  db: Db,
  { scenarioKey, agentId, projectId }: Readonly<Record<'scenarioKey' | 'agentId' | 'projectId', string | null>>,
  path: InputPath,
): Promise<NewActiveAgent> {
  if (scenarioKey !== null) return chooseInScenario(viewer, db, { key: scenarioKey, projectId }, agentId, path);
  if (agentId !== null) return chooseWithoutScenario(viewer, db, agentId, [...path, 'agentId'], projectId);
  return { scenarioId: null, activeAgentId: Prisma.sql`(${selectDefaultAgentId(viewer)})`, followsDefault: true };
}

/** The columns of a conversation that was created with neither an idempotency key nor an id of the client. */
export const noCreation = { creationKey: null, creationHash: null };

/** What an input says of the conversation itself. */
function describe({ id: _id, idempotencyKey: _key, ...input }: CreateInput) {
  return input;
}

/**
 * Stores a new conversation. The counter of the user changes with the row, in one statement, so that totalCount does not
 * count rows; and the row of the user is locked until the transaction ends, if there is one.
 * @throws a unique violation if its id or its idempotency key is taken
 */
export async function insertConversation(
  { tenantId, userId }: Viewer,
  db: Pick<Db, '$queryRaw'>,
  row: NewConversation,
): Promise<Conversation> {
  const { id, projectId, title, autoTitle, scenarioId, activeAgentId, followsDefault, creationKey, creationHash } = row;
  const [conversation] = await db.$queryRaw<Conversation[]>`
    WITH counted AS (
      UPDATE users SET conversation_count = conversation_count + 1 WHERE tenant_id = ${tenantId} AND id = ${userId}
      RETURNING id
    )
    INSERT INTO conversations AS c (id, tenant_id, user_id, project_id, title, auto_title, title_origin, scenario_id, active_agent_id,
      follows_default, creation_key, creation_hash)
    SELECT ${id}::uuid, ${tenantId}, counted.id, ${projectId}::uuid, ${title}, ${autoTitle}, ${autoTitle ? 'MESSAGE' : 'PERSON'}::"TitleOrigin", ${scenarioId}::uuid,
      ${activeAgentId}::uuid, ${followsDefault}, ${creationKey}, ${creationHash}
    FROM counted
    RETURNING ${conversationColumns}`;
  if (conversation === undefined) throw new Error('The user of a conversation does not exist.');
  return conversation;
}

/**
 * The conversation that an idempotency key or an id has created before; null: none.
 * @throws {ConflictError} if it was created with another input; {@link ForbiddenError} if the id is somebody else's
 */
async function findCreated(
  viewer: Viewer,
  db: Db,
  id: string | null,
  input: CreateInput,
  query: ConversationQuery,
): Promise<Conversation | null> {
  const { tenantId, userId } = viewer;
  const { idempotencyKey } = input;
  if (idempotencyKey != null) {
    const where = { tenantId, userId, creationKey: idempotencyKey };
    const found = await db.conversation.findFirst({ where, ...query });
    if (found !== null) {
      if (found.creationHash === hashCreation(describe(input)) && (id === null || found.id === id)) return found;
      throw new ConflictError(
        'This idempotencyKey has created a conversation with another input. Use a new key for a new conversation.',
      );
    }
  }
  if (id === null) return null;
  const found = await db.conversation.findUnique({ where: { id }, ...query });
  if (found === null) return null;
  assertOwn(viewer, found);
  if (found.creationHash === hashCreation(describe(input))) return found;
  throw new ConflictError(
    `The conversation ${formatId('Conversation', id)} exists, and was created with another input. Use a new id for a new conversation.`,
  );
}

/** @throws {ForbiddenError} if the id of a new conversation is that of somebody else's */
function assertOwn(viewer: Viewer, { id, tenantId, userId }: Conversation): void {
  if (tenantId === viewer.tenantId && userId === viewer.userId) return;
  throw notFoundOrForbidden(viewer, `conversation ${formatId('Conversation', id)}`, { tenantId, userId });
}

/**
 * Makes sure that a conversation which exists is what an input says of it: it was created with that input, or is like it now.
 * @param conversation the viewer's
 * @param path of the input in the arguments
 * @throws {ConflictError} if it is not; {@link NotFoundError}, {@link ForbiddenError} for the scenario and the project of the input
 */
export async function assertIsAsDescribed(
  viewer: Viewer,
  db: Db,
  conversation: Conversation,
  input: CreateInput,
  path: InputPath,
): Promise<void> {
  if (conversation.creationHash === hashCreation(describe(input))) return;
  const { scenarioKey, projectId, agentId, title } = input;
  const project =
    projectId == null ? null : (await requireProject(viewer, db, projectId, 'VIEWER', [...path, 'projectId'])).id;
  const scenario =
    scenarioKey == null
      ? null
      : (await findScenarioMember(viewer.tenantId, db, { key: scenarioKey, projectId: project }, null)).id;
  const isLike =
    project === conversation.projectId &&
    scenario === conversation.scenarioId &&
    (title == null || title === conversation.title) &&
    (agentId == null || parseId('Agent', agentId, [...path, 'agentId']) === conversation.activeAgentId);
  if (isLike) return;
  throw new ConflictError(
    `The conversation ${formatId('Conversation', conversation.id)} exists, and is not what ${path.join('.')} says. Omit it to go on with the conversation, or use a new id.`,
  );
}

/** The error for a scenario that was deleted while a conversation was written. */
export function scenarioDeleted(): ConflictError {
  return new ConflictError('The scenario was deleted meanwhile. Try again.');
}
