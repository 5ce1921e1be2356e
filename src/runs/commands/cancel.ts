import type { Viewer } from '../../auth/viewer.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { RunCursor } from '../../log/cursor.ts';
import { findRun, type RunQuery } from '../read/read.ts';
import type { RunRuntime } from '../runtime.ts';
import { cancelQueued } from '../transitions/cancel-queued.ts';
import { cancelWaiting } from '../transitions/cancel-waiting.ts';
import { requestCancel } from '../transitions/request-cancel.ts';

/**
 * Cancels a run, whichever process carries it out, and waits until it has ended. A run that has ended stays as it is.
 * @param rawId the public id
 * @throws {ForbiddenError} {@link NotFoundError} {@link BadUserInputError} for the id
 */
export async function cancelRun(
  viewer: Viewer,
  runtime: RunRuntime,
  rawId: string,
  query: RunQuery = {},
): Promise<Run> {
  const run = await findRun(viewer, runtime.db, rawId, ['id']);
  await cancelRow(runtime, run.id, new TurnAborted());
  return findRun(viewer, runtime.db, rawId, ['id'], query);
}

/**
 * Stops a run by its row id.
 * @returns when it has ended, or when the process that carries it out was asked and its end is in the log
 */
export async function cancelRow(runtime: RunRuntime, runId: string, reason: TurnAborted): Promise<void> {
  // Tries again if the run has changed in the meantime: out of the queue, into a pause, or on from there.
  for (;;) {
    const active = runtime.running.get(runId);
    if (active) {
      active.stop(reason);
      // If it waits or goes on elsewhere, its row says what is to be done.
      if ((await active.done) === 'ended') return;
      continue;
    }
    const run = await runtime.db.run.findUnique({ where: { id: runId }, select: { status: true } });
    switch (run?.status) {
      case 'QUEUED':
        if (await cancelQueued(runtime, runId)) return;
        break;
      case 'REQUIRES_ACTION':
        if (await cancelWaiting(runtime, runId)) return;
        break;
      case 'RUNNING':
        if (!(await requestCancel(runtime, runId))) break;
        // Another process carries it out. Its end is filled into the buffer (sync-remote.ts).
        for await (const _ of new RunCursor(runtime.log.open(runId), Number.MAX_SAFE_INTEGER)) {
          // Nothing is read: only the end counts.
        }
        return;
      default:
        return;
    }
  }
}
