import type { Prisma } from '../../generated/prisma/client.ts';

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
        AND EXISTS (SELECT 1 FROM messages WHERE id = ${messageId}::uuid AND position IS NULL)
      RETURNING message_count
    )
    UPDATE messages SET position = message_count FROM conversation WHERE messages.id = ${messageId}::uuid`;
}
