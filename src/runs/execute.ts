import { randomUUIDv7 } from 'node:crypto';
import { withoutTally } from '../database/statements.ts';
import type { RunPlan } from '../engine/plan.ts';
import type { TurnPorts } from '../engine/ports.ts';
import { runTurn } from '../engine/run-turn.ts';
import { SwitchboardError } from '../errors.ts';
import { callTool } from '../tools/registry.ts';
import { type CompiledTurn, compileTurn, conversationForTurn } from './compile.ts';
import { finishRun, type RunEnd } from './finish.ts';
import { historyOfFirst, loadHistory } from './history.ts';
import type { ActiveRun, RunHost } from './host.ts';
import { RunRecorder } from './record.ts';

/**
 * Carries out a run from its first event to its last: the engine's events are written down, then given to the log.
 * Detached: nothing of it hangs on a socket or on the operation that started it.
 * @returns when the rows are written and every reader can read the terminal event
 */
export function executeRun(host: RunHost, active: ActiveRun): Promise<void> {
  return withoutTally(async () => {
    const recorder = new RunRecorder(host, active);
    active.recorder = recorder;
    const end = await carryOut(host, active, recorder);
    await finishRun(host, active, recorder, end);
  });
}

async function carryOut(host: RunHost, active: ActiveRun, recorder: RunRecorder): Promise<RunEnd> {
  const { run, controller } = active;
  const { log } = host;
  try {
    const turn = active.turn ?? (await compileQueued(host, active));
    recorder.agentId = turn.startAgentId;
    log.append(run.id, { type: 'RunStarted', userMessageId: run.userMessageId });
    log.append(run.id, { type: 'RoutingDecided', decision: turn.routing });
    const plan: RunPlan = {
      agents: turn.agents,
      startAgentId: turn.startAgentId,
      history: active.first
        ? historyOfFirst(active.first, host.historyTokens)
        : await loadHistory(host.db, run, host.historyTokens),
      limits: host.limits,
    };
    for await (const event of runTurn(plan, portsOf(host, active, turn), controller.signal)) {
      switch (event.type) {
        case 'textDelta':
        case 'reasoningDelta':
          log.append(run.id, recorder.recordDelta(event));
          break;
        case 'turnCompleted':
          return { status: 'COMPLETED', failure: null };
        case 'turnCancelled':
          return { status: 'CANCELLED', failure: null };
        case 'turnFailed':
          if (event.cause !== undefined) {
            host.logger.warn(
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
    host.logger.error({ err: error, runId: run.id }, 'a turn could not be carried out');
    controller.abort(error);
    recorder.broken = true;
    const message = error instanceof SwitchboardError ? error.message : 'The turn failed for a reason of the server.';
    return { status: 'FAILED', failure: { code: 'INTERNAL', message, retryable: true } };
  }
}

async function compileQueued(host: RunHost, active: ActiveRun): Promise<CompiledTurn> {
  const conversation = await host.db.conversation.findUniqueOrThrow({
    where: { id: active.run.conversationId },
    include: conversationForTurn,
  });
  active.turn = await compileTurn(active.viewer, host.db, conversation, active.stored, host.endpoint);
  const { startAgentId: toAgentId, routing } = active.turn;
  await host.db.$transaction([
    // The conversation's row first, as everywhere.
    host.db.conversation.updateMany({ where: { id: conversation.id }, data: { activeAgentId: toAgentId } }),
    host.db.run.updateMany({ where: { id: active.run.id }, data: { agentId: toAgentId, routingDecision: routing } }),
  ]);
  const { id: conversationId, activeAgentId: fromAgentId } = conversation;
  if (fromAgentId !== toAgentId) {
    host.feed.publish({ type: 'AgentSwitched', conversationId, fromAgentId, toAgentId, reason: routing.reasoning });
  }
  return active.turn;
}

function portsOf(host: RunHost, { viewer, run }: ActiveRun, turn: CompiledTurn): TurnPorts {
  return {
    model: host.model,
    tools: {
      call: (call, { agentId, signal }) =>
        callTool(call.name, call.arguments, {
          viewer,
          db: host.db,
          conversationId: run.conversationId,
          agentName: turn.agents.get(agentId)?.name ?? null,
          signal,
        }),
    },
    newId: () => randomUUIDv7(),
    now: () => new Date(),
  };
}

/** Names a failure for the log: what providers and tools say may hold text of the user, so it stays out. */
function describeCause(cause: unknown): Record<string, unknown> {
  if (!(cause instanceof Error)) return { name: typeof cause };
  const inner = cause.cause instanceof Error ? { cause: describeCause(cause.cause) } : {};
  const status = 'status' in cause && typeof cause.status === 'number' ? { status: cause.status } : {};
  return { name: cause.name, ...status, ...inner };
}
