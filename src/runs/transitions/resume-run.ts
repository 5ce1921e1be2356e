import type { Prisma, Run } from '../../generated/prisma/client.ts';
import type { RunRuntime } from '../runtime.ts';
import { leasedColumns } from './lease.ts';

/**
 * REQUIRES_ACTION to RUNNING, with the lease of this process. The caller holds the lock on the conversation's row.
 * @returns the run as it is now
 */
export async function resumeRun(tx: Prisma.TransactionClient, runtime: RunRuntime, run: Run): Promise<Run> {
  const leased = { ...leasedColumns(runtime), actionExpiresAt: null };
  await tx.run.update({ where: { id: run.id }, data: leased });
  await tx.runPause.deleteMany({ where: { runId: run.id } });
  return { ...run, ...leased };
}
