import { z } from 'zod';
import { NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput, json, list, parseInput, text } from '../api/input.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import type { Message } from '../generated/prisma/client.ts';
import type { ConversationFeed } from '../log/conversation-feed.ts';
import { appendMessage, type MessageQuery, type ToolCallDraft } from './append.ts';
import { attachmentsInput } from './attachment.ts';
import { explainMissingConversation } from './read.ts';
import { parseRoutingDecision } from './routing-decision.ts';

/** The text of a message: 1 to 100,000 characters. Turns take the same. */
export const messageContent = text(1, 100_000);

const toolCall = z.strictObject({
  id: text(1, 255),
  name: text(1, 255),
  arguments: text(0, 100_000),
  // Judged before z.json: that one recurses.
  result: json(100_000).pipe(z.json()).optional(),
  status: z
    .enum(['SUCCEEDED', 'FAILED', 'DENIED', 'CANCELLED'], {
      error: 'must be SUCCEEDED, FAILED, DENIED or CANCELLED: a stored call is over',
    })
    .optional(),
  error: text(1, 10_000).nullish(),
});

const createInput = z.strictObject({
  conversationId: z.string(),
  role: z.enum(['USER', 'ASSISTANT', 'SYSTEM']),
  content: messageContent,
  attachments: attachmentsInput.nullish(),
  runId: z.string().nullish(),
  routingDecision: z.unknown().optional(),
  toolCalls: list(toolCall, 100).nullish(),
});

/**
 * One message of a conversation of the viewer.
 * @param id the public id
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the id
 */
export async function readMessage(viewer: Viewer, db: Db, id: string, query: MessageQuery = {}): Promise<Message> {
  const row = parseId('Message', id, ['id']);
  const { tenantId, userId } = viewer;
  const where = { id: row, tenantId, conversation: { userId } };
  const message = await db.message.findUnique({ where, ...query });
  if (message !== null) return message;
  const other = await db.message.findUnique({
    where: { id: row },
    select: { conversation: { select: { tenantId: true, userId: true } } },
  });
  throw notFoundOrForbidden(viewer, `message ${id}`, other?.conversation ?? null);
}

/**
 * Adds a message to a conversation of the viewer, without starting a turn. Its source is CHAT where a user says it or a
 * run of the conversation is named, IMPORT otherwise.
 * @param input CreateMessageInput
 * @throws {BadUserInputError} naming the field
 * @throws {NotFoundError | ForbiddenError} for the conversation, the run and the agents of the routing decision
 */
export async function createMessage(
  viewer: Viewer,
  db: Database,
  feed: ConversationFeed,
  input: unknown,
  query: MessageQuery = {},
): Promise<Message> {
  const given = parseInput(createInput, input, ['input']);
  const conversationId = parseId('Conversation', given.conversationId, ['input', 'conversationId']);
  const toolCalls = readToolCalls(given.role, given.toolCalls ?? []);
  const runId = typeof given.runId === 'string' ? await requireRun(viewer, db, given.runId, conversationId) : null;
  const routingDecision =
    given.routingDecision == null
      ? null
      : await parseRoutingDecision(viewer, db, given.routingDecision, ['input', 'routingDecision']);
  const draft = {
    role: given.role,
    content: given.content,
    source: given.role === 'USER' || runId !== null ? ('CHAT' as const) : ('IMPORT' as const),
    attachments: given.attachments ?? [],
    runId,
    routingDecision,
    toolCalls,
  };
  try {
    const message = await db.$transaction((tx) =>
      appendMessage(tx, viewer.tenantId, conversationId, draft, { userId: viewer.userId, query }),
    );
    feed.publish({ type: 'MessageAdded', conversationId, messageId: message.id });
    return message;
  } catch (error) {
    // It cannot tell somebody else's from absent, and the transaction is no place to find out.
    if (error instanceof NotFoundError) throw await explainMissingConversation(viewer, db, conversationId);
    throw error;
  }
}

function readToolCalls(role: Message['role'], calls: readonly z.output<typeof toolCall>[]): ToolCallDraft[] {
  if (calls.length > 0 && role !== 'ASSISTANT') throw badInput(['input', 'toolCalls'], 'needs the role ASSISTANT');
  const seen = new Set<string>();
  return calls.map((call, index) => {
    if (seen.has(call.id)) throw badInput(['input', 'toolCalls', index, 'id'], 'is the id of an earlier call as well');
    seen.add(call.id);
    const error = call.error ?? null;
    return {
      callId: call.id,
      name: call.name,
      arguments: call.arguments,
      result: call.result ?? null,
      status: call.status ?? (error === null ? 'SUCCEEDED' : 'FAILED'),
      error,
    };
  });
}

/** The row id of a run of this conversation. */
async function requireRun(viewer: Viewer, db: Db, id: string, conversationId: string): Promise<string> {
  const row = parseId('Run', id, ['input', 'runId']);
  const { tenantId, userId } = viewer;
  const run = await db.run.findUnique({ where: { id: row, tenantId, userId }, select: { conversationId: true } });
  if (run === null) {
    const owner = await db.run.findUnique({ where: { id: row }, select: { tenantId: true, userId: true } });
    throw notFoundOrForbidden(viewer, `run ${id}`, owner);
  }
  if (run.conversationId !== conversationId) {
    throw badInput(
      ['input', 'runId'],
      `names a run of another conversation than ${formatId('Conversation', conversationId)}`,
    );
  }
  return row;
}
