import { unknownNote } from '../../engine/tool-step.ts';
import type { Prisma } from '../../generated/prisma/client.ts';
import type { UnsavedText } from '../runtime.ts';

/**
 * Closes what a run has left open: its text is saved as PARTIAL, its tool calls become CANCELLED, or UNKNOWN if they were
 * under way.
 * @param options.unsaved text that is newer than its row
 * @param options.why the error of the tool calls that were not begun
 * @returns whether the outcome of a call is not known
 */
export async function cancelUnfinishedRows(
  tx: Prisma.TransactionClient,
  runId: string,
  options: { readonly unsaved?: UnsavedText | null; readonly why?: string } = {},
): Promise<boolean> {
  const { unsaved, why = 'The turn was stopped.' } = options;
  if (unsaved) {
    await tx.message.updateMany({
      where: { id: unsaved.messageId, status: 'STREAMING' },
      data: { content: unsaved.content },
    });
  }
  await tx.message.updateMany({
    where: { runId, status: 'STREAMING' },
    data: { status: 'PARTIAL', finishReason: 'ERROR' },
  });
  // Nobody learns any more what became of a call that was under way: it may have been carried out.
  const { count } = await tx.toolCall.updateMany({
    where: { runId, status: 'RUNNING' },
    data: { status: 'UNKNOWN', error: unknownNote, finishedAt: new Date() },
  });
  await tx.toolCall.updateMany({
    where: { runId, status: { in: ['PENDING', 'AWAITING_APPROVAL'] } },
    data: { status: 'CANCELLED', error: why, finishedAt: new Date() },
  });
  return count > 0;
}
