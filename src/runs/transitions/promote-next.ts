import type { Viewer } from '../../auth/viewer.ts';
import type { Prisma, Run } from '../../generated/prisma/client.ts';
import { storedTurn } from '../input.ts';
import type { RunRuntime } from '../runtime.ts';
import { leasedColumns } from './lease.ts';

/**
 * Begins the next run in the queue of a conversation. The caller holds the lock on the conversation's row.
 * @returns the run, now RUNNING with the lease of this process; null if none waits, or if the server is stopping
 */
export async function promoteNext(
  tx: Prisma.TransactionClient,
  runtime: RunRuntime,
  conversationId: string,
): Promise<Run | null> {
  // A run that still waits when the server stops is begun by another process, or at the next start (recover.ts).
  while (!runtime.closing) {
    const next = await tx.run.findFirst({ where: { conversationId, status: 'QUEUED' }, orderBy: { number: 'asc' } });
    if (!next) return null;
    const begun = { ...leasedColumns(runtime), startedAt: new Date() };
    // It may have been cancelled since it was read: that does not take the lock (cancel-queued.ts).
    const { count } = await tx.run.updateMany({ where: { id: next.id, status: 'QUEUED' }, data: begun });
    if (count > 0) return { ...next, ...begun };
  }
  return null;
}

/** Carries out a run that came out of the queue, for the user who asked for it. */
export function launchPromoted(runtime: RunRuntime, run: Run): void {
  const stored = storedTurn.parse(run.input);
  const viewer: Viewer = { userId: run.userId, tenantId: run.tenantId, roles: stored.roles, expiresAt: Infinity };
  runtime.launch({ viewer, run, stored, turn: null, openingMessage: null, resumed: null });
  runtime.feed.publish({ type: 'RunChanged', conversationId: run.conversationId, runId: run.id });
}
