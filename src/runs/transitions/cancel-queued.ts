import { packEvents } from '../../log/archive.ts';
import { saveArchive } from '../archive.ts';
import { cancelledEnd, terminalEvent } from '../run-end.ts';
import type { RunRuntime } from '../runtime.ts';
import { announceEnd } from './announce-end.ts';
import { endedColumns } from './ended-columns.ts';

/**
 * Cancels a run that waits in the queue.
 * @returns false, with nothing done, if it is not QUEUED any more
 */
export async function cancelQueued(runtime: RunRuntime, runId: string): Promise<boolean> {
  const terminal = terminalEvent(runId, 1, cancelledEnd);
  const ended = await runtime.db.$transaction(async (tx) => {
    const { count } = await tx.run.updateMany({
      where: { id: runId, status: 'QUEUED' },
      data: endedColumns(cancelledEnd, 1),
    });
    if (count === 0) return null;
    await saveArchive(tx, runId, await packEvents([terminal]));
    return tx.run.findUnique({ where: { id: runId }, select: { tenantId: true, userId: true } });
  });
  if (!ended) return false;
  announceEnd(runtime, { ...ended, runId, events: [terminal] });
  return true;
}
