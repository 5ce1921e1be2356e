import type { ResolvedAgent } from '../../agents/resolve.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { readLastDecision } from '../../orchestration/last-decision.ts';
import { planOrchestration } from '../../orchestration/plan-turn.ts';
import type { Candidate } from '../../orchestration/planned.ts';
import type { ScenarioGraph } from '../../scenarios/load.ts';
import type { RunRuntime } from '../runtime.ts';

/**
 * Whether a classifier chooses the agent that begins, and which. A scenario without orchestration costs no statement; one that
 * is orchestrated in the first turn costs one.
 * @returns null: nobody has to choose
 */
export async function planChoice(
  viewer: Viewer,
  runtime: RunRuntime,
  conversationId: string,
  options: {
    readonly scenario: ScenarioGraph;
    readonly candidates: readonly Candidate[];
    readonly fallbackAgentId: string;
    readonly members: ReadonlyMap<string, ResolvedAgent>;
  },
) {
  const { scenario, candidates, fallbackAgentId, members } = options;
  const { id: scenarioId, orchestration: config, rootAgentId } = scenario;
  if (config.mode === 'OFF' || candidates.length < 2) return null;
  if (config.mode === 'FIRST_TURN' && (await readLastDecision(viewer, runtime.db, conversationId, scenarioId)) !== null)
    return null;
  const frozen = { scenarioId, config, candidates, rootAgentId, fallbackAgentId };
  return planOrchestration(viewer, runtime.agents, frozen, members);
}
