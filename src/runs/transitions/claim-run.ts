import type { Run } from '../../generated/prisma/client.ts';
import { type Moment, reservedSeqs, takeMoment } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import { leaseEnd } from './lease.ts';
import { runColumns } from './run-columns.ts';

/**
 * Takes a RUNNING run that no process carries out: its epoch is raised, so that whoever had it before writes nothing any
 * more.
 * @param run as it was read; if its owner or its lease has changed since, nothing is taken
 * @returns the run with the lease of this process, and a moment before the lease began; null if somebody was faster
 */
export async function claimRun(
  runtime: RunRuntime,
  { id, leaseOwner, leaseEpoch, leaseExpiresAt }: Run,
): Promise<{ readonly run: Run; readonly leasedAt: Moment } | null> {
  const leasedAt = takeMoment();
  const isOwn = leaseOwner === runtime.instanceId;
  const [run] = await runtime.db.$queryRaw<Run[]>`
    UPDATE runs SET lease_owner = ${runtime.instanceId}, lease_epoch = lease_epoch + 1, lease_expires_at = ${leaseEnd},
      -- The events of before are told again after the reserved ones, then come the new ones.
      reserved_seq = reserved_seq + ${2 * reservedSeqs}::int,
      resumed_count = resumed_count + ${isOwn ? 0 : 1}::int
    WHERE id = ${id}::uuid AND status = 'RUNNING' AND lease_epoch = ${leaseEpoch}
      AND lease_owner IS NOT DISTINCT FROM ${leaseOwner}::text
      AND lease_expires_at IS NOT DISTINCT FROM ${leaseExpiresAt}::timestamptz
    RETURNING ${runColumns}`;
  return run ? { run, leasedAt } : null;
}
