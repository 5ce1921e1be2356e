import type { Prisma } from '../../generated/prisma/client.ts';

/** What the lock on a conversation's row returns. */
export interface LockedConversation {
  readonly id: string;
  /** How many runs it has had. */
  readonly runCount: number;
  /** The moment of the transaction, by the database's clock. */
  readonly now: Date;
}

/**
 * Locks the row of a conversation until the transaction ends. Every transaction that starts, pauses, continues or ends
 * a run takes this lock first, so that they come one after another and cannot block each other.
 * @returns null if the conversation does not exist
 */
export async function lockConversation(
  tx: Prisma.TransactionClient,
  conversationId: string,
): Promise<LockedConversation | null> {
  const rows = await tx.$queryRaw<LockedConversation[]>`
    SELECT id::text, run_count AS "runCount", now() AS now FROM conversations
    WHERE id = ${conversationId}::uuid FOR UPDATE`;
  return rows[0] ?? null;
}

/** As {@link lockConversation}, for the conversation of a run. */
export async function lockConversationOf(
  tx: Prisma.TransactionClient,
  runId: string,
): Promise<LockedConversation | null> {
  const rows = await tx.$queryRaw<LockedConversation[]>`
    SELECT id::text, run_count AS "runCount", now() AS now FROM conversations
    WHERE id = (SELECT conversation_id FROM runs WHERE id = ${runId}::uuid) FOR UPDATE`;
  return rows[0] ?? null;
}

/** As {@link lockConversation}, and notes that something happened in the conversation; in one statement. */
export async function lockAndTouchConversation(tx: Prisma.TransactionClient, conversationId: string): Promise<void> {
  await tx.$executeRaw`
    UPDATE conversations SET updated_at = greatest(updated_at, clock_timestamp()) WHERE id = ${conversationId}::uuid`;
}
