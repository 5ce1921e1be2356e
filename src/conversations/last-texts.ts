import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { Message } from '../generated/prisma/client.ts';

/** The beginning of a message. */
export type LastText = Pick<Message, 'role' | 'content' | 'status'>;

/**
 * The beginnings of the last messages of a conversation, the oldest first, for a model that has to know what was just said:
 * without those that are being written, are blocked or belong to a turn that a guardrail has stopped. One statement.
 * @param conversationId the row id
 * @param max.messages how many messages
 * @param max.characters how much of each, in code points
 */
export async function readLastTexts(
  { tenantId, userId }: Viewer,
  db: Db,
  conversationId: string,
  max: { readonly messages: number; readonly characters: number },
): Promise<LastText[]> {
  const newestFirst = await db.$queryRaw<LastText[]>`
    SELECT m.role::text AS role, m.status::text AS status, left(m.content, ${max.characters}::integer) AS content
    FROM messages AS m
    LEFT JOIN runs AS started ON started.conversation_id = m.conversation_id AND started.user_message_id = m.id
      AND started.is_current
    LEFT JOIN runs AS wrote ON wrote.id = m.run_id
    WHERE m.tenant_id = ${tenantId} AND m.conversation_id = ${conversationId}::uuid AND m.position IS NOT NULL
      AND m.status IN ('COMPLETE', 'PARTIAL', 'REDACTED')
      AND started.error_code IS DISTINCT FROM 'GUARDRAIL_TRIPPED'
      AND wrote.error_code IS DISTINCT FROM 'GUARDRAIL_TRIPPED'
      AND EXISTS (SELECT 1 FROM conversations WHERE id = m.conversation_id AND user_id = ${userId})
    ORDER BY m.position DESC LIMIT ${max.messages}::integer`;
  return newestFirst.reverse();
}
