import { z } from 'zod';
import { requireUsableAgent } from '../../agents/require.ts';
import { findDefaultAgent, resolveAgents } from '../../agents/resolve.ts';
import { ConflictError, NotFoundError } from '../../api/errors.ts';
import { parseInput, text } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { GuardDecision, GuardModelCall } from '../../engine/guard.ts';
import { planGuards } from '../../runs/plan/plan-guards.ts';
import type { RunRuntime } from '../../runs/runtime.ts';
import { loadScenarioGraph } from '../../scenarios/load.ts';
import { findScenarioMember } from '../../scenarios/members.ts';
import { checkText } from '../check-text.ts';
import { guardrailStages, readGuardrails } from '../config.ts';

const moderateInput = z.strictObject({
  text: text(1, 100_000),
  stage: z.enum(guardrailStages).nullish(),
  scenarioKey: text(1, 255).nullish(),
  agentId: z.string().nullish(),
});

/**
 * Checks a text with the guardrails that it would meet in a turn.
 * @param rawInput a ModerateInput
 * @param clientGone aborts when the client disconnects: the check ends
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field; {@link ForbiddenError} and
 *   {@link NotFoundError} for the agent and the scenario; {@link ConflictError} if there is no agent
 */
export async function moderate(
  viewer: Viewer,
  runtime: Pick<RunRuntime, 'db' | 'agents' | 'turnLimit'>,
  rawInput: unknown,
  clientGone: AbortSignal | null,
): Promise<GuardDecision> {
  await runtime.turnLimit.take(viewer);
  const input = parseInput(moderateInput, rawInput, ['input']);
  const { agents: deps, db } = runtime;
  const scenario = input.scenarioKey == null ? null : await readScenario(viewer, runtime, input.scenarioKey);
  const agentId =
    input.agentId == null
      ? (scenario?.rootAgentId ?? (await findDefaultAgent(viewer, deps)))
      : await requireUsableAgent(viewer, db, input.agentId, ['input', 'agentId']);
  const resolved = agentId === null ? undefined : (await resolveAgents(viewer, deps, [agentId])).get(agentId);
  if (agentId === null || !resolved)
    throw new ConflictError('There is no active agent whose guardrails could check it.');

  const stage = input.stage ?? 'INPUT';
  const guardrails = [...(scenario?.guardrails ?? []), ...readGuardrails(resolved.agent.guardrails)];
  const ofStage = guardrails.filter(({ stages }) => stages.includes(stage));
  const guards = await planGuards(viewer, deps, new Map([[agentId, ofStage]]), new Map([[agentId, resolved]]));
  const signal = AbortSignal.any(clientGone === null ? [deps.closing] : [deps.closing, clientGone]);
  const { timeoutMs } = deps.guardrails;
  const { results, calls } = await checkText(guards.get(agentId) ?? [], input.text, {
    stage,
    agentId,
    timeoutMs,
    signal,
  });
  await storeUsage(viewer, runtime, calls);

  const decisions = results.map(({ decision }) => decision);
  const reasons = results.flatMap(({ guardrail, decision }) =>
    decision.reasoning === null ? [] : [`${guardrail}: ${decision.reasoning}`],
  );
  const actionOf = (action: GuardDecision['action']) =>
    decisions.some((each) => each.flagged && each.action === action);
  return {
    flagged: decisions.some(({ flagged }) => flagged),
    action: actionOf('BLOCK') ? 'BLOCK' : actionOf('REDACT') ? 'REDACT' : 'ALLOW',
    categories: decisions.flatMap(({ categories }) => categories),
    reasoning: reasons.length === 0 ? null : reasons.join(' '),
  };
}

async function readScenario(viewer: Viewer, { db, agents }: Pick<RunRuntime, 'db' | 'agents'>, key: string) {
  const { id } = await findScenarioMember(viewer.tenantId, db, { key, projectId: null }, null);
  const scenario = await loadScenarioGraph(viewer, db, agents.config, id);
  if (scenario === null) throw new NotFoundError(`There is no scenario with the key ${JSON.stringify(key)}.`);
  return scenario;
}

async function storeUsage(
  { tenantId, userId }: Viewer,
  { db }: Pick<RunRuntime, 'db'>,
  calls: readonly GuardModelCall[],
): Promise<void> {
  if (calls.length === 0) return;
  const data = calls.map(({ agentId, model, usage, durationMs }) => {
    return { tenantId, userId, agentId, step: 1, model, complete: usage !== null, durationMs, ...usage };
  });
  await db.modelCall.createMany({ data });
}
