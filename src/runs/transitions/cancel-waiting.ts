import { packEvents } from '../../log/archive.ts';
import type { RunEvent } from '../../log/event.ts';
import { countEnd } from '../../telemetry/turns/turn.ts';
import { saveArchive, unpackArchive } from '../archive.ts';
import { cancelledEnd, terminalEvent } from '../run-end.ts';
import type { RunRuntime } from '../runtime.ts';
import { readStoredCall } from '../stored-call.ts';
import { announceEnd } from './announce-end.ts';
import { cancelUnfinishedRows } from './cancel-unfinished-rows.ts';
import { endedColumns } from './ended-columns.ts';
import { lockConversationOf } from './lock-conversation.ts';
import { launchPromoted, promoteNext } from './promote-next.ts';

/**
 * Cancels a run that waits for a person. No process carries it out, so it is done here: its rows, its archive and the
 * start of the next run in the queue in one transaction, then the events.
 * @param options.why the error of the calls that waited
 * @param options.expiredAt cancels only if its time to wait was over by then
 * @returns false, with nothing done, if it does not wait
 */
export async function cancelWaiting(
  runtime: RunRuntime,
  runId: string,
  options: { readonly why?: string; readonly expiredAt?: Date } = {},
): Promise<boolean> {
  const { why, expiredAt } = options;
  const ended = await runtime.db.$transaction(async (tx) => {
    const conversation = await lockConversationOf(tx, runId);
    const run = await tx.run.findUnique({
      where: { id: runId, status: 'REQUIRES_ACTION', ...(expiredAt && { actionExpiresAt: { lte: expiredAt } }) },
      include: { archive: true },
    });
    if (!conversation || !run) return null;
    const before = run.archive ? await unpackArchive(tx, runId, run.archive.events) : [];
    await cancelUnfinishedRows(tx, runId, why === undefined ? {} : { why });
    const rows = await tx.toolCall.findMany({
      where: { runId, rowId: { in: listOpenCalls(before) } },
      orderBy: [{ step: 'asc' }, { index: 'asc' }],
    });
    const at = Date.now();
    let seq = before.at(-1)?.seq ?? 0;
    const events: RunEvent[] = rows.flatMap((row) => {
      const toolCall = readStoredCall(row);
      return toolCall ? [{ type: 'ToolCallCompleted', toolCall, seq: ++seq, runId, at } as const] : [];
    });
    events.push(terminalEvent(runId, ++seq, cancelledEnd));
    await tx.run.updateMany({ where: { id: runId }, data: endedColumns(cancelledEnd, seq) });
    await tx.runPause.deleteMany({ where: { runId } });
    await tx.runPlan.deleteMany({ where: { runId } });
    await saveArchive(tx, runId, await packEvents([...before, ...events]));
    const next = await promoteNext(tx, runtime, conversation.id);
    return { tenantId: run.tenantId, userId: run.userId, events: [...before, ...events], next };
  });
  if (!ended) return false;
  countEnd(cancelledEnd);
  announceEnd(runtime, { runId, ...ended });
  if (ended.next) launchPromoted(runtime, ended.next);
  return true;
}

/** The row ids of the calls that readers were asked to approve and have not seen completed. */
function listOpenCalls(events: readonly RunEvent[]): string[] {
  const open = new Set<string>();
  for (const event of events) {
    if (event.type === 'ApprovalRequested') open.add(event.toolCall.id);
    if (event.type === 'ToolCallCompleted') open.delete(event.toolCall.id);
  }
  return [...open];
}
