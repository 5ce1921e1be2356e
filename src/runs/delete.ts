import type { Viewer } from '../auth/viewer.ts';
import { readConversation } from '../conversations/read-conversations.ts';
import { deleteConversation } from '../conversations/write-conversations.ts';
import { TurnAborted } from '../engine/abort.ts';
import { cancelRow } from './cancel.ts';
import type { RunHost } from './host.ts';

/**
 * Deletes a conversation with all that is in it; turns that wait or run in it are cancelled first, so that their
 * readers hear of the end.
 * @param rawId the public id
 * @returns the public id
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError} for the id
 */
export async function deleteWithRuns(viewer: Viewer, host: RunHost, rawId: string): Promise<string> {
  const conversation = await readConversation(viewer, host.db, rawId);
  const live = await host.db.run.findMany({
    where: { conversationId: conversation.id, status: { in: ['QUEUED', 'RUNNING', 'REQUIRES_ACTION'] } },
    orderBy: { number: 'desc' },
    select: { id: true },
  });
  for (const { id } of live) await cancelRow(host, id, new TurnAborted());
  const deleted = await deleteConversation(viewer, host.db, rawId);
  host.feed.end(conversation.id);
  return deleted;
}
