import type { Viewer } from '../../auth/viewer.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { Run, RunStatus } from '../../generated/prisma/client.ts';
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
  await cancelRow(runtime, run.id, new TurnAborted(), run.status);
  return findRun(viewer, runtime.db, rawId, ['id'], query);
}

/**
 * Stops a run by its row id.
 * @param known how it stood a moment ago; null: its row is read first
 * @returns when it has ended, or when the process that carries it out was asked and its end is in the log
 */
export async function cancelRow(
  runtime: RunRuntime,
  runId: string,
  reason: TurnAborted,
  known: RunStatus | null = null,
): Promise<void> {
  let status = known;
  // Tries again if the run has changed in the meantime: out of the queue, into a pause, or on from there.
  for (;;) {
    const active = runtime.running.get(runId);
    if (active) {
      active.stop(reason);
      // If it waits or goes on elsewhere, its row says what is to be done.
      if ((await active.done) === 'ended') return;
      continue;
    }
    const find = () => runtime.db.run.findUnique({ where: { id: runId }, select: { status: true } });
    const now = status ?? (await find())?.status;
    status = null;
    switch (now) {
      case 'QUEUED':
        if (await cancelQueued(runtime, runId)) return;
        break;
      case 'REQUIRES_ACTION':
        if (await cancelWaiting(runtime, runId)) return;
        break;
      case 'RUNNING':
        if (!(await requestCancel(runtime, runId))) break;
        // Another process carries it out. Its end arrives here as it does for readers (remote/remote-runs.ts).
        runtime.remote.follow(runId);
        runtime.remote.announce({ type: 'cancel', runId });
        for await (const _ of new RunCursor(runtime.log.open(runId), Number.MAX_SAFE_INTEGER)) {
          // Nothing is read: only the end counts.
        }
        return;
      default:
        return;
    }
  }
}
