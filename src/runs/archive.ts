import type { Db } from '../database/client.ts';
import { packEvents } from '../log/archive.ts';
import type { RunEvent } from '../log/event.ts';

/** Archives the events of a run that has ended, or that waits for a person; in one statement. */
export async function saveArchive(db: Db, runId: string, events: readonly RunEvent[]): Promise<void> {
  const packed = packEvents(events);
  await db.$executeRaw`
    INSERT INTO run_archives (run_id, events) VALUES (${runId}::uuid, ${packed})
    ON CONFLICT (run_id) DO UPDATE SET events = excluded.events`;
}
