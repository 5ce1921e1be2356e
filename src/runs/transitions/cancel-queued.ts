import { packEvents } from '../../log/archive.ts';
import { countEnd } from '../../telemetry/turns/turn.ts';
import { saveArchive } from '../archive.ts';
import { queuedEvents } from '../queued-events.ts';
import { cancelledEnd, terminalEvent } from '../run-end.ts';
import type { RunRuntime } from '../runtime.ts';
import { begunStatuses } from '../statuses.ts';
import { announceEnd } from './announce-end.ts';
import { endedColumns } from './ended-columns.ts';
import { numberSteered } from './join-steered.ts';
import { lockConversationOf } from './lock-conversation.ts';
import { placeCancelled } from './place-message.ts';

/**
 * Cancels a run that waits in the queue. Its message is listed when the turn that is under way has ended
 * (promote-next.ts).
 * @returns false, with nothing done, if it is not QUEUED any more
 */
export async function cancelQueued(runtime: RunRuntime, runId: string): Promise<boolean> {
  const ended = await runtime.db.$transaction(async (tx) => {
    const conversation = await lockConversationOf(tx, runId);
    if (conversation) await numberSteered(tx, conversation.id, runId);
    const run = await tx.run.findUnique({ where: { id: runId, status: 'QUEUED' } });
    if (!run) return null;
    const { conversationId, tenantId, userId } = run;
    const queued = queuedEvents(run);
    const events = [...queued, terminalEvent(runId, queued.length + 1, cancelledEnd)];
    await tx.run.updateMany({ where: { id: runId }, data: endedColumns(cancelledEnd, events.length) });
    await saveArchive(tx, runId, await packEvents(events));
    const begun = await tx.run.count({ where: { conversationId, status: { in: [...begunStatuses] } } });
    if (begun === 0) await placeCancelled(tx, run);
    return { tenantId, userId, events };
  });
  if (!ended) return false;
  countEnd(cancelledEnd);
  announceEnd(runtime, { ...ended, runId });
  return true;
}
