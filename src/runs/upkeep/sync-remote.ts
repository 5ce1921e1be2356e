import type { RunEventBuffer } from '../../log/event-buffer.ts';
import type { RunRuntime } from '../runtime.ts';
import { hasEnded } from '../statuses.ts';

/** How many runs one statement asks for. */
const batch = 500;

/**
 * Tells the readers of runs that other processes carry out how far those have got: when such a run has ended or waits for a
 * person, they read its archive. While all of them go on, it costs one statement a round for each 500.
 */
export async function syncRunsOfOtherInstances(runtime: RunRuntime): Promise<void> {
  const remote = runtime.log.runIds().filter((id) => !runtime.running.has(id));
  for (const id of remote) if (runtime.log.find(id)?.readers === 0) runtime.log.drop(id);
  const followed = remote.filter((id) => runtime.log.find(id) !== undefined);
  // All of them in each round: those that wait keep their position, and must not block the others.
  for (let from = 0; from < followed.length; from += batch)
    await syncBuffers(runtime, followed.slice(from, from + batch));
}

async function syncBuffers(runtime: RunRuntime, followed: string[]): Promise<void> {
  const rows = await runtime.db.run.findMany({
    where: { id: { in: followed } },
    select: { id: true, status: true, lastSeq: true, archive: { select: { runId: true } } },
  });
  const runs = new Map(rows.map((run) => [run.id, run]));
  for (const id of followed) {
    const buffer = runtime.log.find(id);
    // A queued run can have begun here in the meantime, and one that waited can have continued.
    if (!buffer || runtime.running.has(id)) continue;
    const run = runs.get(id);
    if (run && !hasEnded(run)) {
      if (run.status === 'REQUIRES_ACTION' && buffer.lastSeq < run.lastSeq) buffer.releaseUpTo(run.lastSeq, false);
      continue;
    }
    if (run?.archive) buffer.releaseUpTo(run.lastSeq, true);
    else closeDeleted(buffer);
    runtime.log.drop(id);
  }
}

/** Ends the buffer of a run whose conversation was deleted. What its readers have not read is not to be read any more. */
function closeDeleted(buffer: RunEventBuffer): void {
  if (buffer.closed) return;
  buffer.markArchived();
  buffer.release();
  buffer.append({ type: 'RunCancelled', seq: buffer.lastSeq + 1, runId: buffer.runId, at: Date.now() });
}
