import { resolveAgents } from '../agents/resolve-agents.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { PlannedAgent, RunPlan } from '../engine/plan.ts';
import type { PlannedTurn } from './compile.ts';
import type { ResumedRun, RunHost } from './host.ts';
import { thawEndpoint } from './pause-state.ts';

/**
 * Makes a turn out of what it left when it was paused. Its agents, edges and settings are those that it began with;
 * keys and tools are looked up again. A tool that is gone fails the calls of it.
 */
export async function resumeTurn(
  host: RunHost,
  viewer: Viewer,
  { state, decisions }: ResumedRun,
): Promise<{ turn: PlannedTurn; plan: RunPlan }> {
  const { agents: frozen, paused } = state;
  const resolved = await resolveAgents(
    viewer,
    host.agents,
    frozen.map((agent) => agent.id),
  );
  const environment = host.agents.defaults.llm.endpoint;
  const agents = new Map<string, PlannedAgent>();
  for (const agent of frozen) {
    const { endpoint } = agent;
    agents.set(agent.id, { ...agent, endpoint: thawEndpoint(endpoint, resolved.get(agent.id)?.llm, environment) });
  }
  const names = new Set(frozen.flatMap(({ tools }) => tools.map((tool) => tool.name)));
  const tools = new Map((await host.tools.findTools(viewer, [...names])).map((tool) => [tool.name, tool]));
  const { agentId: startAgentId, history, step } = paused;
  // A limit that was lowered since does not reach back: the step that was paused is carried out.
  const limits = { ...host.limits, maxSteps: Math.max(host.limits.maxSteps, step + 1) };
  return {
    turn: { agents, startAgentId, tools },
    plan: { agents, startAgentId, history, limits, resumed: { paused, decisions } },
  };
}
