import type { Viewer } from '../auth/viewer.ts';
import type { Guardrail } from '../guardrails/config.ts';
import { planGuardrails } from '../guardrails/plan.ts';
import type { GuardsByAgent } from '../guardrails/turn-guard.ts';
import type { AgentDependencies } from './dependencies.ts';
import { type ResolvedAgent, resolveAgents } from './resolve.ts';

/**
 * Plans the guardrails of the agents of a turn. If there are none, it costs nothing; the agents that classify are read from
 * the cache, one statement for all that are not cached.
 * @param guardrails by the row id of their agent
 * @param members agents that are resolved already
 */
export async function planGuards(
  viewer: Viewer,
  deps: AgentDependencies,
  guardrails: ReadonlyMap<string, readonly Guardrail[]>,
  members: ReadonlyMap<string, Pick<ResolvedAgent, 'llm'>>,
): Promise<GuardsByAgent> {
  const guarded = [...guardrails].filter(([, list]) => list.length > 0);
  if (guarded.length === 0) return new Map();
  const named = guarded.flatMap(([, list]) =>
    list.flatMap(({ check }) => (check.type === 'CLASSIFIER' ? [check.agentId] : [])),
  );
  const resolved = named.length === 0 ? new Map<string, ResolvedAgent>() : await resolveAgents(viewer, deps, named);
  const classifiers = new Map(
    [...resolved].flatMap(([agentId, { agent, llm }]) => {
      if (!agent.isActive || llm === null) return [];
      return [[agentId, { agentId, instructions: agent.instructions, endpoint: llm }] as const];
    }),
  );
  return new Map(
    guarded.map(([agentId, list]) => {
      const endpoint = members.get(agentId)?.llm ?? null;
      return [agentId, planGuardrails(list, { providers: deps.guardrails, endpoint, classifiers })];
    }),
  );
}
