import type { Viewer } from '../auth/viewer.ts';
import { readConversation } from '../conversations/read-conversations.ts';
import type { ConversationReader } from '../log/conversation-feed.ts';
import type { RunHost } from './host.ts';

/**
 * What happens in a conversation from now on.
 * @param rawId the public id
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError} for the conversation
 */
export async function followConversation(viewer: Viewer, host: RunHost, rawId: string): Promise<ConversationReader> {
  const conversation = await readConversation(viewer, host.db, rawId);
  return host.feed.follow(conversation.id);
}
