import { z } from 'zod';
import { requireUsableAgent } from '../../agents/require.ts';
import { findDefaultAgent } from '../../agents/resolve.ts';
import { ConflictError, NotFoundError } from '../../api/errors.ts';
import { parseInput, text } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { GuardDecision } from '../../engine/guard.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import { loadScenarioGraph } from '../../scenarios/load.ts';
import { findScenarioMember } from '../../scenarios/members.ts';
import { guardrailStages } from '../config.ts';
import { checkTexts, findGuardrails, type TextCheckDependencies } from './check-texts.ts';

const moderateInput = z.strictObject({
  text: text(1, 100_000),
  stage: z.enum(guardrailStages).nullish(),
  scenarioKey: text(1, 255).nullish(),
  agentId: z.string().nullish(),
});

interface ModerateDependencies extends TextCheckDependencies {
  readonly turnLimit: RateLimit;
}

/**
 * Checks a text with the guardrails that it would meet in a turn.
 * @param rawInput a ModerateInput
 * @param clientGone aborts when the client disconnects: the check ends
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field; {@link ForbiddenError} and
 *   {@link NotFoundError} for the agent and the scenario; {@link ConflictError} if there is no agent
 */
export async function moderate(
  viewer: Viewer,
  deps: ModerateDependencies,
  rawInput: unknown,
  clientGone: AbortSignal | null,
): Promise<GuardDecision> {
  await deps.turnLimit.take(viewer);
  await deps.agents.tokenBudget.assertLeft(viewer);
  const input = parseInput(moderateInput, rawInput, ['input']);
  const scenario = input.scenarioKey == null ? null : await readScenario(viewer, deps, input.scenarioKey);
  const agentId =
    input.agentId == null
      ? (scenario?.rootAgentId ?? (await findDefaultAgent(viewer, deps.agents)))
      : await requireUsableAgent(viewer, deps.db, input.agentId, ['input', 'agentId']);
  const scenarioId = scenario?.id ?? null;
  const guardrails = agentId === null ? null : await findGuardrails(viewer, deps, { agentId, scenarioId });
  if (agentId === null || guardrails === null)
    throw new ConflictError('There is no active agent whose guardrails could check it.');

  const signal = clientGone ?? new AbortController().signal;
  const stage = input.stage ?? 'INPUT';
  const guardedBy = { agentId, guardrails, conversationId: null };
  const [checked] = await checkTexts(viewer, deps, guardedBy, [{ stage, text: input.text }], signal);
  const results = checked?.results ?? [];
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

async function readScenario(viewer: Viewer, { db, agents }: TextCheckDependencies, key: string) {
  const { id } = await findScenarioMember(viewer.tenantId, db, { key, projectId: null }, null);
  const scenario = await loadScenarioGraph(viewer, db, agents.config, id);
  if (scenario === null) throw new NotFoundError(`There is no scenario with the key ${JSON.stringify(key)}.`);
  return scenario;
}
