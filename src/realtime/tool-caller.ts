import { planGuards } from '../agents/plan-guards.ts';
import { resolveAgents } from '../agents/resolve.ts';
import { ConflictError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import type { InputPath } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { readActiveConversation } from '../conversations/read.ts';
import type { Guarded, GuardReport } from '../engine/guard.ts';
import { findGuardrails, storeGuardUsage } from '../guardrails/moderate/check-texts.ts';
import { nothingChecked, openTurnGuard } from '../guardrails/turn-guard.ts';
import { loadScenarioGraph } from '../scenarios/load.ts';
import type { RealtimeCaller } from '../tools/registry/deps.ts';
import { toResultRow } from './guard-rows.ts';
import type { RealtimeRuntime } from './runtime.ts';
import { requireOpenSession } from './sessions.ts';

/**
 * Finds out who calls a tool in a realtime session: the agent that speaks, with the tools of all agents of the scenario, since
 * a call may belong to an agent that has just handed over. The guardrails of that agent check the call and what it returns;
 * their results are stored with the session, and what they use in the ledger.
 * @param id the public id
 * @param path of the id in the arguments, for errors
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError} if it is another user's,
 *   or the viewer is no EDITOR in the project of its conversation;
 *   {@link ConflictError} if the session has ended
 */
export async function findRealtimeCaller(
  viewer: Viewer,
  { runs }: RealtimeRuntime,
  id: string,
  path: InputPath,
): Promise<RealtimeCaller> {
  const session = await requireOpenSession(viewer, runs.db, id, path);
  const { conversationId, scenarioId, activeAgentId: agentId } = session;
  await readActiveConversation(viewer, runs.agents, formatId('Conversation', conversationId));
  const scenario = await loadScenarioGraph(viewer, runs.db, runs.agents.config, scenarioId);
  if (scenario === null) throw new ConflictError('The scenario of the session was deleted. Start another session.');
  const resolved = await resolveAgents(viewer, runs.agents, [...scenario.members.keys(), agentId]);
  const members = [...scenario.members.keys()].flatMap((member) => resolved.get(member) ?? []);
  const guardrails = (await findGuardrails(viewer, runs, { agentId, scenarioId })) ?? [];
  const guards = await planGuards(viewer, runs.agents, new Map([[agentId, guardrails]]), resolved);
  const guard = openTurnGuard(guards, {
    earlier: nothingChecked,
    timeoutMs: runs.agents.guardrails.timeoutMs,
  });

  const store = async ({ results, calls }: GuardReport) => {
    await storeGuardUsage(viewer, runs.db, { conversationId, calls });
    if (results.length > 0)
      await runs.db.realtimeGuardrailResult.createMany({ data: results.map(toResultRow(session)) });
  };
  /** @returns null: nothing guards it */
  const settle = async <Value>(check: Promise<Guarded<Value>> | null): Promise<Guarded<Value> | null> => {
    const checked = await check;
    if (checked) await store(checked);
    return checked;
  };
  return {
    conversationId,
    agentName: resolved.get(agentId)?.agent.name ?? null,
    agentId: resolved.has(agentId) ? agentId : null,
    toolNames: new Set(members.flatMap(({ agent }) => (agent.isActive ? agent.toolNames : []))),
    async checkArguments(name, args, signal) {
      const call = { id: '', name, arguments: JSON.stringify(args) };
      const checked = await settle(guard?.checkCalls(agentId, [call], signal) ?? null);
      if (checked === null) return { ok: true, result: args };
      if (checked.blockedBy !== null) return { ok: false, error: explainBlocked(checked.blockedBy) };
      return { ok: true, result: JSON.parse(checked.value[0]?.arguments ?? '{}') };
    },
    async checkOutcome(outcome, signal) {
      const checked = await settle(guard?.checkOutcome(agentId, outcome, signal) ?? null);
      if (checked === null) return outcome;
      return checked.blockedBy === null ? checked.value : { ok: false, error: explainBlocked(checked.blockedBy) };
    },
  };
}

function explainBlocked(guardrail: string): string {
  return `The guardrail ${JSON.stringify(guardrail)} stopped the call.`;
}
