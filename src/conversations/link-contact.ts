import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { ConversationFeed } from '../feed/conversation-feed.ts';

/**
 * The contact of a conversation of the viewer.
 * @param conversationId the row id
 * @returns the row id; null: it has none, or is not the viewer's
 */
export async function findContactOf(viewer: Viewer, db: Db, conversationId: string): Promise<string | null> {
  const where = { id: conversationId, tenantId: viewer.tenantId, userId: viewer.userId };
  return (await db.conversation.findUnique({ where, select: { contactId: true } }))?.contactId ?? null;
}

/**
 * Gives a conversation of the viewer its contact, if it has none yet.
 * @param conversationId the row id
 * @param contactId the row id of a contact of the tenant
 */
export async function linkContact(
  { tenantId, userId }: Viewer,
  db: Db,
  feed: ConversationFeed,
  conversationId: string,
  contactId: string,
): Promise<void> {
  const linked = await db.$executeRaw`
    UPDATE conversations SET contact_id = ${contactId}::uuid
    WHERE id = ${conversationId}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId} AND contact_id IS NULL`;
  if (linked > 0) feed.wake({ tenantId, userId });
}
