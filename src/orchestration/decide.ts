import type { ModelPort } from '../engine/ports.ts';
import type { Routed, RoutingBasis } from '../engine/routing.ts';
import { type Classification, classify, type SpokenText } from './classify.ts';
import { findHeldConfidence, type LastDecision } from './last-decision.ts';
import type { Candidate, PlannedOrchestration } from './planned.ts';

/** What is decided about. */
export interface RoutingInput {
  /** The message of the user, as the guardrails left it. */
  readonly text: string;
  /** What was said before it, the oldest first. */
  readonly history: readonly SpokenText[];
  /** The row id of the agent that would answer without a decision; null: there is none yet. */
  readonly currentAgentId: string | null;
  /** The last decision of the conversation; null: there is none. */
  readonly last: LastDecision | null;
  /** The names of the tools that an agent may use. */
  readonly toolsOf: (agentId: string) => readonly string[];
}

/** What deciding needs. */
export interface RoutingOptions {
  readonly model: ModelPort;
  /** How long the classifier may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Decides which agent of a scenario answers a message. It always decides: if the classifier fails, is not certain enough, or
 * names nobody of the scenario, the agent that would answer without it does. No model call if there is only one agent, or if
 * the last decision still holds. Stores nothing.
 * @throws the signal's reason if it is aborted, and nothing else
 */
export async function decideRouting(
  planned: PlannedOrchestration,
  input: RoutingInput,
  options: RoutingOptions,
): Promise<Routed> {
  const { candidates, config, classifier, fallbackAgentId } = planned;
  const current = candidates.find(({ id }) => id === input.currentAgentId) ?? null;
  const fallback = current ?? candidates.find(({ id }) => id === fallbackAgentId) ?? candidates[0];
  if (!fallback) throw new Error('No agent can be chosen: there is no candidate.');

  const make = (
    chosen: Candidate,
    basis: RoutingBasis,
    { confidence, reasoning }: { readonly confidence: number; readonly reasoning: string },
    { call, alternatives, problem = null }: Outcome = {},
  ): Routed => ({
    decision: {
      rootAgentId: chosen.id,
      selectedAgentIds: [chosen.id],
      selectedTools: [...input.toolsOf(chosen.id)],
      confidence,
      reasoning,
      alternatives: (alternatives ?? []).map(({ name }) => name),
    },
    basis,
    scenarioId: planned.scenarioId,
    switched: chosen.id !== input.currentAgentId,
    alternativeIds: (alternatives ?? []).map(({ id }) => id),
    calls: call ? [call] : [],
    problem,
  });

  if (candidates.length === 1) {
    return make(fallback, 'ONLY_AGENT', { confidence: 1, reasoning: 'The scenario has no other agent to choose.' });
  }
  const confidence = findHeldConfidence(input.last, {
    currentAgentId: current?.id ?? null,
    threshold: config.threshold,
    lastAnswer: findLastAnswer(input.history),
    text: input.text,
  });
  if (confidence !== null) {
    const reasoning = 'The last decision still holds: the message is a short reply to a question of the agent.';
    return make(fallback, 'LAST_DECISION', { confidence, reasoning });
  }
  if (classifier === null) {
    const problem = 'the agent that classifies cannot be used';
    return make(fallback, 'FALLBACK', { confidence: 0, reasoning: explain(problem) }, { problem });
  }
  const { instructions } = config;
  const { text, history } = input;
  const question = { candidates, instructions, currentAgent: current?.name ?? null, history, text };
  const said = await classify(classifier, question, options);
  if (!said.ok) return make(fallback, 'FALLBACK', { confidence: 0, reasoning: explain(said.problem) }, said);
  if (said.confidence < config.threshold) {
    const reasoning = `The classifier was not certain enough: its confidence was ${said.confidence}, and the threshold is ${config.threshold}.`;
    const others = [said.chosen, ...said.alternatives].filter(({ id }) => id !== fallback.id);
    return make(fallback, 'FALLBACK', { confidence: said.confidence, reasoning }, { ...said, alternatives: others });
  }
  return make(said.chosen, 'CLASSIFIER', said, said);
}

interface Outcome {
  readonly call?: Classification['call'];
  readonly alternatives?: readonly Candidate[];
  readonly problem?: string | null;
}

function explain(problem: string): string {
  return `The classifier could not choose: ${problem}.`;
}

function findLastAnswer(history: readonly SpokenText[]): string | null {
  const last = history.at(-1);
  return last?.from === 'agent' ? last.text : null;
}
