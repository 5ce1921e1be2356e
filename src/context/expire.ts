import type { Database } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';

/** Rows that are deleted in one statement. */
const sweepBatch = 200;

/** Whether a snapshot may be deleted. A turn that waits in the queue is compiled when it begins, with the snapshot that it has named. */
export const isUnused = Prisma.sql`NOT EXISTS (
  SELECT 1 FROM runs AS r WHERE r.status = 'QUEUED' AND r.input->>'contextSnapshotId' = context_snapshots.id::text
)`;

/**
 * Deletes expired snapshots, some at a time. Instances do not wait for each other: what one deletes, the others skip.
 * @returns how many it deleted
 */
export async function deleteExpiredSnapshots(db: Database): Promise<number> {
  for (let total = 0; ; ) {
    // A little later than they expire: a turn that has just read one may be on its way into the queue.
    const deleted = await db.$executeRaw`
      DELETE FROM context_snapshots WHERE id = ANY(ARRAY(
        SELECT id FROM context_snapshots WHERE expires_at < now() - interval '1 minute' AND ${isUnused}
        ORDER BY expires_at LIMIT ${sweepBatch} FOR UPDATE SKIP LOCKED
      ))`;
    total += deleted;
    if (deleted < sweepBatch) return total;
  }
}
