import { createHash, randomUUIDv7 } from 'node:crypto';
import { ConflictError } from '../api/errors.ts';
import { badInput, type InputPath } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { resolveContactId } from '../contacts/read.ts';
import { assertSameCreation, type CreationColumns, makeCreationColumns } from '../conversations/creation-key.ts';
import { readConversation } from '../conversations/read.ts';
import type { Db } from '../database/client.ts';
import { isUniqueViolation } from '../database/errors.ts';
import type { Conversation, Ticket, TicketPriority } from '../generated/prisma/client.ts';
import { readableRows, requireProject, requireProjectOf } from '../projects/access.ts';
import { parseCreateTicket } from './input.ts';
import type { TicketQuery } from './read.ts';
import { announce, type TicketRuntime } from './runtime.ts';
import { tellWebhooks } from './webhook-body.ts';

/**
 * Creates a ticket. Without a projectId it belongs to the project of its conversation, without a contactId to the contact of its
 * conversation.
 * @param input CreateTicketInput
 * @param query relations of the ticket
 * @throws {BadUserInputError} naming the field; {@link NotFoundError} {@link ForbiddenError} for a contact, a conversation or a
 *   project; {@link ForbiddenError} for a VIEWER of the project; {@link ConflictError} if the idempotencyKey has created a
 *   ticket with another input
 */
export async function createTicket(
  viewer: Viewer,
  runtime: TicketRuntime,
  input: unknown,
  query: TicketQuery = {},
): Promise<Ticket> {
  const { idempotencyKey, ...given } = parseCreateTicket(input);
  const key = idempotencyKey == null ? null : `api:${idempotencyKey}`;
  const creation = makeCreationColumns(key, given);
  const { db } = runtime;
  const existing = await findCreated(viewer, db, creation, query);
  if (existing !== null) return existing;
  const { conversationId, projectId, contactId } = given;
  const conversation =
    conversationId == null ? null : await readConversation(viewer, db, conversationId, {}, ['input', 'conversationId']);
  const project = await chooseProject(viewer, db, projectId ?? null, conversation, ['input', 'projectId']);
  const contact =
    contactId == null
      ? (conversation?.contactId ?? null)
      : await resolveContactId(viewer, db, contactId, ['input', 'contactId']);
  const { subject, body, priority, category } = given;
  return storeTicket(
    viewer,
    runtime,
    {
      subject,
      body,
      priority: priority ?? 'NORMAL',
      category: category ?? null,
      contactId: contact,
      conversationId: conversation?.id ?? null,
      projectId: project,
      createdByAgentId: null,
    },
    creation,
    query,
  );
}

/** A ticket of an agent. Ids are row ids. */
export interface AgentTicket {
  readonly subject: string;
  readonly body: string;
  readonly priority: TicketPriority;
  readonly category: string | null;
  readonly agentId: string | null;
  /** Null: the call is in no conversation. */
  readonly conversationId: string | null;
  /** The run and the id of the call in it, which create one ticket; null: a person called the tool. */
  readonly call: { readonly runId: string; readonly callId: string } | null;
}

/**
 * Creates the ticket that an agent asks for, once for each tool call, in the conversation of the call, with its contact and its
 * project.
 * @throws {NotFoundError} if the conversation is gone; {@link ForbiddenError} for a VIEWER of the project
 */
export async function createTicketOfAgent(
  viewer: Viewer,
  runtime: TicketRuntime,
  { agentId, conversationId, call, ...fields }: AgentTicket,
): Promise<Ticket> {
  const { db } = runtime;
  const key = call && `call:${createHash('sha256').update(`${call.runId}:${call.callId}`).digest('hex')}`;
  const creation = makeCreationColumns(key, fields);
  const existing = await findCreated(viewer, db, creation, {});
  if (existing !== null) return existing;
  const { tenantId, userId } = viewer;
  const conversation =
    conversationId === null
      ? null
      : await db.conversation.findUnique({ where: { id: conversationId, tenantId, userId } });
  const projectId = await chooseProject(viewer, db, null, conversation, []);
  const links = { contactId: conversation?.contactId ?? null, conversationId: conversation?.id ?? null, projectId };
  return storeTicket(viewer, runtime, { ...fields, ...links, createdByAgentId: agentId }, creation, {});
}

/** The row id of the project of a new ticket, in which the viewer may write; null: it belongs to the tenant. */
async function chooseProject(
  viewer: Viewer,
  db: Db,
  given: string | null,
  conversation: Pick<Conversation, 'projectId'> | null,
  path: InputPath,
): Promise<string | null> {
  const own = conversation?.projectId ?? null;
  if (given === null) return own === null ? null : (await requireProjectOf(viewer, db, own, 'EDITOR')).id;
  const { id } = await requireProject(viewer, db, given, 'EDITOR', path);
  if (own !== null && own !== id) throw badInput(path, 'must be the project of the conversation, or be left out');
  return id;
}

type NewTicket = Pick<
  Ticket,
  'subject' | 'body' | 'priority' | 'category' | 'contactId' | 'conversationId' | 'projectId' | 'createdByAgentId'
>;

async function storeTicket(
  viewer: Viewer,
  runtime: TicketRuntime,
  ticket: NewTicket,
  creation: CreationColumns | null,
  query: TicketQuery,
): Promise<Ticket> {
  const { db } = runtime;
  const { tenantId } = viewer;
  try {
    const stored = await db.$transaction(async (tx) => {
      const id = await insertTicket(viewer, tx, ticket, creation);
      const row = await tx.ticket.findUniqueOrThrow({ where: { id, tenantId }, ...query });
      await tellWebhooks(tx, row, { type: 'ticket.created' });
      return row;
    });
    announce(runtime, tenantId);
    return stored;
  } catch (error) {
    // Somebody else was faster with the same key.
    if (creation === null || !isUniqueViolation(error)) throw error;
    const existing = await findCreated(viewer, db, creation, query);
    if (existing === null)
      throw new ConflictError('The idempotencyKey has created a ticket that you may not see any more.');
    return existing;
  }
}

/** The tenant's row is locked until the commit: a ticket with a higher number was created later. */
async function insertTicket(
  { tenantId, userId }: Viewer,
  tx: Db,
  ticket: NewTicket,
  creation: CreationColumns | null,
): Promise<string> {
  const id = randomUUIDv7();
  const { subject, body, priority, category, contactId, conversationId, projectId, createdByAgentId } = ticket;
  // Else it was created for somebody else.
  const creatorIsContact = conversationId !== null || createdByAgentId !== null || contactId === null;
  const count = await tx.$executeRaw`
    WITH numbered AS (
      UPDATE tenants SET ticket_count = ticket_count + 1 WHERE id = ${tenantId} RETURNING ticket_count
    )
    INSERT INTO tickets (id, tenant_id, project_id, number, subject, body, priority, category, contact_id, conversation_id,
      created_by, created_by_agent_id, creator_is_contact, creation_key, creation_hash, created_at, updated_at)
    SELECT ${id}::uuid, ${tenantId}, ${projectId}::uuid, ticket_count, ${subject}, ${body}, ${priority}::"TicketPriority",
      ${category}, ${contactId}::uuid, ${conversationId}::uuid, ${userId}, ${createdByAgentId}::uuid, ${creatorIsContact},
      ${creation?.creationKey ?? null}, ${creation?.creationHash ?? null}, moment, moment
    FROM numbered, date_trunc('milliseconds', clock_timestamp()) AS moment`;
  if (count !== 1) throw new Error('The tenant of a ticket does not exist.');
  return id;
}

/**
 * The ticket that a key has created before, if the viewer may still see it; null: none.
 * @throws {ConflictError} if it was created with another input
 */
async function findCreated(
  viewer: Viewer,
  db: Db,
  creation: CreationColumns | null,
  query: TicketQuery,
): Promise<Ticket | null> {
  if (creation === null) return null;
  const { tenantId, userId } = viewer;
  const where = { tenantId, createdBy: userId, creationKey: creation.creationKey, ...readableRows(viewer) };
  const found = await db.ticket.findFirst({ where, ...query });
  if (found !== null) assertSameCreation(found, creation, 'ticket');
  return found;
}
