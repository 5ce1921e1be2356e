import type { TurnEvent } from './events.ts';
import type { TextGuard } from './guard.ts';
import { checkInput, type GuardedTurn } from './guarded-step.ts';
import type { HistoryItem } from './ports.ts';
import { type TurnRouter, withheldReasoning } from './routing.ts';

/** The choice of the agent with which a turn begins. */
interface RouteStep {
  readonly router: TurnRouter;
  /** The agent that would answer without the choice. */
  readonly agentId: string;
  readonly history: HistoryItem[];
  readonly guarded: GuardedTurn | null;
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
  for (const call of routed.calls) yield { type: 'modelCalled', call: { ...call, step, timeToFirstTokenMs: null } };
  signal.throwIfAborted();
  const { rootAgentId } = routed.decision;
  // Other reasons are the server's own.
  const output = routed.basis === 'CLASSIFIER' ? (guarded?.guard.openOutput(rootAgentId) ?? null) : null;
  let { decision } = routed;
  if (output) {
    const { reasoning, calls } = await checkReasoning(output, decision.reasoning, signal);
    for (const call of calls) yield { type: 'modelCalled', call: { ...call, step, timeToFirstTokenMs: null } };
    decision = { ...decision, reasoning };
  }
  yield { type: 'agentRouted', routed: { ...routed, decision } };
  return rootAgentId;
}

/** What a classifier writes is shown to the user like an answer: what the guardrails of answers do not let pass is withheld. */
async function checkReasoning(output: TextGuard, reasoning: string, signal: AbortSignal) {
  const reports = [await output.push(reasoning, signal), await output.end(signal)];
  const isFlagged = output.isRedacted || reports.some(({ blockedBy }) => blockedBy !== null);
  return { reasoning: isFlagged ? withheldReasoning : reasoning, calls: reports.flatMap(({ calls }) => calls) };
}
