import type { Viewer } from '../../auth/viewer.ts';
import type { RunPlan } from '../../engine/plan.ts';
import { describeDecidedCalls } from '../../engine/requested-calls.ts';
import type { PlannedTurn } from '../planned-turn.ts';
import type { ResumedRun, RunRuntime } from '../runtime.ts';
import { restoreTurn } from './restore-turn.ts';

/**
 * Restores a turn from the state of its pause (restore-turn.ts), to continue with the calls that a person has decided on.
 * @param signal stops the lookup; the turn that is returned then is stopped before it does anything
 */
export async function resumeTurn(
  runtime: RunRuntime,
  viewer: Viewer,
  { state, decisions }: ResumedRun,
  signal: AbortSignal,
): Promise<{ turn: PlannedTurn; plan: RunPlan }> {
  const { paused } = state;
  const calls = paused.calls.filter(({ id }) => decisions.get(id)?.approved);
  const turn = await restoreTurn(
    runtime,
    viewer,
    { ...state, startAgentId: paused.agentId, calls, orchestration: null },
    signal,
  );
  const { agents, startAgentId } = turn;
  const toolCalls = describeDecidedCalls(paused, decisions);
  const limits = limitsFrom(runtime, paused.step);
  return {
    turn,
    plan: { agents, startAgentId, history: paused.history, limits, resumed: { paused, decisions, toolCalls } },
  };
}

/** The limits of a turn that continues at a step: if the limit was lowered since it began, that step is still carried out. */
export function limitsFrom({ limits }: RunRuntime, step: number): RunPlan['limits'] {
  return { ...limits, maxSteps: Math.max(limits.maxSteps, step + 1) };
}
