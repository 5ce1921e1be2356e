import type { RunEventBuffer } from '../../log/event-buffer.ts';
import type { RemoteRuns } from '../remote/remote-runs.ts';
import type { RunRuntime } from '../runtime.ts';
import { hasEnded } from '../statuses.ts';

/** How many runs one statement asks for. */
const batch = 500;

/** A runtime with the runs that are read from other instances. */
type SyncRuntime = RunRuntime & { readonly remote: RemoteRuns };

/**
 * Reads how the runs stand that other processes carry out and that have readers here. When such a run has ended or waits for
 * a person, its readers read its archive; while it goes on, they get what its owner publishes (remote/remote-runs.ts). It
 * costs one statement a round for each 500.
 */
export async function syncRunsOfOtherInstances(runtime: SyncRuntime): Promise<void> {
  const elsewhere = runtime.log.runIds().filter((id) => !runtime.running.has(id));
  for (const id of elsewhere) if (runtime.log.find(id)?.readers === 0) drop(runtime, id);
  const followed = elsewhere.filter((id) => runtime.log.find(id) !== undefined);
  // All of them in each round: those that wait keep their position, and must not block the others.
  for (let from = 0; from < followed.length; from += batch) await syncRuns(runtime, followed.slice(from, from + batch));
}

/** Reads how runs stand, if they have readers here. */
export async function syncRuns(runtime: SyncRuntime, runIds: readonly string[]): Promise<void> {
  const followed = runIds.filter((id) => runtime.log.find(id) !== undefined && !runtime.running.has(id));
  if (followed.length === 0) return;
  const rows = await runtime.db.run.findMany({
    where: { id: { in: followed } },
    select: { id: true, status: true, lastSeq: true, leaseEpoch: true },
  });
  const runs = new Map(rows.map((run) => [run.id, run]));
  for (const id of followed) {
    const buffer = runtime.log.find(id);
    // A queued run can have begun here in the meantime, and one that waited can have continued.
    if (!buffer || runtime.running.has(id)) continue;
    const run = runs.get(id);
    if (run && !hasEnded(run)) {
      if (run.status === 'REQUIRES_ACTION' && buffer.lastEventSeq < run.lastSeq) buffer.releaseUpTo(run.lastSeq, false);
      if (run.status === 'RUNNING') runtime.remote.follow(id);
      runtime.remote.noteRow(id, run.status === 'RUNNING' ? run : null);
      continue;
    }
    // If its archive is purged already, its readers are told so when they ask for it (commands/follow.ts).
    if (run) buffer.releaseUpTo(run.lastSeq, true, run.status === 'CANCELLED');
    else closeDeleted(buffer);
    drop(runtime, id);
  }
}

function drop(runtime: SyncRuntime, runId: string): void {
  runtime.remote.unfollow(runId);
  runtime.log.drop(runId);
}

/** Ends the buffer of a run whose conversation was deleted. What its readers have not read is not to be read any more. */
function closeDeleted(buffer: RunEventBuffer): void {
  if (buffer.closed) return;
  buffer.markArchived();
  buffer.release();
  buffer.append({ type: 'RunCancelled', seq: buffer.lastSeq + 1, runId: buffer.runId, at: Date.now() });
}
