import { planGuards } from '../../agents/plan-guards.ts';
import { resolveAgents } from '../../agents/resolve.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { resolveReferences } from '../../context/tool-references.ts';
import { raceAbort } from '../../engine/abort.ts';
import type { PlannedAgent } from '../../engine/plan.ts';
import { type FrozenOrchestration, planOrchestration } from '../../orchestration/plan-turn.ts';
import type { Tool } from '../../tools/contract/tool.ts';
import { thawEndpoint } from '../frozen-endpoint.ts';
import type { FrozenPlan } from '../frozen-turn.ts';
import { planTool } from '../plan/plan-turn.ts';
import type { PlannedTurn } from '../planned-turn.ts';
import type { RunRuntime } from '../runtime.ts';

/** What a turn is restored from. */
interface StoredTurnPlan extends FrozenPlan {
  /** The active agent. */
  readonly startAgentId: string;
  /** The calls that are to be made: they fail if their tool is not the one of `definitions` any more. */
  readonly calls: readonly { readonly id: string; readonly name: string }[];
  /** How the agent that begins is still to be chosen; null: it is chosen. */
  readonly orchestration: FrozenOrchestration | null;
}

/**
 * Restores a turn whose process holds it no more. Its agents, edges and settings are those with which it started; keys and
 * tools are looked up again. If a tool is gone, its calls fail. If a tool was changed, the calls that were asked for before
 * fail: what was approved, or begun, is not what would be sent.
 * @param signal stops the lookup; the turn that is returned then is stopped before it does anything
 */
export async function restoreTurn(
  runtime: RunRuntime,
  viewer: Viewer,
  { agents: frozen, definitions, guardrails, references, startAgentId, calls, orchestration }: StoredTurnPlan,
  signal: AbortSignal,
): Promise<PlannedTurn> {
  const names = [...new Set(frozen.flatMap((agent) => agent.tools.map(({ name }) => name)))];
  const calledNames = [...new Set(calls.map(({ name }) => name))];
  const tools = await findToolsAgain(runtime, viewer, { names, calledNames }, signal);
  const changed = calls.filter(({ name }) => {
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
  const orchestrated = orchestration && (await planOrchestration(viewer, runtime.agents, orchestration, resolved));
  if (orchestrated?.resolved) resolved.set(orchestrated.resolved.agent.id, orchestrated.resolved);
  const missing = names.filter((name) => !tools.has(name));
  return {
    agents,
    startAgentId,
    orchestration: orchestrated?.planned ?? null,
    tools: resolveReferences(tools, references),
    ...(references && { references }),
    guards: await planGuards(viewer, runtime.agents, guardrails, resolved),
    absent: await explainAbsences(runtime, viewer, missing),
    changedCalls: new Set(changed.map(({ id }) => id)),
  };
}

/**
 * The tools of a turn as they are now. Connecting to the server of a call that is to be made may take as long as a person waits;
 * the other servers get the time of a turn.
 */
async function findToolsAgain(
  runtime: RunRuntime,
  viewer: Viewer,
  { names, calledNames }: { readonly names: readonly string[]; readonly calledNames: readonly string[] },
  signal: AbortSignal,
): Promise<Map<string, Tool>> {
  const find = async () => [
    ...(await runtime.tools.findTools(viewer, calledNames, 'person')),
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
