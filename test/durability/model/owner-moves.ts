import { beginCall, completeCall, insertCalls, prepareTakeover } from '../../../src/runs/execute/run-rows.ts';
import { LeaseLost } from '../../../src/runs/lease.ts';
import type { RunEnd } from '../../../src/runs/run-end.ts';
import type { RunRuntime } from '../../../src/runs/runtime.ts';
import { endRun } from '../../../src/runs/transitions/end-run.ts';
import { pauseRun } from '../../../src/runs/transitions/pause-run.ts';
import type { Move } from './move.ts';
import { answerOf, archiveOf, callOf, ledgerOf, pauseStateOf } from './payloads.ts';
import { type Held, type Memory, openRuntime, type ProcessName, type World } from './world.ts';
/** What the owner of a run does next with it. */
export function listOwnerMoves(memory: Memory, process: ProcessName): Move[] {
  return [...memory.processes[process].held].flatMap(([number, { phase, fresh }]): Move[] => {
    // Nothing leaves the process while it does not believe in its lease (lease.ts, confirm).
    if (phase === 'send' && !fresh) return [];
    const file = phase === 'pause' ? 'pause-run' : phase === 'end' ? 'end-run' : null;
    const make: Move['make'] = async (world, after) => {
      const held = after.processes[process].held.get(number);
      if (!held) throw new Error(`${process} does not have run ${number}.`);
      try {
        await stepAsOwner(world, after, process, held);
      } catch (error) {
        if (!(error instanceof LeaseLost)) throw error;
        after.processes[process].held.delete(number);
      }
    };
    return [{ name: `${process}: ${phase} of run ${number}`, file, asOwner: { process, number }, make }];
  });
}

async function stepAsOwner(world: World, memory: Memory, process: ProcessName, held: Held): Promise<void> {
  const runtime = openRuntime(world, memory, process);
  const own = memory.processes[process];
  const { run, end } = held;
  const call = callOf(run);
  switch (held.phase) {
    case 'ask':
      await insertCalls(runtime, run, { type: 'callsRequested', toolCalls: [call], transfers: [], state: null });
      held.phase = 'pause';
      return;
    case 'pause': {
      const packed = await archiveOf(run, [{ type: 'ApprovalRequested', toolCall: call }]);
      const expiresAt = new Date(Date.now() + 3_600_000);
      const pause = {
        run,
        agentId: run.agentId,
        calls: [call.id],
        expiresAt,
        ...packed,
        state: pauseStateOf(runtime, run),
      };
      const hasPaused = await runtime.db.$transaction((tx) => pauseRun(tx, runtime, pause));
      if (hasPaused) own.held.delete(run.number);
      else Object.assign(held, { phase: 'end', end: 'CANCELLED' });
      return;
    }
    case 'restore':
      await restore(runtime, held);
      return;
    case 'begin':
      await beginCall(runtime, run, { ...call, status: 'RUNNING', startedAt: new Date() });
      held.phase = 'send';
      return;
    case 'send':
      memory.sent.push(run.leaseEpoch);
      held.phase = 'answer';
      return;
    case 'answer':
      await completeCall(runtime, run, { ...call, status: 'SUCCEEDED', result: {}, finishedAt: new Date() });
      held.phase = 'end';
      return;
    case 'end': {
      const packed = await archiveOf(run, [{ type: 'RunCancelled' }]);
      const agentId = world.newTurn(run.idempotencyKey).turn.startAgentId;
      const { queued } = await endRun(runtime, {
        run,
        agentId: run.agentId,
        end: endOf(end),
        ...packed,
        message: answerOf(run, agentId),
        ledger: ledgerOf(run, agentId),
        incomplete: true,
      });
      // Written or not: it has ended, or it goes on without this process (finish.ts).
      own.held.delete(run.number);
      own.promotes ||= queued;
      if (end === 'CANCELLED') memory.cancelWanted.delete(run.number);
      return;
    }
  }
}

/** As execute/continue-turn.ts: where a run that was taken over goes on is what its rows say. */
async function restore(runtime: RunRuntime, held: Held): Promise<void> {
  const { run } = held;
  const call = await runtime.db.toolCall.findFirst({ where: { runId: run.id } });
  // Nobody knows what became of a call that was under way; it is not made again.
  const unknown = call?.status === 'RUNNING' ? [call.rowId] : [];
  await prepareTakeover(runtime, run, { reopened: null, unknown });
  if (!call) held.phase = 'ask';
  else if (call.status !== 'PENDING') held.phase = 'end';
  else held.phase = call.decidedBy === null ? 'pause' : 'begin';
}

function endOf(status: Held['end']): RunEnd {
  if (status !== 'FAILED') return { status, failure: null };
  return { status, failure: { code: 'MODEL_ERROR', message: 'It failed.', retryable: false } };
}
