import type { RunRuntime } from '../runtime.ts';
import type { LeasedRun } from './lease.ts';

/**
 * Gives the leases of runs back, so that another process, or the next start, takes them over without waiting. What this
 * process still sends for them writes nothing any more.
 */
export async function releaseLeases({ upkeep, instanceId }: RunRuntime, runs: readonly LeasedRun[]): Promise<void> {
  await upkeep.db.$executeRaw`
    UPDATE runs SET lease_owner = NULL, lease_expires_at = clock_timestamp()
    FROM unnest(${runs.map(({ id }) => id)}::uuid[], ${runs.map(({ leaseEpoch }) => leaseEpoch)}::int[]) AS r (id, epoch)
    WHERE runs.id = r.id AND runs.lease_epoch = r.epoch AND runs.lease_owner = ${instanceId} AND runs.status = 'RUNNING'`;
}
