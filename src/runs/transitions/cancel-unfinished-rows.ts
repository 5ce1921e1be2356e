import type { Prisma } from '../../generated/prisma/client.ts';
import type { UnsavedText } from '../runtime.ts';

/**
 * Closes what a run has left open: its text is saved as PARTIAL, its tool calls become CANCELLED.
 * @param options.unsaved text that is newer than its row
 * @param options.why the error of its tool calls
 */
export async function cancelUnfinishedRows(
  tx: Prisma.TransactionClient,
  runId: string,
  options: { readonly unsaved?: UnsavedText | null; readonly why?: string } = {},
): Promise<void> {
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
  await tx.toolCall.updateMany({
    where: { runId, status: { in: ['PENDING', 'AWAITING_APPROVAL', 'RUNNING'] } },
    data: { status: 'CANCELLED', error: why, finishedAt: new Date() },
  });
}
