import type { Viewer } from '../../auth/viewer.ts';
import type { Prisma, Run } from '../../generated/prisma/client.ts';
import { storedTurn } from '../input.ts';
import { type Moment, reservedSeqs, takeMoment } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import { begunStatuses } from '../statuses.ts';
import { announceJoined } from '../steering-notices.ts';
import { numberSteered } from './join-steered.ts';
import { leaseEnd } from './lease.ts';
import { lockConversation } from './lock-conversation.ts';
import { placeCancelled, placeMessage } from './place-message.ts';
import { runColumns } from './run-columns.ts';
import { beginBranch } from './take-branch.ts';

/** A run that came out of the queue. */
export interface PromotedRun {
  readonly run: Run;
  /** Before its lease began. */
  readonly leasedAt: Moment;
}

/**
 * Begins the next run in the queue of a conversation, and lists its message and those of runs that were cancelled in the
 * queue. The caller holds the lock on the conversation's row.
 * @returns the run, now RUNNING with the lease of this process; null if none waits, or if the server is stopping
 */
export async function promoteNext(
  tx: Prisma.TransactionClient,
  runtime: RunRuntime,
  conversationId: string,
): Promise<PromotedRun | null> {
  await numberSteered(tx, conversationId);
  const queue = await readQueue(tx, conversationId);
  // A run that still waits when the server stops is begun by another process, or at the next start (recover.ts).
  const next = runtime.closing ? null : await beginFirst(tx, runtime, queue);
  for (const queued of queue) {
    // Those behind the one that begins are listed after its answer.
    const hasLeft = next ? queued.number <= next.run.number : !queued.isQueued;
    if (hasLeft && queued.id !== next?.run.id) await placeCancelled(tx, { ...queued, conversationId });
  }
  if (next) await placeBegun(tx, next.run);
  return next;
}

/** Lists the message of a run that begins, at the end of its branch. */
async function placeBegun(tx: Prisma.TransactionClient, { id, conversationId, userMessageId, input }: Run) {
  const { branch } = storedTurn.parse(input);
  if (branch) await beginBranch(tx, conversationId, branch);
  if (branch?.kind === 'REGENERATE') await tx.run.update({ where: { id }, data: { isCurrent: true } });
  else await placeMessage(tx, conversationId, userMessageId);
}

/** A run that waits, or that was cancelled while it waited and whose message is not listed yet. */
interface QueuedRun {
  readonly id: string;
  readonly number: number;
  readonly isQueued: boolean;
  readonly userMessageId: string;
  readonly input: Run['input'];
}

async function readQueue(tx: Prisma.TransactionClient, conversationId: string): Promise<QueuedRun[]> {
  return tx.$queryRaw<QueuedRun[]>`
    SELECT id::text, number, status = 'QUEUED' AS "isQueued", user_message_id::text AS "userMessageId", input FROM runs
    WHERE conversation_id = ${conversationId}::uuid AND (status = 'QUEUED' OR user_message_id IN (
      SELECT id FROM messages WHERE conversation_id = ${conversationId}::uuid AND position IS NULL AND is_active))
    ORDER BY number`;
}

async function beginFirst(
  tx: Prisma.TransactionClient,
  runtime: RunRuntime,
  queue: readonly QueuedRun[],
): Promise<PromotedRun | null> {
  for (const { id, isQueued } of queue) {
    if (!isQueued) continue;
    const leasedAt = takeMoment();
    const [run] = await runtime.launching.during(
      id,
      () => tx.$queryRaw<Run[]>`
      UPDATE runs SET status = 'RUNNING', started_at = ${new Date()}::timestamptz,
        lease_owner = ${runtime.instanceId}, lease_epoch = lease_epoch + 1, lease_expires_at = ${leaseEnd}, leased_at = clock_timestamp(),
        reserved_seq = greatest(reserved_seq, last_seq + ${reservedSeqs})
      WHERE id = ${id}::uuid AND status = 'QUEUED'
      RETURNING ${runColumns}`,
    );
    if (!run) runtime.launching.done(id);
    if (run) return { run, leasedAt };
  }
  return null;
}

/**
 * Begins the next run in the queue of a conversation in which nothing runs, and carries it out.
 * @returns whether one was begun
 */
export async function promoteQueue(runtime: RunRuntime, conversationId: string): Promise<boolean> {
  const next = await runtime.db.$transaction(async (tx) => {
    await lockConversation(tx, conversationId);
    const begun = await tx.run.count({ where: { conversationId, status: { in: [...begunStatuses] } } });
    return begun > 0 ? null : promoteNext(tx, runtime, conversationId);
  });
  if (next) launchPromoted(runtime, next);
  return next !== null;
}

/** Carries out a run that came out of the queue, for the user who asked for it. */
export function launchPromoted(runtime: RunRuntime, { run, leasedAt }: PromotedRun): void {
  const stored = storedTurn.parse(run.input);
  const viewer: Viewer = { userId: run.userId, tenantId: run.tenantId, roles: stored.roles, expiresAt: Infinity };
  runtime.launch({ viewer, run, leasedAt, stored, turn: null, openingMessage: null, resumed: null, isTakeover: false });
  runtime.feed.wake(run);
  if (stored.steers) announceJoined(runtime, run.conversationId);
}
