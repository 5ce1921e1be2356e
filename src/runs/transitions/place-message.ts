import type { Prisma, Run } from '../../generated/prisma/client.ts';
import { storedTurn } from '../input.ts';
import { findBranchParent } from './take-branch.ts';

/**
 * What happens to the message of a turn that was cancelled in the queue: it is listed at the end of its conversation or, if it was
 * to begin a branch, it is kept beside the message whose place it was to take. The caller holds the lock on the conversation's row.
 */
export async function placeCancelled(
  tx: Prisma.TransactionClient,
  { conversationId, userMessageId, input }: Pick<Run, 'conversationId' | 'userMessageId' | 'input'>,
): Promise<void> {
  const { branch } = storedTurn.parse(input);
  if (branch === undefined) return placeMessage(tx, conversationId, userMessageId);
  // An answer that was to be made again has no message of its own.
  if (branch.kind === 'REGENERATE') return;
  const parentId = await findBranchParent(tx, branch);
  const { count } = await tx.message.updateMany({
    where: { id: userMessageId, number: null },
    data: { isActive: false, parentId },
  });
  // It is in no list that is shown, so no event brings it: readers are told that there is another branch.
  if (count > 0)
    await tx.conversation.update({ where: { id: conversationId }, data: { branchChanges: { increment: 1 } } });
}

/**
 * Lists the message of a turn that has left the queue at the end of its conversation. So a question stands before its own
 * answer, and the list only ever grows at its end. A second time it changes nothing. The caller holds the lock on the
 * conversation's row.
 */
export async function placeMessage(
  tx: Prisma.TransactionClient,
  conversationId: string,
  messageId: string,
): Promise<void> {
  await tx.$executeRaw`
    WITH conversation AS (
      UPDATE conversations SET message_count = message_count + 1, updated_at = greatest(updated_at, clock_timestamp())
      WHERE id = ${conversationId}::uuid
        AND EXISTS (SELECT 1 FROM messages WHERE id = ${messageId}::uuid AND position IS NULL AND is_active)
      RETURNING message_count
    )
    UPDATE messages SET position = message_count FROM conversation WHERE messages.id = ${messageId}::uuid`;
}
