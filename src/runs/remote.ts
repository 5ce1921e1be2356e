import type { Database } from '../db.ts';
import { unpackEvents } from '../log/archive.ts';
import type { RunTail } from '../log/tail.ts';
import type { RunHost } from './host.ts';

/** How many runs one round looks after. */
const batch = 500;

/**
 * Looks after the tails of runs that this process does not carry out, but that somebody follows from here: when such
 * a run has ended, its archive becomes the tail. One statement a round while all of them go on.
 */
export async function fillRemoteTails(host: RunHost): Promise<void> {
  const remote = host.log.runIds().filter((id) => !host.active.has(id));
  for (const id of remote) if (host.log.find(id)?.readers === 0) host.log.drop(id);
  const followed = remote.filter((id) => host.log.find(id) !== undefined).slice(0, batch);
  if (followed.length === 0) return;
  const live = await host.db.run.findMany({
    where: { id: { in: followed }, status: { in: ['QUEUED', 'RUNNING', 'REQUIRES_ACTION'] } },
    select: { id: true },
  });
  const goOn = new Set(live.map(({ id }) => id));
  for (const id of followed) {
    const tail = host.log.find(id);
    // A queued run can have begun here in the meantime.
    if (!tail || goOn.has(id) || host.active.has(id)) continue;
    await endTail(host.db, tail);
    host.log.drop(id);
  }
}

/** Ends the tail of a run that others have ended: as its archive says, or as cancelled where its conversation is gone. */
async function endTail(db: Database, tail: RunTail): Promise<void> {
  if ((await fillTail(db, tail)) || tail.closed) return;
  tail.append({ type: 'RunCancelled', seq: tail.lastSeq + 1, runId: tail.runId, at: Date.now() });
}

/**
 * Fills a tail from the archive of its run.
 * @returns false, with nothing done, where there is no archive: the run goes on, or it was deleted
 */
export async function fillTail(db: Database, tail: RunTail): Promise<boolean> {
  const archive = await db.runArchive.findUnique({ where: { runId: tail.runId } });
  if (!archive) return false;
  tail.fill(unpackEvents(tail.runId, archive.events));
  return true;
}
