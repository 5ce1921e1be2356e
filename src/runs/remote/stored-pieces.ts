import { z } from 'zod';
import type { Db } from '../../database/client.ts';
import type { LogPiece } from '../../log/piece.ts';

/** How long the owner of a run writes its pieces after somebody has asked for them, in milliseconds. */
export const followMs = 10_000;
/** How many pieces of one run are read at a time. */
const maxPieces = 32;
/** How many pieces one statement deletes. */
const sweepBatch = 5_000;

/** Asks the owners of runs to write their events to the database for a while (write-pieces.ts). */
export async function requestPieces(db: Db, runIds: readonly string[]): Promise<void> {
  await db.$executeRaw`
    INSERT INTO run_followers (run_id, expires_at)
    SELECT id, clock_timestamp() + ${followMs} * interval '1 millisecond' FROM runs
    WHERE id = ANY(${[...runIds]}::uuid[]) AND status = 'RUNNING' ORDER BY id
    ON CONFLICT (run_id) DO UPDATE SET expires_at = greatest(run_followers.expires_at, excluded.expires_at)`;
}

/** A run, and the seq of the last event that is known of it. */
export interface KnownUpTo {
  readonly runId: string;
  readonly seq: number;
}

const rows = z.array(
  z.object({
    runId: z.string(),
    epoch: z.int(),
    after: z.int(),
    lastSeq: z.int(),
    events: z.string(),
  }),
);

/** The next pieces of runs, as the present owners have written them, in their order; some at a time. One statement. */
export async function readPieces(db: Db, runs: readonly KnownUpTo[]): Promise<Map<string, LogPiece[]>> {
  const found = rows.parse(
    await db.$queryRaw`
      SELECT runs.id::text AS "runId", piece.epoch, piece.after_seq AS after, piece.last_seq AS "lastSeq", piece.events
      FROM unnest(${runs.map(({ runId }) => runId)}::uuid[], ${runs.map(({ seq }) => seq)}::int[]) AS known (id, seq)
      JOIN runs ON runs.id = known.id
      CROSS JOIN LATERAL (
        SELECT epoch, after_seq, last_seq, events FROM run_pieces
        WHERE run_id = runs.id AND epoch = runs.lease_epoch AND last_seq > known.seq
        ORDER BY last_seq LIMIT ${maxPieces}
      ) AS piece
      ORDER BY runs.id, piece.last_seq`,
  );
  const pieces = new Map<string, LogPiece[]>();
  for (const { runId, ...piece } of found) {
    const list = pieces.get(runId) ?? [];
    pieces.set(runId, list);
    list.push({ ...piece, isEnd: false });
  }
  return pieces;
}

/** Deletes the pieces that nobody needs any more: of runs that have ended, wait, or have another owner. */
export async function sweepPieces(db: Db): Promise<void> {
  await db.$executeRaw`DELETE FROM run_followers WHERE expires_at < clock_timestamp()`;
  for (;;) {
    const deleted = await db.$executeRaw`
      WITH idle AS MATERIALIZED (
        SELECT run_id, epoch, last_seq FROM run_pieces WHERE NOT EXISTS (
          SELECT 1 FROM runs WHERE runs.id = run_id AND runs.status = 'RUNNING' AND runs.lease_epoch = epoch)
        LIMIT ${sweepBatch}
      )
      DELETE FROM run_pieces AS p USING idle
      WHERE p.run_id = idle.run_id AND p.epoch = idle.epoch AND p.last_seq = idle.last_seq`;
    if (deleted < sweepBatch) return;
  }
}
