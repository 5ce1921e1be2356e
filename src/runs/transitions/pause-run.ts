import type { Prisma, Run } from '../../generated/prisma/client.ts';
import { saveArchive } from '../archive.ts';
import type { RunRuntime } from '../runtime.ts';
import { ownedRow } from './lease.ts';
import { lockAndTouchConversation } from './lock-conversation.ts';

/** What is written when a run begins to wait for a person. */
export interface PauseRows {
  readonly run: Run;
  readonly agentId: string | null;
  /** The row ids of the calls that wait. */
  readonly calls: string[];
  /** When the run is cancelled if it still waits. */
  readonly expiresAt: Date;
  /** All events of the run so far, packed, and the seq of the last one. */
  readonly archive: string;
  readonly lastSeq: number;
  /** What the run continues from, as JSON (frozen-turn.ts). */
  readonly state: string;
}

/**
 * RUNNING to REQUIRES_ACTION: the state, the calls and the events of the run, and its row, which no process holds any
 * more.
 * @returns false, with nothing written, if the run may not wait: it is to be cancelled, or another process has ended it
 */
export async function pauseRun(
  tx: Prisma.TransactionClient,
  runtime: RunRuntime,
  { run, agentId, calls, expiresAt, archive, lastSeq, state }: PauseRows,
): Promise<boolean> {
  await lockAndTouchConversation(tx, run.conversationId);
  const { count } = await tx.run.updateMany({
    where: { ...ownedRow(runtime, run), cancelRequestedAt: null },
    data: {
      status: 'REQUIRES_ACTION',
      leaseOwner: null,
      leaseExpiresAt: null,
      actionExpiresAt: expiresAt,
      lastSeq,
      agentId,
    },
  });
  if (count === 0) return hasPaused(tx, run, lastSeq);
  await tx.toolCall.updateMany({
    where: { rowId: { in: calls }, status: 'PENDING' },
    data: { status: 'AWAITING_APPROVAL', approvalExpiresAt: expiresAt },
  });
  await saveArchive(tx, run.id, archive);
  await tx.$executeRaw`
    INSERT INTO run_pauses (run_id, state) VALUES (${run.id}::uuid, ${state}::jsonb)
    ON CONFLICT (run_id) DO UPDATE SET state = excluded.state`;
  return true;
}

/** Whether an earlier try has written the pause, and its answer was lost: the run waits, or has continued since. */
async function hasPaused(tx: Prisma.TransactionClient, { id, leaseEpoch }: Run, lastSeq: number): Promise<boolean> {
  const count = await tx.run.count({
    where: {
      id,
      lastSeq: { gte: lastSeq },
      OR: [{ status: 'REQUIRES_ACTION', leaseEpoch }, { leaseEpoch: { gt: leaseEpoch } }],
    },
  });
  return count > 0;
}
