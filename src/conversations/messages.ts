import type { AgentDependencies } from '../agents/dependencies.ts';
import { findDefaultAgent } from '../agents/resolve.ts';
import { NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput, type InputPath, parseInput } from '../api/input.ts';
import { findTaken, takeAttachments, takeTexts, withTexts } from '../attachments/take.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import { isUniqueViolation } from '../database/errors.ts';
import type { ConversationFeed } from '../feed/conversation-feed.ts';
import type { Message } from '../generated/prisma/client.ts';
import type { MessageTexts } from '../guardrails/message-texts.ts';
import { checkPastMessage, findGuardrails } from '../guardrails/moderate/check-texts.ts';
import {
  type AttachingRuntime,
  addAttachedDocuments,
  checkAttachedDocuments,
  namesKnowledgeBase,
  wakeAttachedBases,
} from '../knowledge/attached-documents.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import { requireProjectCached } from '../projects/access.ts';
import { loadScenarioGraph } from '../scenarios/load.ts';
import { appendMessage, type MessageQuery } from './append.ts';
import { byAddress } from './attachment.ts';
import { assertSameCreation, type CreationColumns, makeCreationColumns } from './creation-key.ts';
import { createMessageInput, parseToolCalls } from './input.ts';
import { readMessagesById } from './load-messages.ts';
import { explainMissingConversation } from './read.ts';
import { parseRoutingDecision } from './routing-decision.ts';

/**
 * Reads one message of the viewer's conversations.
 * @param id the public id
 * @param path where the id stood in the arguments
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError};
 *   {@link QueryTooComplexError} if it does not fit into the answer
 */
export async function readMessage(
  viewer: Viewer,
  reads: SizedReads,
  id: string,
  query: MessageQuery = {},
  path: InputPath = ['id'],
): Promise<Message> {
  const messageId = parseId('Message', id, path);
  const [message] = await readMessagesById(viewer, reads, [messageId], query);
  if (message instanceof Error) throw message;
  if (message) return message;
  const other = await reads.db.message.findUnique({
    where: { id: messageId },
    select: { conversation: { select: { tenantId: true, userId: true } } },
  });
  throw notFoundOrForbidden(viewer, `message ${id}`, other?.conversation ?? null);
}

/** What creating a message needs. */
export interface MessageDependencies {
  readonly db: Database;
  readonly feed: ConversationFeed;
  /** With what guardrails check the message. */
  readonly agents: AgentDependencies;
  /** Adds attachments to the knowledge bases that they name. */
  readonly knowledge: AttachingRuntime;
  /** How often a message may be checked by guardrails that ask a provider. */
  readonly turnLimit: RateLimit;
  /** Aborts when the client disconnects. */
  readonly clientGone: AbortSignal | null;
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
 * belongs to a run, else IMPORT. The guardrails of the active agent and of the scenario check it as a text of the user,
 * whatever its role: later turns give it to a model. Attachments that name a knowledge base become documents of it, unless
 * the message is blocked. With an idempotencyKey that was used before in the conversation, it returns the message
 * that was created then.
 * @param input CreateMessageInput
 * @throws {BadUserInputError} naming the field; {@link NotFoundError} and {@link ForbiddenError} for the conversation, the
 *   run and the agents of the routing decision, and for the project of the conversation if the viewer is no EDITOR in it;
 *   {@link ConflictError} if the key came with another input before, or the project is archived;
 *   {@link RateLimitedError} if a guardrail would ask a provider too often
 */
export async function createMessage(
  viewer: Viewer,
  deps: MessageDependencies,
  input: unknown,
  query: MessageQuery = {},
): Promise<Message> {
  const { db, feed } = deps;
  const { idempotencyKey, ...parsed } = parseInput(createMessageInput, input, ['input']);
  const conversationId = parseId('Conversation', parsed.conversationId, ['input', 'conversationId']);
  const toolCalls = parseToolCalls(parsed.role, parsed.toolCalls ?? []);
  const creation = makeCreationColumns(idempotencyKey, parsed);
  const created = creation && (await findCreated(viewer, deps, conversationId, creation, query));
  if (created) return created;
  const runId = parsed.runId == null ? null : await requireRun(viewer, deps, parsed.runId, conversationId);
  const routingDecision =
    parsed.routingDecision == null
      ? null
      : await parseRoutingDecision(viewer, db, parsed.routingDecision, ['input', 'routingDecision']);
  const byUrl = byAddress(parsed.attachments ?? []);
  const bases = await checkAttachments(viewer, deps, conversationId, byUrl);
  const uploads = await findTaken(viewer, db, parsed.attachmentIds ?? [], {
    ...{ conversationId, beside: byUrl.length },
    path: ['input', 'attachmentIds'],
  });
  const texts = { content: parsed.content, attachments: [...byUrl, ...uploads], toolCalls };
  const files = await withTexts(viewer, db, texts.attachments);
  const checked = await checkNewMessage(viewer, deps, conversationId, { ...texts, attachments: files });
  const { attachments, changed } = takeTexts(files, checked?.texts.attachments ?? files);
  const draft = {
    role: parsed.role,
    ...(checked?.texts ?? texts),
    attachments,
    ...(checked && { status: checked.status }),
    source: parsed.role === 'USER' || runId !== null ? ('CHAT' as const) : ('IMPORT' as const),
    runId,
    routingDecision,
    ...(creation && { ...creation, creationHash: deps.agents.keys.hash(creation.creationHash) }),
    guardrailResults: checked?.results ?? [],
  };
  try {
    const message = await db.$transaction(async (tx) => {
      const appended = await appendMessage(tx, viewer.tenantId, conversationId, draft, {
        userId: viewer.userId,
        query,
      });
      await takeAttachments(tx, viewer, draft.attachments, conversationId, changed);
      if (appended.status !== 'BLOCKED') await addAttachedDocuments(tx, deps.knowledge, bases, draft.attachments);
      return appended;
    });
    feed.wake(viewer);
    wakeAttachedBases(deps.knowledge, bases);
    return message;
  } catch (error) {
    // A concurrent request with the same key was faster.
    const other =
      creation && isUniqueViolation(error) && (await findCreated(viewer, deps, conversationId, creation, query));
    if (other) return other;
    // appendMessage cannot tell another user's conversation from an absent one; finding out needs a statement outside the
    // transaction.
    if (error instanceof NotFoundError) throw await explainMissingConversation(viewer, db, conversationId);
    throw error;
  }
}

/**
 * Checks a message before it is stored, and whether the viewer may write in the project of its conversation.
 * @returns null: nothing guards the conversation
 */
async function checkNewMessage<Texts extends MessageTexts>(
  viewer: Viewer,
  { db, agents, turnLimit, clientGone }: MessageDependencies,
  conversationId: string,
  texts: Texts,
) {
  const { tenantId, userId } = viewer;
  const conversation = await db.conversation.findUnique({ where: { id: conversationId, tenantId, userId } });
  if (conversation === null) throw await explainMissingConversation(viewer, db, conversationId);
  const { projectId, scenarioId, activeAgentId, followsDefault } = conversation;
  if (projectId !== null) await requireProjectCached(viewer, agents, projectId, 'EDITOR');
  const scenario = scenarioId === null ? null : await loadScenarioGraph(viewer, db, agents.config, scenarioId);
  const chosen = followsDefault ? await findDefaultAgent(viewer, agents) : activeAgentId;
  const agentId = chosen ?? scenario?.rootAgentId ?? null;
  const guardrails = agentId === null ? null : await findGuardrails(viewer, { db, agents }, { agentId, scenarioId });
  const checking = guardrails?.filter(({ stages }) => stages.includes('INPUT')) ?? [];
  if (agentId === null || checking.length === 0) return null;
  if (checking.some(({ check }) => check.type === 'MODERATION' || check.type === 'CLASSIFIER'))
    await turnLimit.take(viewer);
  if (checking.some(({ check }) => check.type === 'CLASSIFIER')) await agents.tokenBudget.assertLeft(viewer);
  const signal = clientGone ?? new AbortController().signal;
  const guardedBy = { agentId, guardrails: checking, conversationId };
  const { value, isRedacted, blockedBy, results } = await checkPastMessage(
    viewer,
    { db, agents },
    guardedBy,
    texts,
    signal,
  );
  const status = blockedBy !== null ? 'BLOCKED' : isRedacted ? 'REDACTED' : 'COMPLETE';
  return { texts: value, status, results } as const;
}

/**
 * The message that an idempotency key has created in a conversation before; null: none.
 * @throws {ConflictError} if it was created with another input
 */
async function findCreated(
  { tenantId, userId }: Viewer,
  { db, agents }: MessageDependencies,
  conversationId: string,
  creation: CreationColumns,
  query: MessageQuery,
): Promise<Message | null> {
  const where = { tenantId, conversationId, conversation: { userId }, creationKey: creation.creationKey };
  const found = await db.message.findFirst({ where, ...query });
  const isSame = found?.creationHash != null && agents.keys.isHashOf(found.creationHash, creation.creationHash);
  if (found !== null && !isSame) assertSameCreation(found, creation, 'message');
  return found;
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

/** Checks the attachments that name knowledge bases; the conversation is read only if one does. */
async function checkAttachments(
  viewer: Viewer,
  { db, knowledge }: MessageDependencies,
  conversationId: string,
  attachments: Parameters<typeof checkAttachedDocuments>[2],
) {
  const where = { id: conversationId, tenantId: viewer.tenantId, userId: viewer.userId };
  const conversation = namesKnowledgeBase(attachments)
    ? await db.conversation.findUnique({ where, select: { projectId: true } })
    : null;
  const at = { projectId: conversation?.projectId ?? null, path: ['input', 'attachments'] };
  return checkAttachedDocuments(viewer, knowledge, attachments, at);
}
