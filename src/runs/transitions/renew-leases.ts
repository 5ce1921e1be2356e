import type { RunRuntime, UnsavedText } from '../runtime.ts';
import { leaseMs } from './lease.ts';

/** What a checkpoint saves of a run. */
export interface SavedRun {
  readonly runId: string;
  readonly text: UnsavedText | null;
  /** The seq up to which the rows hold everything with this text; null if it is not known. */
  readonly seq: number | null;
}

/** A run whose lease was renewed. */
export interface RenewedRun {
  readonly id: string;
  /** Whether somebody wants it cancelled. */
  readonly cancel: boolean;
}

/**
 * Renews the leases of the runs of this process, and saves their text and seq; in one statement for all of them.
 * @returns the runs whose lease this process still has, by row id
 */
export async function renewLeases(
  { db, instanceId }: RunRuntime,
  saved: readonly SavedRun[],
): Promise<Map<string, RenewedRun>> {
  const texts = saved.flatMap(({ text }) => text ?? []);
  const rows = await db.$queryRaw<RenewedRun[]>`
    WITH texts AS (
      UPDATE messages SET content = t.content
      FROM unnest(${texts.map((text) => text.messageId)}::uuid[], ${texts.map((text) => text.content)}::text[]) AS t (id, content)
      WHERE messages.id = t.id AND messages.status = 'STREAMING'
    )
    UPDATE runs SET
      -- A statement that had to wait may be carried out when the run has got further: the seq never goes back.
      last_seq = greatest(runs.last_seq, s.seq),
      lease_expires_at = now() + ${leaseMs} * interval '1 millisecond'
    FROM unnest(${saved.map(({ runId }) => runId)}::uuid[], ${saved.map(({ seq }) => seq)}::int[]) AS s (id, seq)
    WHERE runs.id = s.id AND runs.lease_owner = ${instanceId} AND runs.status IN ('RUNNING', 'REQUIRES_ACTION')
    RETURNING runs.id::text, runs.cancel_requested_at IS NOT NULL AS cancel`;
  return new Map(rows.map((row) => [row.id, row]));
}
