import type { Viewer } from '../../auth/viewer.ts';
import type { PlannedAgent } from '../../engine/plan.ts';
import { searchToolName } from '../../knowledge/cite/search-result.ts';
import type { RunRuntime } from '../runtime.ts';

/**
 * Tells the agents of a turn that have `search_knowledge` what it searches for them. It costs nothing if the cache has it, or
 * no agent has the tool.
 * @param agents of the turn; those that are told something are replaced
 * @param projectId the row id of the project of the conversation; null: it is in none
 */
export async function tellAgentsOfBases(
  viewer: Viewer,
  runtime: RunRuntime,
  agents: Map<string, PlannedAgent>,
  projectId: string | null,
): Promise<void> {
  const searching = [...agents.values()].filter(({ tools }) => tools.some(({ name }) => name === searchToolName));
  const agentIds = searching.map(({ id }) => id);
  const texts = await runtime.tellBases(viewer, runtime.agents, { agentIds, projectId });
  for (const agent of searching) {
    const text = texts.get(agent.id);
    if (text !== undefined) agents.set(agent.id, { ...agent, toolNotes: { [searchToolName]: text } });
  }
}
