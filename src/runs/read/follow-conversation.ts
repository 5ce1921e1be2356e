import type { Viewer } from '../../auth/viewer.ts';
import { readConversation } from '../../conversations/read.ts';
import type { ConversationReader } from '../../log/conversation-feed.ts';
import type { RunRuntime } from '../runtime.ts';

/**
 * Follows what happens in a conversation from now on.
 * @param rawId the public id
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError} for the conversation
 */
export async function followConversation(
  viewer: Viewer,
  runtime: RunRuntime,
  rawId: string,
): Promise<ConversationReader> {
  const conversation = await readConversation(viewer, runtime.db, rawId);
  return runtime.feed.follow(conversation.id);
}
