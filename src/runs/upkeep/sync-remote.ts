import type { Database } from '../../database/client.ts';
import { unpackEvents } from '../../log/archive.ts';
import type { RunEvent } from '../../log/event.ts';
import type { RunEventBuffer } from '../../log/event-buffer.ts';
import type { RunScheduler } from '../scheduler.ts';

/** How many runs one statement asks for. */
const batch = 500;

/**
 * Looks after the tails of runs that this process does not carry out, but that somebody follows from here: when such
 * a run has ended, its archive becomes the tail; when it has come to wait for a person, what is archived so far. While
 * all of them go on, one statement a round for each 500.
 */
export async function syncRunsOfOtherInstances(runtime: RunScheduler): Promise<void> {
  const remote = runtime.log.runIds().filter((id) => !runtime.active.has(id));
  for (const id of remote) if (runtime.log.find(id)?.readers === 0) runtime.log.drop(id);
  const followed = remote.filter((id) => runtime.log.find(id) !== undefined);
  // All of them in each round: those that wait stay where they are, and must not be in the way of the others.
  for (let from = 0; from < followed.length; from += batch)
    await fillTails(runtime, followed.slice(from, from + batch));
}

async function fillTails(runtime: RunScheduler, followed: string[]): Promise<void> {
  const live = await runtime.db.run.findMany({
    where: { id: { in: followed }, status: { in: ['QUEUED', 'RUNNING', 'REQUIRES_ACTION'] } },
    select: { id: true, status: true, lastSeq: true },
  });
  const goOn = new Map(live.map((run) => [run.id, run]));
  for (const id of followed) {
    const tail = runtime.log.find(id);
    // A queued run can have begun here in the meantime, and one that waited can have gone on.
    if (!tail || runtime.active.has(id)) continue;
    const run = goOn.get(id);
    if (run) {
      if (run.status === 'REQUIRES_ACTION' && tail.lastSeq < run.lastSeq) await backfillFromArchive(runtime.db, tail);
      continue;
    }
    await closeBuffer(runtime.db, tail);
    runtime.log.drop(id);
  }
}

/** Ends the tail of a run that others have ended: as its archive says, or as cancelled where its conversation is gone. */
async function closeBuffer(db: Database, tail: RunEventBuffer): Promise<void> {
  if ((await backfillFromArchive(db, tail)) || tail.closed) return;
  tail.append({ type: 'RunCancelled', seq: tail.lastSeq + 1, runId: tail.runId, at: Date.now() });
}

/**
 * Fills a tail from the archive of its run.
 * @returns false, with nothing done, where there is no archive: the run goes on and has never waited for a person, or
 *   it was deleted
 */
export async function backfillFromArchive(db: Database, tail: RunEventBuffer): Promise<boolean> {
  const events = await readArchive(db, tail.runId);
  if (events) tail.fill(events);
  return events !== null;
}

/** The events of a run that has ended, or as far as it has last come to wait for a person; null: it has done neither. */
export async function readArchive(db: Database, runId: string): Promise<RunEvent[] | null> {
  const archive = await db.runArchive.findUnique({ where: { runId } });
  return archive && unpackEvents(runId, archive.events);
}
