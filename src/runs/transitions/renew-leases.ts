import { reservedSeqs } from '../lease.ts';
import type { RunRuntime, UnsavedText } from '../runtime.ts';
import { type LeasedRun, leaseEnd } from './lease.ts';

/** What a checkpoint saves of a run. */
export interface SavedRun {
  readonly run: LeasedRun;
  readonly text: UnsavedText | null;
  /** The seq up to which the rows hold everything with this text; null if it is not known. */
  readonly seq: number | null;
  /** The seq of the last event. */
  readonly lastSeq: number;
}

/** A run whose lease was renewed. */
export interface RenewedRun {
  readonly id: string;
  readonly leaseEpoch: number;
  /** Readers may be given the events up to this seq. */
  readonly reservedSeq: number;
  /** Whether somebody wants it cancelled. */
  readonly cancel: boolean;
  /** Whether another instance reads its events in the database. */
  readonly followed: boolean;
}

/**
 * Renews the leases of the runs of this process, saves their text and seq, and reserves the seqs that their readers may be
 * given next; in one statement for all of them.
 * @returns the runs whose lease this process still has, by row id
 */
export async function renewLeases(
  { upkeep, instanceId }: RunRuntime,
  saved: readonly SavedRun[],
): Promise<Map<string, RenewedRun>> {
  const texts = saved.flatMap(({ run, text }) => (text ? [{ ...text, runId: run.id }] : []));
  const rows = await upkeep.db.$queryRaw<RenewedRun[]>`
    WITH renewed AS (
      UPDATE runs SET
        -- A statement that had to wait may be carried out when the run has got further: the seq never goes back.
        last_seq = greatest(runs.last_seq, s.seq),
        reserved_seq = greatest(runs.reserved_seq, s.last_seq + ${reservedSeqs}),
        lease_expires_at = ${leaseEnd}
      FROM unnest(
        ${saved.map(({ run }) => run.id)}::uuid[], ${saved.map(({ run }) => run.leaseEpoch)}::int[],
        ${saved.map(({ seq }) => seq)}::int[], ${saved.map(({ lastSeq }) => lastSeq)}::int[]
      ) AS s (id, epoch, seq, last_seq)
      WHERE runs.id = s.id AND runs.lease_owner = ${instanceId} AND runs.lease_epoch = s.epoch
        AND runs.status = 'RUNNING'
      RETURNING runs.id, runs.lease_epoch, runs.reserved_seq, runs.cancel_requested_at
    ), texts AS (
      UPDATE messages SET content = t.content
      FROM unnest(
        ${texts.map((text) => text.runId)}::uuid[], ${texts.map((text) => text.messageId)}::uuid[],
        ${texts.map((text) => text.content)}::text[]
      ) AS t (run_id, id, content), renewed
      WHERE messages.id = t.id AND renewed.id = t.run_id AND messages.run_id = t.run_id AND messages.status = 'STREAMING'
    )
    SELECT id::text, lease_epoch AS "leaseEpoch", reserved_seq AS "reservedSeq", cancel_requested_at IS NOT NULL AS cancel,
      EXISTS (SELECT 1 FROM run_followers WHERE run_id = renewed.id AND expires_at > clock_timestamp()) AS followed
    FROM renewed`;
  return new Map(rows.map((row) => [row.id, row]));
}
