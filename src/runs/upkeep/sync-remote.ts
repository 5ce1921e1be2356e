import type { Database } from '../../database/client.ts';
import type { RunEventBuffer } from '../../log/event-buffer.ts';
import { backfillFromArchive } from '../archive.ts';
import type { RunRuntime } from '../runtime.ts';
import { unfinishedStatuses } from '../statuses.ts';

/** How many runs one statement asks for. */
const batch = 500;

/**
 * Fills the buffers of runs that other processes carry out and that have readers here: when such a run has ended, from
 * its archive; when it waits for a person, from what is archived so far. While all of them go on, it costs one
 * statement a round for each 500.
 */
export async function syncRunsOfOtherInstances(runtime: RunRuntime): Promise<void> {
  const remote = runtime.log.runIds().filter((id) => !runtime.running.has(id));
  for (const id of remote) if (runtime.log.find(id)?.readers === 0) runtime.log.drop(id);
  const followed = remote.filter((id) => runtime.log.find(id) !== undefined);
  // All of them in each round: those that wait keep their position, and must not block the others.
  for (let from = 0; from < followed.length; from += batch)
    await fillBuffers(runtime, followed.slice(from, from + batch));
}

async function fillBuffers(runtime: RunRuntime, followed: string[]): Promise<void> {
  const rows = await runtime.db.run.findMany({
    where: { id: { in: followed }, status: { in: [...unfinishedStatuses] } },
    select: { id: true, status: true, lastSeq: true },
  });
  const unfinished = new Map(rows.map((run) => [run.id, run]));
  for (const id of followed) {
    const buffer = runtime.log.find(id);
    // A queued run can have begun here in the meantime, and one that waited can have continued.
    if (!buffer || runtime.running.has(id)) continue;
    const run = unfinished.get(id);
    if (run) {
      const isBehind = run.status === 'REQUIRES_ACTION' && buffer.lastSeq < run.lastSeq;
      if (isBehind) await backfillFromArchive(runtime.db, buffer);
      continue;
    }
    await closeBuffer(runtime.db, buffer);
    runtime.log.drop(id);
  }
}

/** Ends the buffer of a run that others have ended: as its archive says, or as cancelled if its conversation is gone. */
async function closeBuffer(db: Database, buffer: RunEventBuffer): Promise<void> {
  if ((await backfillFromArchive(db, buffer)) || buffer.closed) return;
  buffer.append({ type: 'RunCancelled', seq: buffer.lastSeq + 1, runId: buffer.runId, at: Date.now() });
}
