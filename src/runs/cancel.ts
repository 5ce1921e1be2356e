import type { Viewer } from '../auth/viewer.ts';
import { TurnAborted } from '../engine/abort.ts';
import type { Run } from '../generated/prisma/client.ts';
import { packEvents } from '../log/archive.ts';
import { RunCursor } from '../log/cursor.ts';
import { endedRow, terminalEvent } from './finish.ts';
import type { RunHost } from './host.ts';
import { findRun, type RunQuery } from './read.ts';

/**
 * Cancels a run, wherever it is carried out, and waits until it has ended. One that has ended already stays as it is.
 * @param rawId the public id
 * @throws {ForbiddenError} {@link NotFoundError} {@link BadUserInputError} for the id
 */
export async function cancelRun(viewer: Viewer, host: RunHost, rawId: string, query: RunQuery = {}): Promise<Run> {
  const run = await findRun(viewer, host.db, rawId, ['id']);
  await cancelRow(host, run.id, new TurnAborted());
  return findRun(viewer, host.db, rawId, ['id'], query);
}

/**
 * Stops a run by its row id.
 * @returns when it has ended, or when the process that carries it out has been asked and its end is in the log
 */
export async function cancelRow(host: RunHost, runId: string, reason: TurnAborted): Promise<void> {
  if (await cancelQueued(host, runId)) return;
  const active = host.active.get(runId);
  if (active) {
    active.controller.abort(reason);
    await active.done;
    return;
  }
  const asked = await host.db.run.updateMany({
    where: { id: runId, status: { in: ['RUNNING', 'REQUIRES_ACTION'] } },
    data: { cancelRequestedAt: new Date() },
  });
  if (asked.count === 0) return;
  // Another process carries it out. Its end comes into the tail (remote.ts).
  for await (const _ of new RunCursor(host.log.open(runId), Number.MAX_SAFE_INTEGER)) {
    // Nothing is read: only the end counts.
  }
}

async function cancelQueued(host: RunHost, runId: string): Promise<boolean> {
  const end = { status: 'CANCELLED', failure: null } as const;
  const terminal = terminalEvent(runId, 1, end);
  const cancelled = await host.db.$transaction(async (tx) => {
    const { count } = await tx.run.updateMany({ where: { id: runId, status: 'QUEUED' }, data: endedRow(end, 1) });
    if (count === 0) return null;
    await tx.runArchive.create({ data: { runId, events: packEvents([terminal]) } });
    return tx.run.findUnique({ where: { id: runId }, select: { conversationId: true } });
  });
  if (!cancelled) return false;
  host.feed.publish({ type: 'RunChanged', conversationId: cancelled.conversationId, runId });
  const tail = host.log.find(runId);
  if (tail && !tail.closed) tail.append(terminal);
  host.log.drop(runId);
  return true;
}
