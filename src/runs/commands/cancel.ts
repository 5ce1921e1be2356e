import type { Viewer } from '../../auth/viewer.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { unpackEvents } from '../../log/archive.ts';
import { RunCursor } from '../../log/cursor.ts';
import type { RunEvent } from '../../log/event.ts';
import { saveArchive } from '../archive.ts';
import {
  cancelUnfinishedRows,
  endedRunColumns,
  launchPromoted,
  promoteNext,
  type RunEnd,
  terminalEvent,
} from '../execute/finish.ts';
import { findRun, type RunQuery } from '../read/read.ts';
import type { RunScheduler } from '../scheduler.ts';
import { readStoredCall } from '../stored-call.ts';

const cancelled: RunEnd = { status: 'CANCELLED', failure: null };

/**
 * Cancels a run, wherever it is carried out, and waits until it has ended. One that has ended already stays as it is.
 * @param rawId the public id
 * @throws {ForbiddenError} {@link NotFoundError} {@link BadUserInputError} for the id
 */
export async function cancelRun(
  viewer: Viewer,
  runtime: RunScheduler,
  rawId: string,
  query: RunQuery = {},
): Promise<Run> {
  const run = await findRun(viewer, runtime.db, rawId, ['id']);
  await cancelRow(runtime, run.id, new TurnAborted());
  return findRun(viewer, runtime.db, rawId, ['id'], query);
}

/**
 * Stops a run by its row id.
 * @returns when it has ended, or when the process that carries it out has been asked and its end is in the log
 */
export async function cancelRow(runtime: RunScheduler, runId: string, reason: TurnAborted): Promise<void> {
  // Again where it has got further in the meantime: out of the queue, into a pause, or on from there.
  for (;;) {
    const active = runtime.active.get(runId);
    if (active) {
      active.controller.abort(reason);
      await active.done;
      if (!active.paused) return;
      continue;
    }
    const run = await runtime.db.run.findUnique({ where: { id: runId }, select: { status: true } });
    if (run?.status === 'QUEUED') {
      if (await cancelQueued(runtime, runId)) return;
    } else if (run?.status === 'REQUIRES_ACTION') {
      if (await cancelWaiting(runtime, runId)) return;
    } else if (run?.status === 'RUNNING') {
      const asked = await runtime.db.run.updateMany({
        where: { id: runId, status: 'RUNNING' },
        data: { cancelRequestedAt: new Date() },
      });
      if (asked.count === 0) continue;
      // Another process carries it out. Its end comes into the tail (remote.ts).
      for await (const _ of new RunCursor(runtime.log.open(runId), Number.MAX_SAFE_INTEGER)) {
        // Nothing is read: only the end counts.
      }
      return;
    } else {
      return;
    }
  }
}

async function cancelQueued(runtime: RunScheduler, runId: string): Promise<boolean> {
  const terminal = terminalEvent(runId, 1, cancelled);
  const ended = await runtime.db.$transaction(async (tx) => {
    const { count } = await tx.run.updateMany({
      where: { id: runId, status: 'QUEUED' },
      data: endedRunColumns(cancelled, 1),
    });
    if (count === 0) return null;
    await saveArchive(tx, runId, [terminal]);
    return tx.run.findUnique({ where: { id: runId }, select: { conversationId: true } });
  });
  if (!ended) return false;
  announceEnd(runtime, runId, ended.conversationId, [terminal]);
  return true;
}

/**
 * Cancels a run that waits for a person. No process holds it, so it is done here: rows, archive and the start of the
 * next one in the queue in one transaction, then the events.
 * @param options.why what is said of the calls that waited
 * @param options.expiredAt only where its time was over by then
 * @returns false, with nothing done, where it does not wait
 */
export async function cancelWaiting(
  runtime: RunScheduler,
  runId: string,
  options: { readonly why?: string; readonly expiredAt?: Date } = {},
): Promise<boolean> {
  const { why, expiredAt } = options;
  const ended = await runtime.db.$transaction(async (tx) => {
    // The conversation's row first, as everywhere.
    const [lock] = await tx.$queryRaw<{ id: string }[]>`
      SELECT id::text FROM conversations WHERE id = (SELECT conversation_id FROM runs WHERE id = ${runId}::uuid) FOR UPDATE`;
    const run = await tx.run.findUnique({
      where: { id: runId, status: 'REQUIRES_ACTION', ...(expiredAt && { actionExpiresAt: { lte: expiredAt } }) },
      include: { archive: true },
    });
    if (!lock || !run) return null;
    const { conversationId } = run;
    const before = run.archive ? unpackEvents(runId, run.archive.events) : [];
    await cancelUnfinishedRows(tx, runId, null, why);
    const rows = await tx.toolCall.findMany({
      where: { runId, callId: { in: listOpenCalls(before) } },
      orderBy: [{ step: 'asc' }, { index: 'asc' }],
    });
    const at = Date.now();
    let seq = before.at(-1)?.seq ?? 0;
    const events: RunEvent[] = rows.flatMap((row) => {
      const toolCall = readStoredCall(row);
      return toolCall ? [{ type: 'ToolCallCompleted', toolCall, seq: ++seq, runId, at } as const] : [];
    });
    events.push(terminalEvent(runId, ++seq, cancelled));
    await tx.run.updateMany({ where: { id: runId }, data: endedRunColumns(cancelled, seq) });
    await tx.runPause.deleteMany({ where: { runId } });
    await saveArchive(tx, runId, [...before, ...events]);
    return { conversationId, events: [...before, ...events], next: await promoteNext(tx, runtime, conversationId) };
  });
  if (!ended) return false;
  announceEnd(runtime, runId, ended.conversationId, ended.events);
  if (ended.next) launchPromoted(runtime, ended.next);
  return true;
}

/** The calls that readers were asked to approve, and have not heard the end of. */
function listOpenCalls(events: readonly RunEvent[]): string[] {
  const open = new Set<string>();
  for (const event of events) {
    if (event.type === 'ApprovalRequested') open.add(event.toolCall.callId);
    if (event.type === 'ToolCallCompleted') open.delete(event.toolCall.callId);
  }
  return [...open];
}

/** Tells the readers of a run that no process held, and of its conversation, that it has ended. */
function announceEnd(runtime: RunScheduler, runId: string, conversationId: string, events: readonly RunEvent[]): void {
  runtime.log.find(runId)?.fill(events);
  runtime.log.drop(runId);
  runtime.feed.publish({ type: 'RunChanged', conversationId, runId });
}
