import { NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput, type InputPath, parseInput } from '../api/input.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import type { Message } from '../generated/prisma/client.ts';
import type { ConversationFeed } from '../log/conversation-feed.ts';
import { appendMessage, type MessageQuery } from './append.ts';
import { createMessageInput, parseToolCalls } from './input.ts';
import { explainMissingConversation } from './read.ts';
import { parseRoutingDecision } from './routing-decision.ts';

/**
 * Reads one message of the viewer's conversations.
 * @param id the public id
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError}
 */
export async function readMessage(viewer: Viewer, db: Db, id: string, query: MessageQuery = {}): Promise<Message> {
  const messageId = parseId('Message', id, ['id']);
  const { tenantId, userId } = viewer;
  const where = { id: messageId, tenantId, conversation: { userId } };
  const message = await db.message.findUnique({ where, ...query });
  if (message !== null) return message;
  const other = await db.message.findUnique({
    where: { id: messageId },
    select: { conversation: { select: { tenantId: true, userId: true } } },
  });
  throw notFoundOrForbidden(viewer, `message ${id}`, other?.conversation ?? null);
}

/** What creating a message needs. */
export interface MessageDependencies {
  readonly db: Database;
  readonly feed: ConversationFeed;
  /**
   * Reads a run of the viewer, for a message that belongs to one. runs/ implements it: conversations do not know its table.
   * @param id the public id
   * @param path of the id in the arguments, for errors
   * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError}
   */
  readonly findRun: (
    viewer: Viewer,
    db: Db,
    id: string,
    path: InputPath,
  ) => Promise<{ readonly id: string; readonly conversationId: string }>;
}

/**
 * Adds a message to a conversation of the viewer without starting a turn. Its source is CHAT if its role is USER or it
 * belongs to a run, else IMPORT.
 * @param input CreateMessageInput
 * @throws {BadUserInputError} naming the field; {@link NotFoundError} and {@link ForbiddenError} for the conversation, the
 *   run and the agents of the routing decision
 */
export async function createMessage(
  viewer: Viewer,
  deps: MessageDependencies,
  input: unknown,
  query: MessageQuery = {},
): Promise<Message> {
  const { db, feed } = deps;
  const parsed = parseInput(createMessageInput, input, ['input']);
  const conversationId = parseId('Conversation', parsed.conversationId, ['input', 'conversationId']);
  const toolCalls = parseToolCalls(parsed.role, parsed.toolCalls ?? []);
  const runId = parsed.runId == null ? null : await requireRun(viewer, deps, parsed.runId, conversationId);
  const routingDecision =
    parsed.routingDecision == null
      ? null
      : await parseRoutingDecision(viewer, db, parsed.routingDecision, ['input', 'routingDecision']);
  const draft = {
    role: parsed.role,
    content: parsed.content,
    source: parsed.role === 'USER' || runId !== null ? ('CHAT' as const) : ('IMPORT' as const),
    attachments: parsed.attachments ?? [],
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
    // appendMessage cannot tell another user's conversation from an absent one; finding out needs a statement outside the
    // transaction.
    if (error instanceof NotFoundError) throw await explainMissingConversation(viewer, db, conversationId);
    throw error;
  }
}

/** The row id of a run of this conversation. */
async function requireRun(
  viewer: Viewer,
  { db, findRun }: MessageDependencies,
  id: string,
  conversationId: string,
): Promise<string> {
  const path = ['input', 'runId'];
  const run = await findRun(viewer, db, id, path);
  if (run.conversationId === conversationId) return run.id;
  throw badInput(path, `names a run of another conversation than ${formatId('Conversation', conversationId)}`);
}
