import { setTimeout as sleep } from 'node:timers/promises';
import type { TurnToolCall } from '../../engine/events.ts';
import type { PausedTurn } from '../../engine/paused-turn.ts';
import type { Prisma } from '../../generated/prisma/client.ts';
import type { RunEvent } from '../../log/event.ts';
import { saveArchive } from '../archive.ts';
import { writePauseState } from '../frozen-turn.ts';
import type { PlannedTurn } from '../plan/plan-turn.ts';
import type { ActiveRun, RunScheduler } from '../scheduler.ts';
import type { RunRecorder } from './recorder.ts';

/** A turn that has come to wait for a person. */
export interface Pause {
  readonly turn: PlannedTurn;
  /** The calls to decide on. */
  readonly waiting: readonly TurnToolCall[];
  readonly paused: PausedTurn;
}

const attempts = 3;

/**
 * Lets a run wait: what it goes on from, its calls and its events so far in one transaction, and after that, and only
 * then, the events that ask for approval. Whoever reads one of them can answer it, on any instance. From here on no
 * process holds the run.
 *
 * @returns false, with nothing written, where it may not wait: it is to be cancelled, or another process has ended it
 * @throws when the database does not take it
 */
export async function pauseRun(
  runtime: RunScheduler,
  active: ActiveRun,
  recorder: RunRecorder,
  { turn, waiting, paused }: Pause,
): Promise<boolean> {
  const { run } = active;
  const tail = runtime.log.open(run.id);
  const at = Date.now();
  const requested = waiting.map((toolCall, index): RunEvent => {
    const seq = tail.lastSeq + 1 + index;
    return { type: 'ApprovalRequested', toolCall, seq, runId: run.id, at };
  });
  const events = [...tail.events, ...requested];
  const lastSeq = events.at(-1)?.seq ?? 0;
  const state = writePauseState(turn, waiting, paused, runtime.agents.defaults.llm.endpoint);
  recorder.closing = true;
  await recorder.settle();

  for (let attempt = 1; ; attempt++) {
    try {
      active.paused = await runtime.db.$transaction(async (tx) => {
        // The conversation's row first, as everywhere.
        await tx.conversation.updateMany({ where: { id: run.conversationId }, data: { updatedAt: new Date() } });
        const { count } = await tx.run.updateMany({
          where: {
            id: run.id,
            leaseOwner: runtime.instanceId,
            status: 'RUNNING',
            cancelRequestedAt: null,
            // Not once more where it has waited, and has gone on here since.
            lastSeq: { lt: lastSeq },
          },
          data: {
            status: 'REQUIRES_ACTION',
            leaseOwner: null,
            leaseExpiresAt: null,
            actionExpiresAt: new Date(Date.now() + runtime.approvalTtlSeconds * 1000),
            lastSeq,
            agentId: recorder.agentId,
          },
        });
        if (count === 0) return hasPaused(tx, run.id, lastSeq);
        await tx.toolCall.createMany({ data: waiting.map((call) => recorder.rowOf(call)) });
        await saveArchive(tx, run.id, events);
        await tx.$executeRaw`INSERT INTO run_pauses (run_id, state) VALUES (${run.id}::uuid, ${state}::jsonb)`;
        return true;
      });
      break;
    } catch (error) {
      if (attempt === attempts) throw error;
      runtime.logger.error({ err: error, runId: run.id, attempt }, 'a run could not be paused');
      await sleep(100 * 2 ** attempt);
    }
  }
  if (!active.paused) return false;
  // Filled, not appended: whoever was quick to answer has filled it already (approve.ts).
  tail.fill(requested);
  runtime.feed.publish({ type: 'RunChanged', conversationId: run.conversationId, runId: run.id });
  return true;
}

/** Whether the pause was written before, by a transaction whose answer was lost: the run waits, or has gone on since. */
async function hasPaused(tx: Prisma.TransactionClient, runId: string, lastSeq: number): Promise<boolean> {
  const count = await tx.run.count({
    where: { id: runId, status: { in: ['REQUIRES_ACTION', 'RUNNING'] }, lastSeq: { gte: lastSeq } },
  });
  return count > 0;
}
