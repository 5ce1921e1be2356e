import type { Run } from '../../generated/prisma/client.ts';
import type { RunRuntime } from '../runtime.ts';

/** How long a run is believed to be alive after its process has last renewed its lease. */
export const leaseMs = 10_000;

/** The columns of a run that a process begins or continues to carry out. */
export function leasedColumns({ instanceId }: RunRuntime) {
  return {
    status: 'RUNNING',
    leaseOwner: instanceId,
    leaseExpiresAt: new Date(Date.now() + leaseMs),
  } as const;
}

/** The row of a run only while this process carries it out. */
export function ownedRow({ instanceId }: RunRuntime, { id }: Pick<Run, 'id'>) {
  return { id, leaseOwner: instanceId, status: 'RUNNING' } as const;
}
