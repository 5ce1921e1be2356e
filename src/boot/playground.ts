import { BadUserInputError, NotFoundError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import type { VerifyToken } from '../auth/verify-token.ts';
import type { Viewer } from '../auth/viewer.ts';
import { createConversation } from '../conversations/create.ts';
import type { Database } from '../database/client.ts';
import type { ConversationFeed } from '../feed/conversation-feed.ts';
import type { Conversation } from '../generated/prisma/client.ts';
import type { Playground } from '../server/http/graphiql.ts';
import type { ProvisionedViewers } from '../tenants/provisioned-viewers.ts';

const title = 'GraphiQL';

/**
 * Prepares what GraphiQL is prefilled with: a development token, and a conversation without messages, so that the
 * first turn starts at the root of the scenario. If a page was opened and not used, the next one gets its conversation.
 */
export async function preparePlayground(from: {
  /** Creates a short-lived token for the page. Null: tokens come from the configured issuer. */
  mintToken: (() => Promise<string>) | null;
  verifyToken: VerifyToken;
  db: Database;
  feed: ConversationFeed;
  viewers: ProvisionedViewers;
}): Promise<Playground | null> {
  const { mintToken, verifyToken, db, feed, viewers } = from;
  if (mintToken === null) return null;
  const token = await mintToken();
  const viewer = await verifyToken(token);
  await viewers.ensureProvisioned(viewer);
  const { userId, tenantId } = viewer;
  const unused = await db.conversation.findFirst({ where: { userId, tenantId, title, messageCount: 0 } });
  const { id } = unused ?? (await createPlaygroundConversation(viewer, db, feed));
  return { token, conversationId: formatId('Conversation', id) };
}

async function createPlaygroundConversation(
  viewer: Viewer,
  db: Database,
  feed: ConversationFeed,
): Promise<Conversation> {
  try {
    return await createConversation(viewer, db, feed, { title, scenarioKey: 'support' });
  } catch (error) {
    // The operator's seed may lack this scenario.
    if (error instanceof NotFoundError || error instanceof BadUserInputError) {
      return createConversation(viewer, db, feed, { title });
    }
    throw error;
  }
}
