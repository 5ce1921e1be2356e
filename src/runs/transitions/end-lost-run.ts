import type { Run } from '../../generated/prisma/client.ts';
import { packEvents } from '../../log/archive.ts';
import { countEnd, countTakeover } from '../../telemetry/turns/turn.ts';
import { saveArchive } from '../archive.ts';
import { rebuildEvents } from '../rebuild-events.ts';
import { type RunEnd, terminalEvent } from '../run-end.ts';
import type { RunRuntime } from '../runtime.ts';
import { cancelUnfinishedRows } from './cancel-unfinished-rows.ts';
import { endedColumns } from './ended-columns.ts';
import { lockAndTouchConversation } from './lock-conversation.ts';
import { launchPromoted, promoteNext } from './promote-next.ts';

/**
 * RUNNING to its end, for a run whose process is dead and that does not go on: its text is saved as PARTIAL, its open tool
 * calls become CANCELLED or UNKNOWN, and the next run in the queue begins.
 * @param run as it was read; if it has changed since, another process was faster
 * @param end how it ends; a failure is not retryable if the outcome of a call is not known
 * @returns whether it was ended here
 */
export async function endLostRun(runtime: RunRuntime, run: Run, end: RunEnd): Promise<boolean> {
  const { id, conversationId, status, leaseOwner, leaseEpoch, leaseExpiresAt } = run;
  // This process goes on renewing its own lease until the run has ended.
  const isOwn = leaseOwner === runtime.instanceId;
  // Higher than any seq that a reader can have seen.
  const firstSeq = run.reservedSeq + 1;
  const { ended, next } = await runtime.db.$transaction(async (tx) => {
    await lockAndTouchConversation(tx, conversationId);
    const { count } = await tx.run.updateMany({
      where: { id, status, leaseOwner, leaseEpoch, ...(isOwn ? {} : { leaseExpiresAt }) },
      data: { ...endedColumns(end, 0), leaseEpoch: leaseEpoch + 1 },
    });
    if (count === 0) return { ended: false, next: null };
    await tx.runPause.deleteMany({ where: { runId: id } });
    await tx.runPlan.deleteMany({ where: { runId: id } });
    // The same turn again would call the tool again.
    const isUnknown = await cancelUnfinishedRows(tx, id);
    const known: RunEnd =
      isUnknown && end.failure ? { status: 'FAILED', failure: { ...end.failure, retryable: false } } : end;
    const { began, happened } = await rebuildEvents(tx, run, firstSeq);
    const events = [...began, ...happened];
    const terminal = terminalEvent(id, firstSeq + happened.length, known);
    await saveArchive(tx, id, await packEvents([...events, terminal]));
    await tx.run.updateMany({
      where: { id },
      data: { lastSeq: terminal.seq, errorRetryable: known.failure?.retryable ?? null },
    });
    return { ended: true, next: await promoteNext(tx, runtime, conversationId) };
  });
  if (!ended) return false;
  if (!isOwn) {
    countTakeover('ended', run);
    countEnd(end);
  }
  runtime.logger.warn({ runId: id, status: end.status }, 'ended a run that its process left behind');
  runtime.remote.announce({ type: 'changed', runId: id });
  runtime.feed.wake(run);
  if (next) launchPromoted(runtime, next);
  return true;
}
