import { ConflictError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { readMessage } from '../../conversations/messages.ts';
import { readActiveConversation, readConversation } from '../../conversations/read.ts';
import type { Conversation, Prisma } from '../../generated/prisma/client.ts';
import type { SizedReads } from '../../limits/answer-budget.ts';
import type { RunRuntime } from '../runtime.ts';
import { unfinishedStatuses } from '../statuses.ts';
import { lockConversation } from '../transitions/lock-conversation.ts';
import { takeBranch } from '../transitions/take-branch.ts';

/** What a document selects of the conversation. */
type ConversationQuery = Parameters<typeof readConversation>[3];

/**
 * Makes the branch of a message the active one, with the newest leaf under it. Of two choices at the same time, the last one
 * stands; the readers of the feed are told of both.
 * @param rawId the public id of the message
 * @throws {ConflictError} while a run of the conversation is unfinished, and if its project is archived; {@link BadUserInputError}, {@link NotFoundError},
 *   {@link ForbiddenError} for the message, and for the project of its conversation if the viewer is no EDITOR in it
 */
export async function selectBranch(
  viewer: Viewer,
  reads: SizedReads & { readonly runs: RunRuntime },
  rawId: string,
  query: ConversationQuery = {},
): Promise<Conversation> {
  const { runs: runtime } = reads;
  const { id, conversationId } = await readMessage(viewer, reads, rawId, {}, ['messageId']);
  await readActiveConversation(viewer, runtime.agents, formatId('Conversation', conversationId), ['messageId']);
  await runtime.db.$transaction(async (tx) => {
    await lockConversation(tx, conversationId);
    const unfinished = await tx.run.findFirst({
      where: { conversationId, status: { in: [...unfinishedStatuses] } },
      orderBy: { number: 'asc' },
      select: { id: true },
    });
    if (unfinished) {
      const message = 'A turn of the conversation is not finished: choose a branch when it is.';
      throw new ConflictError(message, formatId('Run', unfinished.id));
    }
    await takeBranch(tx, conversationId, await findNewestLeaf(tx, conversationId, id));
  });
  runtime.feed.wake(viewer);
  return readConversation(viewer, runtime.db, formatId('Conversation', conversationId), query);
}

/** The message under this one that was added last and has none under it. */
async function findNewestLeaf(tx: Prisma.TransactionClient, conversationId: string, messageId: string) {
  const [leaf] = await tx.$queryRaw<{ id: string }[]>`
    WITH RECURSIVE below AS (
      SELECT id, number FROM messages WHERE conversation_id = ${conversationId}::uuid AND id = ${messageId}::uuid
      UNION ALL
      SELECT m.id, m.number FROM below
      JOIN messages AS m ON m.conversation_id = ${conversationId}::uuid AND m.parent_id = below.id
    )
    SELECT below.id::text FROM below WHERE NOT EXISTS (
      SELECT 1 FROM messages WHERE conversation_id = ${conversationId}::uuid AND parent_id = below.id
    )
    ORDER BY number DESC LIMIT 1`;
  return leaf?.id ?? messageId;
}
