import { z } from 'zod';
import type { Db } from '../database/client.ts';
import { unpackEvents } from '../log/archive.ts';
import type { StoredIds } from '../log/earlier-archives.ts';
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
  const events = await readArchive(db, buffer.runId, () => Promise.resolve());
  if (events) buffer.fill(events);
  return events !== null;
}

/** Archives of no more bytes are read together with their size. */
const smallBytes = 64 * 1024;
const sizedArchive = z.array(z.object({ bytes: z.int(), events: z.string().nullable() })).max(1);

/**
 * The events of a run that has ended, or up to its last pause; null if it has done neither.
 * @param reserve waited for with the bytes of a large archive, before it is read
 */
export async function readArchive(
  db: Db,
  runId: string,
  reserve: (bytes: number) => Promise<void>,
): Promise<RunEvent[] | null> {
  const rows = await db.$queryRaw`
    SELECT octet_length(events) AS bytes, CASE WHEN octet_length(events) <= ${smallBytes} THEN events END AS events
    FROM run_archives WHERE run_id = ${runId}::uuid`;
  const [archive] = sizedArchive.parse(rows);
  if (!archive) return null;
  if (archive.events !== null) return unpackArchive(db, runId, archive.events);
  await reserve(archive.bytes);
  const large = await db.runArchive.findUnique({ where: { runId } });
  return large && unpackArchive(db, runId, large.events);
}

/** Unpacks an archive that was read with its run. */
export function unpackArchive(db: Db, runId: string, packed: string): Promise<RunEvent[]> {
  return unpackEvents(runId, packed, () => readStoredIds(db, runId));
}

/** The ids of a run's calls and handoffs, for the archives of earlier versions. */
async function readStoredIds(db: Db, runId: string): Promise<StoredIds> {
  const calls = await db.toolCall.findMany({ where: { runId }, select: { rowId: true, callId: true } });
  const handoffs = await db.handoff.findMany({ where: { runId }, orderBy: { step: 'asc' }, select: { id: true } });
  return {
    toolCalls: new Map(calls.map(({ callId, rowId }) => [callId, rowId])),
    handoffs: handoffs.map(({ id }) => id),
  };
}
