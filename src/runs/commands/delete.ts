import type { Viewer } from '../../auth/viewer.ts';
import { readConversation } from '../../conversations/read.ts';
import { deleteConversation } from '../../conversations/write.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { RunRuntime } from '../runtime.ts';
import { unfinishedStatuses } from '../statuses.ts';
import { cancelRow } from './cancel.ts';

/**
 * Deletes a conversation with all that is in it. Its unfinished turns are cancelled first, so that their readers get
 * the terminal event.
 * @param rawId the public id
 * @returns the public id
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError} for the id
 */
export async function deleteWithRuns(viewer: Viewer, runtime: RunRuntime, rawId: string): Promise<string> {
  const conversation = await readConversation(viewer, runtime.db, rawId);
  await cancelRunsOf(viewer.tenantId, runtime, [conversation.id]);
  const deleted = await deleteConversation(viewer, runtime.db, rawId);
  runtime.feed.wake(viewer);
  return deleted;
}

/**
 * Cancels all unfinished turns of conversations, whichever process carries them out, and waits until they have ended.
 * @param conversationIds row ids of conversations of the tenant
 */
export async function cancelRunsOf(
  tenantId: string,
  runtime: RunRuntime,
  conversationIds: readonly string[],
): Promise<void> {
  const unfinished = await runtime.db.run.findMany({
    where: { tenantId, conversationId: { in: [...conversationIds] }, status: { in: [...unfinishedStatuses] } },
    orderBy: { number: 'desc' },
    select: { id: true },
  });
  for (const { id } of unfinished) await cancelRow(runtime, id, new TurnAborted());
}
