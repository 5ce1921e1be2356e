import type { Prisma, Run } from '../../generated/prisma/client.ts';
import { type Moment, reservedSeqs, takeMoment } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import { leaseEnd } from './lease.ts';
import { runColumns } from './run-columns.ts';

/**
 * REQUIRES_ACTION to RUNNING, with the lease of this process. The caller holds the lock on the conversation's row. The
 * state of the pause stays, in case the answer is lost: the next pause replaces it, and the end deletes it.
 * @param elapsedMs how long it had run when it was paused, in milliseconds
 * @returns the run as it is now, and a moment before its lease began
 */
export async function resumeRun(
  tx: Prisma.TransactionClient,
  runtime: RunRuntime,
  { id }: Pick<Run, 'id'>,
  elapsedMs: number,
): Promise<{ readonly run: Run; readonly leasedAt: Moment }> {
  const leasedAt = takeMoment();
  const [run] = await tx.$queryRaw<Run[]>`
    UPDATE runs SET status = 'RUNNING', action_expires_at = NULL,
      lease_owner = ${runtime.instanceId}, lease_epoch = lease_epoch + 1, lease_expires_at = ${leaseEnd}, leased_at = clock_timestamp(),
      elapsed_ms = ${Math.round(elapsedMs)}::int,
      reserved_seq = greatest(reserved_seq, last_seq + ${reservedSeqs})
    WHERE id = ${id}::uuid AND status = 'REQUIRES_ACTION'
    RETURNING ${runColumns}`;
  if (!run) throw new Error(`Run ${id} does not wait any more.`);
  return { run, leasedAt };
}
