import type { Viewer } from '../../auth/viewer.ts';
import type { RunPlan } from '../../engine/plan.ts';
import { describeDecidedCalls } from '../../engine/requested-calls.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { searchToolName } from '../../knowledge/cite/search-result.ts';
import type { TurnSources } from '../../knowledge/cite/turn-sources.ts';
import type { PlannedTurn } from '../planned-turn.ts';
import type { ResumedRun, RunRuntime } from '../runtime.ts';
import { restoreTurn } from './restore-turn.ts';

/** The run that continues. */
interface Continuation {
  readonly run: Run;
  /** Stops the lookup; the turn that is returned then is stopped before it does anything. */
  readonly signal: AbortSignal;
  /** Is given what the turn has found before its pause, which it may cite. */
  readonly sources: TurnSources;
}

/**
 * Restores a turn from the state of its pause (restore-turn.ts), to continue with the calls that a person has decided on.
 */
export async function resumeTurn(
  runtime: RunRuntime,
  viewer: Viewer,
  { state, decisions }: ResumedRun,
  { signal, run, sources }: Continuation,
): Promise<{ turn: PlannedTurn; plan: RunPlan }> {
  const { paused } = state;
  if (state.agents.some(({ tools }) => tools.some(({ name }) => name === searchToolName))) {
    const searches = { runId: run.id, name: searchToolName, status: 'SUCCEEDED' } as const;
    for (const call of await runtime.db.toolCall.findMany({ where: searches })) sources.note(call);
  }
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
