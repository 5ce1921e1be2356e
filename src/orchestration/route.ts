import type { AgentDependencies } from '../agents/dependencies.ts';
import { planGuards } from '../agents/plan-guards.ts';
import { type ResolvedAgent, resolveAgents } from '../agents/resolve.ts';
import { ConflictError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import { type Routed, withheldReasoning } from '../engine/routing.ts';
import { checkText } from '../guardrails/check-text.ts';
import { readGuardrails } from '../guardrails/config.ts';
import type { ScenarioGraph } from '../scenarios/load.ts';
import { decideRouting, type RoutingInput } from './decide.ts';
import { findClassifierId, planClassifier } from './planned.ts';

/** A message for which an agent is chosen outside of a turn. */
export interface MessageToRoute extends Omit<RoutingInput, 'toolsOf'> {
  readonly scenario: ScenarioGraph;
}

/**
 * Chooses which agent of a scenario answers a message, as the start of a turn would choose it, whatever the mode of the
 * scenario's orchestration is: the caller decides whether to ask. The caller has checked the text with the guardrails before.
 *
 * The reason that a classifier gives is checked by the guardrails of answers of the scenario and of the chosen agent, and
 * withheld if one flags it.
 *
 * It stores nothing: neither the decision (`writeRouted` makes the column of it) nor the model calls for the ledger (`calls`).
 * If the transaction that stores the decision with a message moves the conversation's active agent too, AgentSwitched has the
 * reason of the decision.
 *
 * @param message.last of `readLastDecision`; null: whatever was decided before does not matter
 * @throws {ConflictError} if no agent of the scenario can answer
 * @throws the signal's reason if it is aborted
 */
export async function routeMessage(
  viewer: Viewer,
  deps: AgentDependencies,
  message: MessageToRoute,
  signal: AbortSignal,
): Promise<Routed> {
  const { scenario } = message;
  const { orchestration: config, rootAgentId } = scenario;
  const classifierId = findClassifierId(config, rootAgentId);
  const ids = [...scenario.members.keys(), ...(classifierId === null ? [] : [classifierId])];
  const resolved = await resolveAgents(viewer, deps, ids);
  const usable = [...scenario.members.keys()].flatMap((id) => {
    const member = resolved.get(id);
    return member?.agent.isActive && member.llm !== null ? [member.agent] : [];
  });
  const fallback = usable.find(({ id }) => id === rootAgentId) ?? usable[0];
  if (!fallback) throw new ConflictError('No agent of the scenario can answer: ask an admin to switch one on.');
  const tools = new Map(usable.map(({ id, toolNames }) => [id, toolNames]));
  const planned = {
    scenarioId: scenario.id,
    config,
    candidates: usable.map(({ id, name, description }) => ({ id, name, description })),
    rootAgentId,
    fallbackAgentId: fallback.id,
    classifier: planClassifier(config, classifierId === null ? undefined : resolved.get(classifierId)),
  };
  const routed = await decideRouting(
    planned,
    { ...message, toolsOf: (id) => tools.get(id) ?? [] },
    { model: deps.model, timeoutMs: deps.orchestration.timeoutMs, signal },
  );
  if (routed.problem !== null)
    deps.logger.warn({ scenarioId: scenario.id, problem: routed.problem }, 'a classifier could not choose an agent');
  return routed.basis === 'CLASSIFIER' ? checkReason(viewer, deps, { scenario, routed, resolved }, signal) : routed;
}

/** A reason is shown to the user like an answer. */
async function checkReason(
  viewer: Viewer,
  deps: AgentDependencies,
  {
    scenario,
    routed,
    resolved,
  }: {
    readonly scenario: ScenarioGraph;
    readonly routed: Routed;
    readonly resolved: ReadonlyMap<string, ResolvedAgent>;
  },
  signal: AbortSignal,
): Promise<Routed> {
  const { decision } = routed;
  const agentId = decision.rootAgentId;
  const own = readGuardrails(resolved.get(agentId)?.agent.guardrails ?? []);
  const wanted = [...scenario.guardrails, ...own].filter(({ stages }) => stages.includes('OUTPUT'));
  const guards = (await planGuards(viewer, deps, new Map([[agentId, wanted]]), resolved)).get(agentId) ?? [];
  if (guards.length === 0) return routed;
  const { timeoutMs } = deps.guardrails;
  const options = { stage: 'OUTPUT', agentId, timeoutMs, signal } as const;
  const { isRedacted, blockedBy, calls } = await checkText(guards, decision.reasoning, options);
  const reasoning = isRedacted || blockedBy !== null ? withheldReasoning : decision.reasoning;
  return { ...routed, decision: { ...decision, reasoning }, calls: [...routed.calls, ...calls] };
}
