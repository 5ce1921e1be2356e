import { randomUUIDv7 } from 'node:crypto';
import { SwitchboardError } from '../../api/errors.ts';
import { withoutCounting } from '../../database/statements.ts';
import type { RunPlan } from '../../engine/plan.ts';
import type { TurnPorts } from '../../engine/ports.ts';
import { runTurn } from '../../engine/run-turn.ts';
import { historyOfFirst, loadHistory } from '../plan/history.ts';
import { type CompiledTurn, compileTurn, conversationForTurn, type PlannedTurn } from '../plan/plan-turn.ts';
import type { ActiveRun, RunScheduler } from '../scheduler.ts';
import { finishRun, type RunEnd } from './finish.ts';
import { type Pause, pauseRun } from './pause.ts';
import { RunRecorder } from './recorder.ts';
import { resumeTurn } from './resume.ts';

/**
 * Carries out a run from its first event, or from its pause, to its last or to its next pause: the engine's events are
 * written down, then given to the log. Detached: nothing of it hangs on a socket or on the operation that started it.
 * @returns when the rows are written and every reader can read the last event
 */
export function executeRun(runtime: RunScheduler, active: ActiveRun): Promise<void> {
  return withoutCounting(async () => {
    const recorder = new RunRecorder(runtime, active);
    active.recorder = recorder;
    // What was before a pause is in the rows as it is in the log. Said before anything is awaited: it is asked for at once.
    if (active.resumed) recorder.noteCheckpoint(runtime.log.open(active.run.id).lastSeq);
    const came = await carryOut(runtime, active, recorder);
    if (!('waiting' in came)) return finishRun(runtime, active, recorder, came);
    const end = await tryPause(runtime, active, recorder, came);
    if (end) await finishRun(runtime, active, recorder, end);
  });
}

/** Lets a run wait. @returns null, or how it ends instead */
async function tryPause(
  runtime: RunScheduler,
  active: ActiveRun,
  recorder: RunRecorder,
  pause: Pause,
): Promise<RunEnd | null> {
  try {
    // Where it may not wait, somebody has asked for its end.
    return (await pauseRun(runtime, active, recorder, pause)) ? null : { status: 'CANCELLED', failure: null };
  } catch (error) {
    runtime.logger.error({ err: error, runId: active.run.id }, 'a run could not be paused');
    recorder.broken = true;
    const failure = { code: 'INTERNAL', message: 'The turn could not be saved.', retryable: true } as const;
    return { status: 'FAILED', failure };
  }
}

async function carryOut(runtime: RunScheduler, active: ActiveRun, recorder: RunRecorder): Promise<RunEnd | Pause> {
  const { run, controller } = active;
  const { log } = runtime;
  try {
    const { turn, plan } = active.resumed
      ? await resumeTurn(runtime, active.viewer, active.resumed, controller.signal)
      : await beginTurn(runtime, active);
    recorder.agentId = turn.startAgentId;
    for await (const event of runTurn(plan, portsOf(runtime, active, turn), controller.signal)) {
      switch (event.type) {
        case 'textDelta':
        case 'reasoningDelta':
          log.append(run.id, recorder.recordDelta(event));
          break;
        case 'turnPaused':
          return { turn, waiting: event.waiting, paused: event.paused };
        case 'turnCompleted':
          return { status: 'COMPLETED', failure: null };
        case 'turnCancelled':
          return { status: 'CANCELLED', failure: null };
        case 'turnFailed':
          if (event.cause !== undefined) {
            runtime.logger.warn(
              { runId: run.id, code: event.failure.code, cause: describeCause(event.cause) },
              'a turn failed',
            );
          }
          return { status: 'FAILED', failure: event.failure };
        default: {
          const payload = await recorder.record(event);
          if (payload) log.append(run.id, payload);
        }
      }
    }
    throw new Error('The engine ended without an end.');
  } catch (error) {
    controller.abort(error);
    recorder.broken = true;
    if (error instanceof SwitchboardError) {
      // What was there when the turn was asked for, and is not when it begins: its agent, say. Nothing of it is broken.
      runtime.logger.info({ runId: run.id, code: error.code }, 'a turn could not begin');
      return { status: 'FAILED', failure: { code: 'INTERNAL', message: error.message, retryable: false } };
    }
    runtime.logger.error({ err: error, runId: run.id }, 'a turn could not be carried out');
    const message = 'The turn failed for a reason of the server.';
    return { status: 'FAILED', failure: { code: 'INTERNAL', message, retryable: true } };
  }
}

/** Tells the readers that the turn begins, and reads what it begins with. */
async function beginTurn(runtime: RunScheduler, active: ActiveRun): Promise<{ turn: PlannedTurn; plan: RunPlan }> {
  const { run, first } = active;
  const turn = active.turn ?? (await compileQueued(runtime, active));
  const { agents, startAgentId, routing } = turn;
  runtime.log.append(run.id, { type: 'RunStarted', userMessageId: run.userMessageId });
  runtime.log.append(run.id, { type: 'RoutingDecided', decision: routing });
  const history = first
    ? historyOfFirst(first, runtime.historyTokens)
    : await loadHistory(runtime.db, run, runtime.historyTokens, agents);
  return { turn, plan: { agents, startAgentId, history, limits: runtime.limits, resumed: null } };
}

async function compileQueued(runtime: RunScheduler, active: ActiveRun): Promise<CompiledTurn> {
  const conversation = await runtime.db.conversation.findUniqueOrThrow({
    where: { id: active.run.conversationId },
    include: conversationForTurn,
  });
  active.turn = await compileTurn(active.viewer, runtime, conversation, active.stored);
  const { startAgentId: toAgentId, routing } = active.turn;
  await runtime.db.$transaction([
    // The conversation's row first, as everywhere.
    runtime.db.conversation.updateMany({
      where: { id: conversation.id },
      data: { activeAgentId: toAgentId, ...(active.stored.agentId !== null && { followsDefault: false }) },
    }),
    runtime.db.run.updateMany({ where: { id: active.run.id }, data: { agentId: toAgentId, routingDecision: routing } }),
  ]);
  const { id: conversationId, activeAgentId: fromAgentId } = conversation;
  if (fromAgentId !== toAgentId) {
    runtime.feed.publish({ type: 'AgentSwitched', conversationId, fromAgentId, toAgentId, reason: routing.reasoning });
  }
  return active.turn;
}

function portsOf(runtime: RunScheduler, { viewer, run }: ActiveRun, turn: PlannedTurn): TurnPorts {
  return {
    model: runtime.model,
    tools: {
      check: ({ name, arguments: args }) => {
        const tool = turn.tools.get(name);
        return tool ? tool.check(args, viewer) : notFoundOrForbidden(turn, name);
      },
      call: async (call, { agentId, signal }) => {
        const tool = turn.tools.get(call.name);
        if (!tool) return { ok: false, error: notFoundOrForbidden(turn, call.name) };
        if (turn.changedCalls?.has(call.id)) {
          return { ok: false, error: 'The tool was changed since it was approved.' };
        }
        return tool.call(call.arguments, {
          viewer,
          db: runtime.db,
          conversationId: run.conversationId,
          runId: run.id,
          callId: call.id,
          agentName: turn.agents.get(agentId)?.name ?? null,
          signal,
        });
      },
    },
    newId: () => randomUUIDv7(),
    now: () => new Date(),
  };
}

function notFoundOrForbidden({ absent }: PlannedTurn, name: string): string {
  return absent?.get(name) ?? `There is no tool named ${name}.`;
}

/** Names a failure for the log: what providers and tools say may hold text of the user, so it stays out. */
function describeCause(cause: unknown): Record<string, unknown> {
  if (!(cause instanceof Error)) return { name: typeof cause };
  const inner = cause.cause instanceof Error ? { cause: describeCause(cause.cause) } : {};
  const status = 'status' in cause && typeof cause.status === 'number' ? { status: cause.status } : {};
  return { name: cause.name, ...status, ...inner };
}
