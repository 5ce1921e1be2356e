import { resolveAgents } from '../../agents/resolve.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { raceAbort } from '../../engine/abort.ts';
import type { PlannedAgent, RunPlan } from '../../engine/plan.ts';
import type { Tool } from '../../tools/contract/tool.ts';
import { thawEndpoint } from '../frozen-turn.ts';
import { type PlannedTurn, planTool } from '../plan/plan-turn.ts';
import type { ResumedRun, RunScheduler } from '../scheduler.ts';

/**
 * Makes a turn out of what it left when it was paused. Its agents, edges and settings are those that it began with;
 * keys and tools are looked up again. A tool that is gone fails the calls of it; one that was changed fails the calls
 * that were put to a person before: what was approved is not what would be sent.
 * @param signal stops the looking: the turn that is answered then is one that is stopped at once
 */
export async function resumeTurn(
  runtime: RunScheduler,
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
      // The model is told of what would be called, and whether that needs a person.
      tools: agent.tools.map((tool) => planned.get(tool.name) ?? tool),
    });
  }
  const { agentId: startAgentId, history, step } = paused;
  // A limit that was lowered since does not reach back: the step that was paused is carried out.
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
 * The tools of a turn as they are now. A server that has to be connected to for a call that somebody has approved is
 * waited for as people wait, the others as a turn does.
 */
async function findToolsAgain(
  runtime: RunScheduler,
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

/** Why tools were not found, by name, where more is known than that there are none of these names. */
async function explainAbsences(
  runtime: RunScheduler,
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
