import type { Db } from '../../database/client.ts';
import type { MessageRole } from '../../generated/prisma/client.ts';

type Rows = Pick<Db, '$queryRaw' | '$executeRaw'>;

/** A conversation and its owner, by their row ids. */
export interface TitledConversation {
  readonly tenantId: string;
  readonly userId: string;
  readonly conversationId: string;
}

/** A text that a title is made of. */
export interface TitleText {
  readonly id: string;
  readonly role: MessageRole;
  readonly content: string;
  /** The title of the conversation when the text was read. */
  readonly title: string;
}

/** Of a conversation, so many texts are read. */
const maxTexts = 4;
/** Characters of each. */
const maxTextLength = 2_000;

/**
 * The first texts of a conversation whose title is that of its first message, the oldest first: without what is blocked or
 * belongs to a turn that a guardrail has stopped; what was redacted, as it is now. One statement.
 * @returns empty: the conversation is gone, or its title is a person's or a model's
 */
export function readTitleTexts(
  { tenantId, userId, conversationId }: TitledConversation,
  db: Rows,
): Promise<TitleText[]> {
  return db.$queryRaw<TitleText[]>`
    SELECT m.id::text AS id, m.role::text AS role, left(m.content, ${maxTextLength}::integer) AS content, c.title
    FROM conversations AS c JOIN messages AS m ON m.conversation_id = c.id
    LEFT JOIN runs AS started ON started.conversation_id = m.conversation_id AND started.user_message_id = m.id
      AND started.is_current
    LEFT JOIN runs AS wrote ON wrote.id = m.run_id
    WHERE c.id = ${conversationId}::uuid AND c.tenant_id = ${tenantId} AND c.user_id = ${userId}
      AND c.title_origin = 'MESSAGE' AND m.position IS NOT NULL AND m.role IN ('USER', 'ASSISTANT')
      AND m.status IN ('COMPLETE', 'REDACTED') AND m.content <> ''
      AND started.error_code IS DISTINCT FROM 'GUARDRAIL_TRIPPED'
      AND wrote.error_code IS DISTINCT FROM 'GUARDRAIL_TRIPPED'
    ORDER BY m.position LIMIT ${maxTexts}::integer`;
}

/**
 * Stores the title that a model has made, unless a person has given one meanwhile, the title has changed otherwise, or a text
 * was blocked after it was read. It is no activity: the conversation stays where it is in the list. One statement.
 * @returns whether it was stored
 */
export async function storeModelTitle(
  { tenantId, userId, conversationId }: TitledConversation,
  db: Rows,
  texts: readonly TitleText[],
  title: string,
): Promise<boolean> {
  const stored = await db.$executeRaw`
    UPDATE conversations SET title = ${title}, title_origin = 'MODEL', auto_title = false
    WHERE id = ${conversationId}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId}
      AND title_origin = 'MESSAGE' AND title = ${texts[0]?.title ?? ''}
      AND NOT EXISTS (
        SELECT 1 FROM messages WHERE id = ANY(${texts.map(({ id }) => id)}::uuid[]) AND status = 'BLOCKED'
      )`;
  return stored > 0;
}
