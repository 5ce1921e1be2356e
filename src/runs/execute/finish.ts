import { setTimeout as sleep } from 'node:timers/promises';
import type { Viewer } from '../../auth/viewer.ts';
import type { Failure } from '../../engine/ports.ts';
import type { Prisma, Run } from '../../generated/prisma/client.ts';
import type { RunEvent, RunEventPayload } from '../../log/event.ts';
import { saveArchive } from '../archive.ts';
import { storedTurn } from '../input.ts';
import { type ActiveRun, leaseMs, type RunScheduler } from '../scheduler.ts';
import { backfillFromArchive } from '../upkeep/sync-remote.ts';
import type { RunRecorder } from './recorder.ts';

/** How a run ends. */
export type RunEnd =
  | { readonly status: 'COMPLETED' | 'CANCELLED'; readonly failure: null }
  | { readonly status: 'FAILED'; readonly failure: Failure };

const attempts = 5;

/**
 * Ends a run: its row, its archive and the start of the next one in the queue in one transaction, and after that, and
 * only then, the terminal event. Where the database will not have it, readers get a terminal event all the same, and
 * the rows are put right when the lease runs out (recover.ts).
 */
export async function finishRun(
  runtime: RunScheduler,
  active: ActiveRun,
  recorder: RunRecorder,
  end: RunEnd,
): Promise<void> {
  const { run } = active;
  const tail = runtime.log.open(run.id);
  const terminal = terminalEvent(run.id, tail.lastSeq + 1, end);
  recorder.closing = true;
  for (let attempt = 1; ; attempt++) {
    try {
      await recorder.settle().catch(() => {});
      const { written, next } = await runtime.db.$transaction(async (tx) => {
        const written = await closeRun(tx, runtime, run, recorder.agentId, [...tail.events, terminal], end);
        // Where another process has ended it, something may have been begun since. Where it lives on without this one,
        // because it waits for a person, its rows are not this one's to close.
        active.paused = !written && (await isLive(tx, run.id));
        if (!active.paused && (!written || recorder.broken)) {
          await cancelUnfinishedRows(tx, run.id, written ? recorder.unsaved : null);
        }
        return { written, next: written ? await promoteNext(tx, runtime, run.conversationId) : null };
      });
      if (written) tail.append(terminal);
      else await backfillFromArchive(runtime.db, tail);
      // Where another process has the run, or nobody, the clockwork sees to the readers (remote.ts).
      if (tail.closed) runtime.log.drop(run.id);
      runtime.feed.publish({ type: 'RunChanged', conversationId: run.conversationId, runId: run.id });
      if (next) launchPromoted(runtime, next);
      return;
    } catch (error) {
      runtime.logger.error({ err: error, runId: run.id, attempt }, 'a run could not be closed');
      if (attempt === attempts) break;
      await sleep(100 * 2 ** attempt);
    }
  }
  const failure: Failure = { code: 'INTERNAL', message: 'The turn could not be saved.', retryable: true };
  tail.append(terminalEvent(run.id, terminal.seq, { status: 'FAILED', failure }));
  runtime.log.drop(run.id);
}

async function isLive(tx: Prisma.TransactionClient, runId: string): Promise<boolean> {
  return (await tx.run.count({ where: { id: runId, status: { in: ['QUEUED', 'RUNNING', 'REQUIRES_ACTION'] } } })) > 0;
}

/** The last event of a run. */
export function terminalEvent(runId: string, seq: number, end: RunEnd): RunEvent {
  const payload: RunEventPayload =
    end.status === 'FAILED'
      ? { type: 'RunFailed', failure: end.failure }
      : { type: end.status === 'COMPLETED' ? 'RunCompleted' : 'RunCancelled' };
  return { ...payload, seq, runId, at: Date.now() };
}

/**
 * Writes the end of a run that this process holds. The conversation's row is locked first: startRun takes the same
 * lock before it looks whether the conversation is busy.
 * @returns false, with nothing written, where another process has ended it already
 */
async function closeRun(
  tx: Prisma.TransactionClient,
  runtime: RunScheduler,
  run: Run,
  agentId: string | null,
  events: readonly RunEvent[],
  end: RunEnd,
): Promise<boolean> {
  await tx.conversation.updateMany({ where: { id: run.conversationId }, data: { updatedAt: new Date() } });
  const closed = await tx.run.updateMany({
    where: { id: run.id, leaseOwner: runtime.instanceId, status: 'RUNNING' },
    data: { ...endedRunColumns(end, events.at(-1)?.seq ?? 0), agentId },
  });
  if (closed.count === 0) return false;
  await saveArchive(tx, run.id, events);
  return true;
}

/**
 * Closes what a run has left open: its text is kept as PARTIAL, its tool calls are CANCELLED.
 * @param unsaved text that is newer than its row
 * @param why what is said of its tool calls
 */
export async function cancelUnfinishedRows(
  tx: Prisma.TransactionClient,
  runId: string,
  unsaved: { readonly messageId: string; readonly content: string } | null,
  why = 'The turn was stopped.',
): Promise<void> {
  if (unsaved) {
    await tx.message.updateMany({
      where: { id: unsaved.messageId, status: 'STREAMING' },
      data: { content: unsaved.content },
    });
  }
  await tx.message.updateMany({ where: { runId, status: 'STREAMING' }, data: { status: 'PARTIAL' } });
  await tx.toolCall.updateMany({
    where: { runId, status: { in: ['PENDING', 'AWAITING_APPROVAL', 'RUNNING'] } },
    data: { status: 'CANCELLED', error: why, finishedAt: new Date() },
  });
}

/** The columns of a run that has ended. */
export function endedRunColumns(end: RunEnd, lastSeq: number) {
  return {
    status: end.status,
    errorCode: end.failure?.code ?? null,
    errorMessage: end.failure?.message ?? null,
    errorRetryable: end.failure?.retryable ?? null,
    lastSeq,
    finishedAt: new Date(),
    leaseOwner: null,
    leaseExpiresAt: null,
    actionExpiresAt: null,
  };
}

/**
 * Gives the conversation to the next run in its queue. The caller holds the lock on the conversation's row.
 * @returns the run, now RUNNING with the lease of this process, or null
 */
export async function promoteNext(
  tx: Prisma.TransactionClient,
  runtime: RunScheduler,
  conversationId: string,
): Promise<Run | null> {
  // What waits then is taken up by another process, or by the next one here (recover.ts).
  while (!runtime.closing) {
    const next = await tx.run.findFirst({ where: { conversationId, status: 'QUEUED' }, orderBy: { number: 'asc' } });
    if (!next) return null;
    const leased = {
      status: 'RUNNING',
      startedAt: new Date(),
      leaseOwner: runtime.instanceId,
      leaseExpiresAt: new Date(Date.now() + leaseMs),
    } as const;
    // It may have been cancelled since it was read: that does not take the lock (cancel.ts).
    const { count } = await tx.run.updateMany({ where: { id: next.id, status: 'QUEUED' }, data: leased });
    if (count > 0) return { ...next, ...leased };
  }
  return null;
}

/** Starts a run that came out of the queue, for the user who asked for it. */
export function launchPromoted(runtime: RunScheduler, run: Run): void {
  const stored = storedTurn.parse(run.input);
  const viewer: Viewer = { userId: run.userId, tenantId: run.tenantId, roles: stored.roles, expiresAt: Infinity };
  runtime.launch({ viewer, run, stored });
  runtime.feed.publish({ type: 'RunChanged', conversationId: run.conversationId, runId: run.id });
}
