import type { Prisma, Run } from '../../generated/prisma/client.ts';
import type { RunEvent, RunEventPayload } from '../../log/event.ts';
import { saveArchive } from '../archive.ts';
import { cancelWaiting } from '../commands/cancel.ts';
import {
  cancelUnfinishedRows,
  endedRunColumns,
  launchPromoted,
  promoteNext,
  type RunEnd,
  terminalEvent,
} from '../execute/finish.ts';
import { readRoutingDecision } from '../read/read.ts';
import { interrupted, type RunScheduler } from '../scheduler.ts';
import { readStoredCall } from '../stored-call.ts';

const batch = 100;

/**
 * The events of a run whose process died begin again here. No live run gets that far, so whatever a reader has seen of
 * it, all of these come after it.
 */
const recoveredSeq = 1_000_000_000;

/**
 * Ends the runs that no process carries out any more: FAILED with INTERRUPTED, their text kept as PARTIAL, their open
 * tool calls CANCELLED. Then the next in their queues go on, and those that wait for nobody any more. Runs that have
 * waited for a person for too long are cancelled.
 * @param options.all also those whose lease still holds: at start, where no other process can be on the database
 */
export async function recoverRuns(runtime: RunScheduler, options: { readonly all: boolean }): Promise<void> {
  // Leases are renewed by the database's clock, so they end by it.
  const [clock] = await runtime.db.$queryRaw<{ now: Date }[]>`SELECT now() AS now`;
  const now = clock?.now ?? new Date();
  let ended: number;
  do {
    const dead = await runtime.db.run.findMany({
      where: {
        // One that waits for a person is held by no process: none can have left it behind.
        status: 'RUNNING',
        ...(options.all ? {} : { leaseExpiresAt: { lt: now } }),
        id: { notIn: [...runtime.active.keys()] },
      },
      take: batch,
    });
    ended = 0;
    for (const run of dead) if (await tryFor(runtime, run.id, () => endDeadRun(runtime, run))) ended++;
    // A run that cannot be ended is tried again in the next round; it holds nobody up.
    if (dead.length < batch) break;
  } while (ended > 0);
  await expireWaiting(runtime, now);
  await promoteStranded(runtime);
}

/** Cancels the runs that have waited for a person for too long. */
async function expireWaiting(runtime: RunScheduler, now: Date): Promise<void> {
  // By place, not by what is left: a run that cannot be cancelled stays, and must not be in the way of the others.
  let after: { readonly actionExpiresAt: Date | null; readonly id: string } | null = null;
  for (;;) {
    const expired: { readonly actionExpiresAt: Date | null; readonly id: string }[] = await runtime.db.run.findMany({
      where: {
        status: 'REQUIRES_ACTION',
        actionExpiresAt: { lte: now },
        ...(after?.actionExpiresAt && {
          OR: [
            { actionExpiresAt: { gt: after.actionExpiresAt } },
            { actionExpiresAt: after.actionExpiresAt, id: { gt: after.id } },
          ],
        }),
      },
      orderBy: [{ actionExpiresAt: 'asc' }, { id: 'asc' }],
      take: batch,
      select: { id: true, actionExpiresAt: true },
    });
    for (const { id } of expired) {
      await tryFor(runtime, id, () =>
        cancelWaiting(runtime, id, { why: 'Nobody decided on it in time.', expiredAt: now }),
      );
    }
    after = expired.at(-1) ?? null;
    if (expired.length < batch) return;
  }
}

/** One row that makes trouble must not keep the others, or the server, from starting. */
async function tryFor(runtime: RunScheduler, runId: string, work: () => Promise<boolean>): Promise<boolean> {
  try {
    return await work();
  } catch (error) {
    runtime.logger.error({ err: error, runId }, 'a run that was left behind could not be taken care of');
    return false;
  }
}

/** Starts the queues of conversations in which nothing runs: the process that ran the last turn stopped after it. */
async function promoteStranded(runtime: RunScheduler): Promise<void> {
  const stranded = await runtime.db.run.findMany({
    where: {
      status: 'QUEUED',
      conversation: { runs: { none: { status: { in: ['RUNNING', 'REQUIRES_ACTION'] } } } },
    },
    orderBy: { number: 'asc' },
    distinct: ['conversationId'],
    take: batch,
  });
  for (const { id, conversationId } of stranded) {
    await tryFor(runtime, id, async () => {
      const next = await runtime.db.$transaction(async (tx) => {
        await tx.$queryRaw`SELECT 1 FROM conversations WHERE id = ${conversationId}::uuid FOR UPDATE`;
        const running = await tx.run.count({
          where: { conversationId, status: { in: ['RUNNING', 'REQUIRES_ACTION'] } },
        });
        return running > 0 ? null : promoteNext(tx, runtime, conversationId);
      });
      if (next) launchPromoted(runtime, next);
      return next !== null;
    });
  }
}

/** @returns whether it was ended; not where another process was faster */
async function endDeadRun(runtime: RunScheduler, run: Run): Promise<boolean> {
  const { closed, next } = await runtime.db.$transaction(async (tx) => {
    // The same lock that startRun and finishRun take first; then a look whether somebody else was faster.
    await tx.conversation.updateMany({ where: { id: run.conversationId }, data: { updatedAt: new Date() } });
    const end: RunEnd = { status: 'FAILED', failure: interrupted };
    const closed = await tx.run.updateMany({
      where: { id: run.id, status: run.status, leaseOwner: run.leaseOwner, leaseExpiresAt: run.leaseExpiresAt },
      data: endedRunColumns(end, 0),
    });
    if (closed.count === 0) return { closed: false, next: null };
    await cancelUnfinishedRows(tx, run.id, null);
    const events = await rebuildEvents(tx, run);
    const terminal = terminalEvent(run.id, Math.max(recoveredSeq, (events.at(-1)?.seq ?? 0) + 1), end);
    await saveArchive(tx, run.id, [...events, terminal]);
    await tx.run.updateMany({ where: { id: run.id }, data: { lastSeq: terminal.seq } });
    return { closed: true, next: await promoteNext(tx, runtime, run.conversationId) };
  });
  if (!closed) return false;
  runtime.logger.warn({ runId: run.id }, 'ended a run that its process left behind');
  runtime.feed.publish({ type: 'RunChanged', conversationId: run.conversationId, runId: run.id });
  if (next) launchPromoted(runtime, next);
  return true;
}

/**
 * The events of a run out of its rows. RunStarted and RoutingDecided are the first, as they were; all others come after
 * anything that a reader may have seen. Applied over it they give what the rows hold: a TextDelta at
 * offset 0 replaces the text.
 */
async function rebuildEvents(tx: Prisma.TransactionClient, run: Run): Promise<RunEvent[]> {
  const where = { runId: run.id };
  const messages = await tx.message.findMany({
    where: { ...where, step: { not: null } },
    orderBy: { position: 'asc' },
  });
  const calls = await tx.toolCall.findMany({ where, orderBy: [{ step: 'asc' }, { index: 'asc' }] });
  const handoffs = await tx.handoff.findMany({ where, orderBy: { step: 'asc' } });

  const payloads: { readonly step: number; readonly payload: RunEventPayload }[] = [];
  const add = (step: number, ...list: RunEventPayload[]) =>
    payloads.push(...list.map((payload) => ({ step, payload })));
  for (const { id: messageId, step, agentId, content } of messages) {
    if (agentId !== null) add(step ?? 0, { type: 'MessageStarted', messageId, agentId });
    add(
      step ?? 0,
      { type: 'TextDelta', messageId, offset: 0, delta: content },
      // A reader that has seen more than was saved takes it back.
      { type: 'TextRetracted', messageId, length: content.length },
      { type: 'MessageCompleted', messageId },
    );
  }
  for (const row of calls) {
    const call = readStoredCall(row);
    if (!call) continue;
    const started = { ...call, status: 'RUNNING', result: null, error: null, finishedAt: null } as const;
    // One that was denied, or for which nobody came, was never begun.
    if (call.startedAt !== null) add(call.step, { type: 'ToolCallStarted', toolCall: started });
    add(call.step, { type: 'ToolCallCompleted', toolCall: call });
  }
  for (const { step, fromAgentId, toAgentId, reason, at } of handoffs) {
    add(step, { type: 'HandoffOccurred', fromAgentId, toAgentId, reason, happenedAt: at });
  }
  payloads.sort((a, b) => a.step - b.step);

  const at = Date.now();
  const began: RunEvent[] = [{ type: 'RunStarted', userMessageId: run.userMessageId, seq: 1, runId: run.id, at }];
  const decision = readRoutingDecision(run.routingDecision);
  if (decision) began.push({ type: 'RoutingDecided', decision, seq: 2, runId: run.id, at });
  return [
    ...began,
    ...payloads.map(({ payload }, index) => ({ ...payload, seq: recoveredSeq + index, runId: run.id, at })),
  ];
}
