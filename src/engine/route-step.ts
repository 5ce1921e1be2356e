import type { TurnEvent } from './events.ts';
import type { TextGuard, TurnGuard } from './guard.ts';
import { checkInput, type InputWatch } from './guarded-step.ts';
import type { HistoryItem } from './ports.ts';
import type { TurnRouter } from './routing.ts';

/** The choice of the agent with which a turn begins. */
interface RouteStep {
  readonly router: TurnRouter;
  /** The agent that would answer without the choice. */
  readonly agentId: string;
  readonly history: HistoryItem[];
  readonly guarded: { readonly guard: TurnGuard; readonly watch: InputWatch } | null;
}

/**
 * Lets the router choose the agent with which the turn begins. The guardrails check the text of the user first: those of the
 * agent that would answer without the choice, and those of the classifier.
 * @returns the row id of the chosen agent
 * @throws {ModelError} if a guardrail stops the turn
 * @throws the signal's reason if it is aborted
 */
export async function* routeTurn(
  { router, agentId, history, guarded }: RouteStep,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, string, void> {
  const step = 0;
  if (guarded) {
    yield* checkInput({ ...guarded, agentId, step, history }, signal);
    const { classifierAgentId } = router;
    if (classifierAgentId !== null)
      yield* checkInput({ ...guarded, agentId: classifierAgentId, step, history }, signal);
  }
  const routed = await router.route(history, signal);
  if (routed.call) yield { type: 'modelCalled', call: { ...routed.call, step, timeToFirstTokenMs: null } };
  signal.throwIfAborted();
  const { rootAgentId } = routed.decision;
  const output = routed.call === null ? null : (guarded?.guard.openOutput(rootAgentId) ?? null);
  const reasoning = output ? await checkReasoning(output, routed.decision.reasoning, signal) : null;
  const decision = reasoning === null ? routed.decision : { ...routed.decision, reasoning };
  yield { type: 'agentRouted', routed: { ...routed, decision } };
  return rootAgentId;
}

/** What a classifier writes is shown to the user like an answer: what the guardrails of answers do not let pass is withheld. */
async function checkReasoning(output: TextGuard, reasoning: string, signal: AbortSignal): Promise<string> {
  const reports = [await output.push(reasoning, signal), await output.end(signal)];
  const isFlagged = output.isRedacted || reports.some(({ blockedBy }) => blockedBy !== null);
  return isFlagged ? 'A guardrail withholds the reason of the classifier.' : reasoning;
}
