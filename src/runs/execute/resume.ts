import { resolveAgents } from '../../agents/resolve.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { raceAbort } from '../../engine/abort.ts';
import type { PlannedAgent, RunPlan } from '../../engine/plan.ts';
import type { Tool } from '../../tools/contract/tool.ts';
import { thawEndpoint } from '../frozen-turn.ts';
import { planTool } from '../plan/plan-turn.ts';
import type { PlannedTurn } from '../planned-turn.ts';
import type { ResumedRun, RunRuntime } from '../runtime.ts';

/**
 * Restores a turn from the state of its pause. Its agents, edges and settings are those with which it started; keys and
 * tools are looked up again. If a tool is gone, its calls fail. If a tool was changed, the calls of it that a person has
 * approved fail: what was approved is not what would be sent.
 * @param signal stops the lookup; the turn that is returned then is stopped before it does anything
 */
export async function resumeTurn(
  runtime: RunRuntime,
  viewer: Viewer,
  { state, decisions }: ResumedRun,
  signal: AbortSignal,
): Promise<{ turn: PlannedTurn; plan: RunPlan }> {
  const { agents: frozen, definitions, paused } = state;
  const approved = paused.calls.filter(({ id }) => decisions.get(id)?.approved);
  const names = [...new Set(frozen.flatMap((agent) => agent.tools.map(({ name }) => name)))];
  const approvedNames = [...new Set(approved.map(({ name }) => name))];
  const tools = await findToolsAgain(runtime, viewer, { names, approvedNames }, signal);
  const changed = approved.filter(({ name }) => {
    const then = definitions.get(name);
    const tool = tools.get(name);
    return then !== undefined && tool !== undefined && tool.hashDefinition() !== then;
  });

  const resolved = await resolveAgents(
    viewer,
    runtime.agents,
    frozen.map((agent) => agent.id),
  );
  const environment = runtime.agents.defaults.llm.endpoint;
  const planned = new Map([...tools].map(([name, tool]) => [name, planTool(tool)]));
  const agents = new Map<string, PlannedAgent>();
  for (const agent of frozen) {
    agents.set(agent.id, {
      ...agent,
      endpoint: thawEndpoint(agent.endpoint, resolved.get(agent.id)?.llm ?? undefined, environment),
      // The model is shown the tools as they would be called now.
      tools: agent.tools.map((tool) => planned.get(tool.name) ?? tool),
    });
  }
  const { agentId: startAgentId, history, step } = paused;
  // If the limit was lowered since, the step that was paused is still carried out.
  const limits = { ...runtime.limits, maxSteps: Math.max(runtime.limits.maxSteps, step + 1) };
  const missing = names.filter((name) => !tools.has(name));
  return {
    turn: {
      agents,
      startAgentId,
      tools,
      absent: await explainAbsences(runtime, viewer, missing),
      changedCalls: new Set(changed.map(({ id }) => id)),
    },
    plan: { agents, startAgentId, history, limits, resumed: { paused, decisions } },
  };
}

/**
 * The tools of a turn as they are now. Connecting to the server of an approved call may take as long as a person waits;
 * the other servers get the time of a turn.
 */
async function findToolsAgain(
  runtime: RunRuntime,
  viewer: Viewer,
  { names, approvedNames }: { readonly names: readonly string[]; readonly approvedNames: readonly string[] },
  signal: AbortSignal,
): Promise<Map<string, Tool>> {
  const find = async () => [
    ...(await runtime.tools.findTools(viewer, approvedNames, 'person')),
    ...(await runtime.tools.findTools(viewer, names)),
  ];
  try {
    return new Map((await raceAbort(find(), signal)).map((tool) => [tool.name, tool]));
  } catch (error) {
    if (!signal.aborted) throw error;
    return new Map();
  }
}

/** Why tools were not found, by name; only if more is known than that no tool has the name. */
async function explainAbsences(
  runtime: RunRuntime,
  viewer: Viewer,
  names: readonly string[],
): Promise<Map<string, string>> {
  const reasons = new Map<string, string>();
  for (const name of names) {
    if (await runtime.tools.isUnavailable(viewer, name)) {
      reasons.set(name, `The server of the tool ${name} cannot be reached.`);
    }
  }
  return reasons;
}
