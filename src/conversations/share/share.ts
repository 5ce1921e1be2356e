import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { ConflictError } from '../../api/errors.ts';
import { parseId } from '../../api/ids.ts';
import { badInput, parseInput } from '../../api/input.ts';
import { isAdmin } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { ConfigurationStore } from '../../database/change-configuration.ts';
import type { Database, Db } from '../../database/client.ts';
import type { ConversationFeed } from '../../feed/conversation-feed.ts';
import type { Conversation, ConversationShare } from '../../generated/prisma/client.ts';
import type { SizedReads } from '../../limits/answer-budget.ts';
import { readMessage } from '../messages.ts';
import { type ConversationQuery, readActiveConversation, readConversation } from '../read.ts';

const shareInput = z.strictObject({
  conversationId: z.string(),
  upToMessageId: z.string().nullish(),
  withTools: z.boolean().nullish(),
  expiresAt: z.date().nullish(),
});

/** What sharing takes. */
export interface ShareDependencies extends SizedReads {
  readonly db: Database;
  readonly feed: ConversationFeed;
  readonly config: ConfigurationStore['config'];
  /** With what links begin. */
  readonly publicUrl: string;
}

/** A new link: its token is stored nowhere. */
export interface NewShare {
  readonly share: ConversationShare;
  readonly token: string;
  readonly url: string;
}

/** What is stored of a token: it has 256 random bits, so nobody finds it by its hash. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/**
 * Makes a link under which anybody can read a conversation of the viewer, up to a message: what is said later, or in other
 * branches, is not shown. A link that there was before ends.
 * @param input ShareConversationInput
 * @throws {BadUserInputError} naming the field; {@link NotFoundError} and {@link ForbiddenError} for the conversation and its
 *   project, and for the message; {@link ConflictError} if there is no message yet
 */
export async function shareConversation(viewer: Viewer, deps: ShareDependencies, input: unknown): Promise<NewShare> {
  const { db, config, feed } = deps;
  const parsed = parseInput(shareInput, input, ['input']);
  const expiresAt = parsed.expiresAt ?? null;
  if (expiresAt !== null && expiresAt <= new Date()) throw badInput(['input', 'expiresAt'], 'must be in the future');
  parseId('Conversation', parsed.conversationId, ['input', 'conversationId']);
  const conversation = await readActiveConversation(viewer, { db, config }, parsed.conversationId, [
    'input',
    'conversationId',
  ]);
  const upToMessageId = await chooseMessage(viewer, deps, conversation, parsed.upToMessageId ?? null);
  const token = randomBytes(32).toString('base64url');
  const key = { tenantId: viewer.tenantId, conversationId: conversation.id };
  const columns = {
    tokenHash: hashToken(token),
    upToMessageId,
    withTools: parsed.withTools ?? false,
    byAdmin: isAdmin(viewer),
    createdAt: new Date(),
    expiresAt,
  };
  const share = await db.conversationShare.upsert({
    where: { tenantId_conversationId: key },
    create: { ...key, ...columns },
    update: columns,
  });
  feed.wake(viewer);
  return { share, token, url: `${deps.publicUrl}/shared/${token}` };
}

async function chooseMessage(
  viewer: Viewer,
  deps: ShareDependencies,
  { id: conversationId, messageCount }: Conversation,
  upTo: string | null,
): Promise<string> {
  const path = ['input', 'upToMessageId'];
  if (upTo !== null) {
    const message = await readMessage(viewer, deps, upTo, {}, path);
    if (message.conversationId !== conversationId) throw badInput(path, 'is a message of another conversation');
    if (message.number === null) throw badInput(path, 'is a message that waits in the queue');
    return message.id;
  }
  const last = await deps.db.message.findFirst({
    where: { tenantId: viewer.tenantId, conversationId, position: { gte: Math.max(1, messageCount) } },
    orderBy: { position: 'desc' },
    select: { id: true },
  });
  if (last === null) throw new ConflictError('The conversation has no message yet: there is nothing to share.');
  return last.id;
}

/**
 * Ends the link of a conversation of the viewer, if there is one.
 * @param id the public id of the conversation
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the id
 */
export async function unshareConversation(
  viewer: Viewer,
  { db, feed }: Pick<ShareDependencies, 'db' | 'feed'>,
  id: string,
  query: ConversationQuery = {},
): Promise<Conversation> {
  const conversation = await readConversation(viewer, db, id, query);
  await db.conversationShare.deleteMany({ where: { tenantId: viewer.tenantId, conversationId: conversation.id } });
  feed.wake(viewer);
  return conversation;
}

/** The links of the viewer's conversations that have not expired, by their row ids; null: there is none. One statement. */
export async function readShares(
  { tenantId, userId }: Viewer,
  db: Db,
  conversationIds: readonly string[],
): Promise<(ConversationShare | null)[]> {
  const rows = await db.conversationShare.findMany({
    where: {
      tenantId,
      conversationId: { in: [...conversationIds] },
      conversation: { userId },
      OR: [{ expiresAt: null }, { expiresAt: { gt: new Date() } }],
    },
  });
  const byConversation = new Map(rows.map((row) => [row.conversationId, row]));
  return conversationIds.map((id) => byConversation.get(id) ?? null);
}
