import { TurnAborted } from './abort.ts';
import type { TurnEvent } from './events.ts';
import { runModelStep } from './model-step.ts';
import type { PlannedAgent, RunPlan } from './plan.ts';
import { type Failure, type HistoryItem, ModelError, type TurnPorts } from './ports.ts';
import { runToolStep } from './tool-step.ts';

/** What comes after a model step. Closed: a new kind of step is a new member here. */
type NextStep = { readonly kind: 'end' } | { readonly kind: 'step'; readonly agent: PlannedAgent };

/**
 * Runs one turn: model step, tool calls, next step, until an answer without calls. The one loop there is: callers
 * that do not stream drain it.
 *
 * @param plan what the turn knows, frozen
 * @param ports the model, the tools, ids and the clock
 * @param signal stops the turn; with a TurnAborted as its reason it says what the turn ends as
 * @returns the events of the turn. The last is turnCompleted, turnFailed or turnCancelled, whatever happens: the
 *   generator does not throw.
 */
export async function* runTurn(
  plan: RunPlan,
  ports: TurnPorts,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, void, void> {
  const deadline = new AbortController();
  const timer = setTimeout(() => {
    const seconds = plan.limits.runTimeoutMs / 1000;
    deadline.abort(
      new TurnAborted({
        code: 'MODEL_TIMEOUT',
        message: `The turn took longer than ${seconds} seconds.`,
        retryable: true,
      }),
    );
  }, plan.limits.runTimeoutMs);
  const stop = AbortSignal.any([signal, deadline.signal]);

  try {
    yield* runSteps(plan, ports, stop);
    yield { type: 'turnCompleted' };
  } catch (error) {
    yield endOf(stop.aborted ? stop.reason : error);
  } finally {
    clearTimeout(timer);
  }
}

async function* runSteps(plan: RunPlan, ports: TurnPorts, signal: AbortSignal): AsyncGenerator<TurnEvent, void, void> {
  const history: HistoryItem[] = [...plan.history];
  const usedCallIds = new Set<string>();
  let agent = agentOf(plan, plan.startAgentId);

  for (let step = 0; step < plan.limits.maxSteps; step++) {
    const answer = yield* runModelStep({ agent, step, history, limits: plan.limits, usedCallIds }, ports, signal);
    history.push({ role: 'assistant', content: answer.content, calls: answer.calls });

    let next: NextStep = { kind: 'end' };
    if (answer.calls.length > 0) {
      const outcome = yield* runToolStep({ agent, step, calls: answer.calls, limits: plan.limits }, ports, signal);
      history.push(...outcome.results);
      next = { kind: 'step', agent: outcome.handoffTo ? agentOf(plan, outcome.handoffTo) : agent };
    }
    if (next.kind === 'end') return;
    agent = next.agent;
  }
  throw new ModelError({
    code: 'MAX_STEPS_EXCEEDED',
    message: `The turn was still calling tools after ${plan.limits.maxSteps} model steps.`,
    retryable: false,
  });
}

function agentOf(plan: RunPlan, id: string): PlannedAgent {
  const agent = plan.agents.get(id);
  if (!agent) throw new Error(`The plan has no agent ${id}.`);
  return agent;
}

const internal: Failure = { code: 'INTERNAL', message: 'The turn failed for a reason of the server.', retryable: true };

function endOf(error: unknown): TurnEvent {
  if (error instanceof TurnAborted) {
    return error.failure ? { type: 'turnFailed', failure: error.failure } : { type: 'turnCancelled' };
  }
  if (error instanceof ModelError) return { type: 'turnFailed', failure: error.failure, cause: error };
  return { type: 'turnFailed', failure: internal, cause: error };
}
