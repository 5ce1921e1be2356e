import type { Viewer } from '../../auth/viewer.ts';
import { readConversation } from '../../conversations/read.ts';
import { deleteConversation } from '../../conversations/write.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { RunScheduler } from '../scheduler.ts';
import { cancelRow } from './cancel.ts';

/**
 * Deletes a conversation with all that is in it; turns that wait or run in it are cancelled first, so that their
 * readers hear of the end.
 * @param rawId the public id
 * @returns the public id
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError} for the id
 */
export async function deleteWithRuns(viewer: Viewer, runtime: RunScheduler, rawId: string): Promise<string> {
  const conversation = await readConversation(viewer, runtime.db, rawId);
  const live = await runtime.db.run.findMany({
    where: { conversationId: conversation.id, status: { in: ['QUEUED', 'RUNNING', 'REQUIRES_ACTION'] } },
    orderBy: { number: 'desc' },
    select: { id: true },
  });
  for (const { id } of live) await cancelRow(runtime, id, new TurnAborted());
  const deleted = await deleteConversation(viewer, runtime.db, rawId);
  runtime.feed.end(conversation.id);
  return deleted;
}
