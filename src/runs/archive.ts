import type { Db } from '../database/client.ts';
import { unpackEvents } from '../log/archive.ts';
import type { RunEvent } from '../log/event.ts';
import type { RunEventBuffer } from '../log/event-buffer.ts';

/**
 * Archives the events of a run that has ended, or that waits for a person; in one statement.
 * @param packed its events, packed before the transaction begins (log/archive.ts)
 */
export async function saveArchive(db: Db, runId: string, packed: string): Promise<void> {
  await db.$executeRaw`
    INSERT INTO run_archives (run_id, events) VALUES (${runId}::uuid, ${packed})
    ON CONFLICT (run_id) DO UPDATE SET events = excluded.events`;
}

/**
 * Fills a buffer from the archive of its run.
 * @returns false, with nothing done, if there is no archive: the run is going on and has never waited for a person, or
 *   it was deleted
 */
export async function backfillFromArchive(db: Db, buffer: RunEventBuffer): Promise<boolean> {
  const events = await readArchive(db, buffer.runId);
  if (events) buffer.fill(events);
  return events !== null;
}

/** The events of a run that has ended, or up to its last pause; null if it has done neither. */
export async function readArchive(db: Db, runId: string): Promise<RunEvent[] | null> {
  const archive = await db.runArchive.findUnique({ where: { runId } });
  return archive && (await unpackEvents(runId, archive.events));
}
