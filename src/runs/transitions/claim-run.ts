import type { Run } from '../../generated/prisma/client.ts';
import { leaseMs, type Moment, takeMoment, takeoverSeqs } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import { leaseEnd } from './lease.ts';
import { runColumns } from './run-columns.ts';

/**
 * Takes a RUNNING run that no process carries out: its epoch is raised, so that whoever had it before writes nothing any
 * more. The time for which it was carried out is added up: up to the last renewal of its lease.
 * @param run as it was read; if its owner or its lease has changed since, nothing is taken
 * @param options.isContinued whether a process may have begun it, and has died or let go of it since
 * @param options.hasDied whether that process has died of it, for all that is known
 * @returns the run with the lease of this process, and a moment before the lease began; null if somebody was faster
 */
export async function claimRun(
  runtime: RunRuntime,
  { id, leaseOwner, leaseEpoch, leaseExpiresAt }: Run,
  { isContinued, hasDied }: { readonly isContinued: boolean; readonly hasDied: boolean },
): Promise<{ readonly run: Run; readonly leasedAt: Moment } | null> {
  const leasedAt = takeMoment();
  // Whoever gives a lease back sets its end to that moment.
  const unusedMs = leaseOwner === null ? 0 : leaseMs;
  const [run] = await runtime.db.$queryRaw<Run[]>`
    UPDATE runs SET lease_owner = ${runtime.instanceId}, lease_epoch = lease_epoch + 1, lease_expires_at = ${leaseEnd}, leased_at = clock_timestamp(),
      elapsed_ms = elapsed_ms + greatest(0, coalesce(
        extract(epoch FROM lease_expires_at - leased_at) * 1000 - ${unusedMs}::int, 0))::int,
      reserved_seq = reserved_seq + ${takeoverSeqs}::int,
      resumed_count = resumed_count + ${isContinued ? 1 : 0}::int,
      died_count = died_count + ${hasDied ? 1 : 0}::int
    WHERE id = ${id}::uuid AND status = 'RUNNING' AND lease_epoch = ${leaseEpoch}
      AND lease_owner IS NOT DISTINCT FROM ${leaseOwner}::text
      AND lease_expires_at IS NOT DISTINCT FROM ${leaseExpiresAt}::timestamptz
    RETURNING ${runColumns}`;
  return run ? { run, leasedAt } : null;
}
