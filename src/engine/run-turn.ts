import { TurnAborted } from './abort.ts';
import type { TurnEvent, TurnToolCall } from './events.ts';
import type { TurnGuard } from './guard.ts';
import { checkInput, type GuardedTurn, InputWatch, reportGuards } from './guarded-step.ts';
import { runModelStep } from './model-step.ts';
import type { PausedTurn } from './paused-turn.ts';
import type { PlannedAgent, RunPlan } from './plan.ts';
import { type Failure, type HistoryItem, ModelError, type TurnPorts } from './ports.ts';
import { routeTurn } from './route-step.ts';
import type { SteeringPort } from './steering.ts';
import { runToolStep } from './tool-step.ts';

/** What comes after a model step. The union is closed: a new kind of step is a new member here. */
type NextStep =
  | { readonly kind: 'end' }
  | { readonly kind: 'step'; readonly agent: PlannedAgent }
  | { readonly kind: 'wait'; readonly waiting: readonly TurnToolCall[]; readonly paused: PausedTurn };

/**
 * Runs one turn: model step, tool calls, next step, until an answer without calls. This is the only loop: callers that
 * do not stream drain it, and a paused turn continues in it.
 *
 * @param plan what the turn knows, frozen
 * @param ports the model, the tools, ids and the clock
 * @param signal stops the turn; a TurnAborted as its reason says how the turn ends
 * @param guard the guardrails of the turn; null: it has none
 * @returns the events of the turn. The last one is always turnCompleted, turnFailed, turnCancelled or turnPaused: the
 *   generator does not throw.
 */
export async function* runTurn(
  plan: RunPlan,
  ports: TurnPorts & SteeringPort,
  signal: AbortSignal,
  guard: TurnGuard | null = null,
): AsyncGenerator<TurnEvent, void, void> {
  const { runTimeoutMs } = plan.limits;
  const spentMs = (plan.resumed?.paused ?? plan.retried)?.elapsedMs ?? 0;
  const begunAt = ports.now().getTime();
  const deadline = new AbortController();
  const timer = setTimeout(
    () => {
      const message = `The turn took longer than ${runTimeoutMs / 1000} seconds.`;
      deadline.abort(new TurnAborted({ code: 'MODEL_TIMEOUT', message, retryable: true }));
    },
    Math.max(runTimeoutMs - spentMs, 0),
  );
  const watch = guard && new InputWatch();
  const stop = AbortSignal.any([signal, deadline.signal, ...(watch ? [watch.signal] : [])]);

  try {
    const guarded = guard && watch ? { guard, watch, files: ports.files } : null;
    const last = yield* runSteps(plan, ports, stop, guarded);
    if (last.kind === 'wait') {
      stop.throwIfAborted();
      const elapsedMs = spentMs + ports.now().getTime() - begunAt;
      yield { type: 'turnPaused', waiting: last.waiting, paused: { ...last.paused, elapsedMs } };
    } else {
      yield { type: 'turnCompleted' };
    }
  } catch (error) {
    await watch?.finish(stop);
    if (watch) yield* watch.report();
    yield endOf(watch?.tripped ?? (stop.aborted ? stop.reason : error));
  } finally {
    clearTimeout(timer);
  }
}

async function* runSteps(
  plan: RunPlan,
  ports: TurnPorts & SteeringPort,
  signal: AbortSignal,
  guarded: GuardedTurn | null,
): AsyncGenerator<TurnEvent, Exclude<NextStep, { kind: 'step' }>, void> {
  const { limits, resumed } = plan;
  const history: HistoryItem[] = [...(resumed?.paused.history ?? plan.history)];
  const from = resumed?.paused ?? plan.retried;
  const usedCallIds = new Set(from?.usedCallIds);
  const knownWindows = new Map<string, number>();
  const firstStep = from?.step ?? 0;
  let agent = agentOf(plan, from?.agentId ?? plan.startAgentId);
  if (plan.router) {
    const chosenId = yield* routeTurn({ router: plan.router, agentId: agent.id, history, guarded }, signal);
    agent = agentOf(plan, chosenId);
  }

  for (let step = firstStep; step < limits.maxSteps; step++) {
    ports.onStep?.(step, agent);
    // The step that was paused has its answer already; only its calls are left.
    const since = resumed && step === firstStep ? resumed : null;
    const retried = step === firstStep ? plan.retried : undefined;
    const isReopened = retried?.isReopened === true;
    const lostLength = retried?.lostLength ?? null;
    if (!since) await ports.mayCallModel?.(step);
    if (!since && !isReopened) yield* takeSteering(ports, step, history, signal);
    if (guarded && !since) yield* checkInput({ ...guarded, agentId: agent.id, step, history }, signal);
    const answer = since
      ? { ...since.paused, toolCalls: since.toolCalls }
      : yield* runModelStep(
          { agent, step, history, limits, usedCallIds, knownWindows, isReopened, lostLength, guarded },
          ports,
          signal,
        );
    const state = answer.state ?? null;

    let next: NextStep = { kind: 'end' };
    if (answer.calls.length > 0) {
      const { content, calls, toolCalls } = answer;
      const guard = guarded?.guard ?? null;
      const input = { agent, step, calls, toolCalls, limits, resumed: since, guard };
      const outcome = yield* runToolStep(input, ports, signal);
      if (outcome.kind === 'waiting') {
        const { waiting, outputs } = outcome;
        const paused = { agentId: agent.id, step, history, content, calls, outputs, usedCallIds: [...usedCallIds] };
        next = { kind: 'wait', waiting, paused: { ...paused, state, elapsedMs: 0 } };
      } else {
        const kept = state === null ? {} : { state };
        history.push({ role: 'assistant', content, calls: outcome.calls, ...kept }, ...outcome.results);
        next = { kind: 'step', agent: outcome.handoffTo ? agentOf(plan, outcome.handoffTo) : agent };
      }
    }
    if (next.kind !== 'step') return next;
    agent = next.agent;
  }
  throw new ModelError({
    code: 'MAX_STEPS_EXCEEDED',
    message: `The turn was still calling tools after its limit of ${limits.maxSteps} model steps.`,
    retryable: false,
  });
}

/** Lets the messages that have come since the last step join the turn. Guardrails have checked them before they were stored, and their files when they were read. */
async function* takeSteering(
  { takeSteering: take }: SteeringPort,
  step: number,
  history: HistoryItem[],
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, void, void> {
  if (!take || signal.aborted) return;
  for (const { messageId, content, attached, results, blockedBy = null } of await take(step)) {
    history.push({ role: 'user', content, ...(attached && { attached }), isSteered: true });
    yield { type: 'messageSteered', messageId };
    yield* reportGuards({ results, calls: [], blockedBy }, step);
  }
}

function agentOf(plan: RunPlan, id: string): PlannedAgent {
  const agent = plan.agents.get(id);
  if (!agent) throw new Error(`The plan has no agent ${id}.`);
  return agent;
}

/** The failure of a turn whose cause is the server's own. */
export const internalFailure: Failure = {
  code: 'INTERNAL',
  message: 'The turn failed because of an internal error.',
  retryable: true,
};

function endOf(error: unknown): TurnEvent {
  if (error instanceof TurnAborted) {
    return error.failure ? { type: 'turnFailed', failure: error.failure } : { type: 'turnCancelled' };
  }
  if (error instanceof ModelError) return { type: 'turnFailed', failure: error.failure, cause: error };
  return { type: 'turnFailed', failure: internalFailure, cause: error };
}
