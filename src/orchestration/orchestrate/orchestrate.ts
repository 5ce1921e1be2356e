import { z } from 'zod';
import type { AgentDependencies } from '../../agents/dependencies.ts';
import { requireUsableAgent } from '../../agents/require.ts';
import { parseId } from '../../api/ids.ts';
import { badInput, parseInput, text } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { readConversation } from '../../conversations/read.ts';
import type { Database } from '../../database/client.ts';
import type { Conversation } from '../../generated/prisma/client.ts';
import { checkTexts, findGuardrails, storeGuardUsage } from '../../guardrails/moderate/check-texts.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import { requireProjectCached } from '../../projects/access.ts';
import { maxScenarioKeyLength } from '../../scenarios/input.ts';
import { loadScenarioGraph, type ScenarioGraph } from '../../scenarios/load.ts';
import { findScenarioMember } from '../../scenarios/members.ts';
import { readLastDecision } from '../last-decision.ts';
import { findClassifierId } from '../planned.ts';
import { routeMessage } from '../route.ts';

const orchestrateInput = z.strictObject({
  scenarioKey: text(1, maxScenarioKeyLength),
  conversationId: z.string().nullish(),
  lastUserMessage: text(1, 100_000),
  lastAgentMessage: text(1, 100_000).nullish(),
  currentAgentId: z.string().nullish(),
});

interface OrchestrateDependencies {
  readonly db: Database;
  readonly agents: AgentDependencies;
  readonly turnLimit: RateLimit;
}

/** What was decided, for a client. Agents are row ids. */
export interface OrchestrationOutcome {
  readonly rootAgentId: string;
  readonly switched: boolean;
  readonly confidence: number;
  readonly reasoning: string;
  readonly alternativeIds: readonly string[];
}

/**
 * Decides which agent of a scenario should answer a message, outside of any turn and whatever the mode of the scenario is.
 * Nothing but the usage of the classifier is stored, and no conversation is changed. The guardrails of the scenario, of the
 * agent and of the classifier check the texts first, and the classifier sees what they left.
 * @param rawInput an OrchestrateInput
 * @param clientGone aborts when the client disconnects: the classifier is stopped
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field; {@link ForbiddenError} and {@link NotFoundError} for
 *   the conversation, the agent and the scenario; {@link ConflictError} if no agent of the scenario can answer, or the project of the conversation is archived
 */
export async function orchestrate(
  viewer: Viewer,
  deps: OrchestrateDependencies,
  rawInput: unknown,
  clientGone: AbortSignal | null,
): Promise<OrchestrationOutcome> {
  await deps.turnLimit.take(viewer);
  await deps.agents.tokenBudget.assertLeft(viewer);
  const input = parseInput(orchestrateInput, rawInput, ['input']);
  const { conversationId = null, currentAgentId = null } = input;
  if (conversationId !== null) parseId('Conversation', conversationId, ['input', 'conversationId']);
  if (currentAgentId !== null) parseId('Agent', currentAgentId, ['input', 'currentAgentId']);
  const conversation = conversationId === null ? null : await readConversation(viewer, deps.db, conversationId);
  if (conversation !== null && conversation.projectId !== null)
    await requireProjectCached(viewer, deps.agents, conversation.projectId, 'EDITOR');
  const scenario = await readScenario(viewer, deps, input.scenarioKey, conversation?.projectId ?? null);
  const isItsOwn = conversation?.scenarioId === scenario.id;
  const current =
    currentAgentId === null
      ? isItsOwn && conversation.runCount > 0
        ? conversation.activeAgentId
        : null
      : await requireMember(viewer, deps, currentAgentId, scenario);

  const stop = AbortSignal.any([deps.agents.closing, ...(clientGone === null ? [] : [clientGone])]);
  const said = await checkMessages(viewer, deps, { scenario, current, conversation, input }, stop);
  const answerer = current ?? scenario.rootAgentId;
  if (said.blockedBy !== null && answerer !== null) {
    const reasoning = `The guardrail ${JSON.stringify(said.blockedBy)} stops the message: no classifier was asked.`;
    return { rootAgentId: answerer, switched: answerer !== current, confidence: 0, reasoning, alternativeIds: [] };
  }
  const last =
    isItsOwn && current !== null ? await readLastDecision(viewer, deps.db, conversation.id, scenario.id) : null;
  const message = { scenario, text: said.text, history: said.history, currentAgentId: current, last };
  const routed = await routeMessage(viewer, deps.agents, message, stop);
  await storeGuardUsage(viewer, deps.db, { conversationId: conversation?.id ?? null, calls: routed.calls });
  const { rootAgentId, confidence, reasoning } = routed.decision;
  return { rootAgentId, confidence, reasoning, switched: routed.switched, alternativeIds: routed.alternativeIds };
}

async function readScenario(
  viewer: Viewer,
  { db, agents }: OrchestrateDependencies,
  key: string,
  projectId: string | null,
): Promise<ScenarioGraph> {
  const { id, isActive } = await findScenarioMember(viewer.tenantId, db, { key, projectId }, null);
  if (!isActive) throw badInput(['input', 'scenarioKey'], 'names a scenario that is not active');
  const scenario = await loadScenarioGraph(viewer, db, agents.config, id);
  if (scenario === null) throw badInput(['input', 'scenarioKey'], 'names a scenario that was deleted just now');
  return scenario;
}

async function requireMember(viewer: Viewer, { db }: OrchestrateDependencies, id: string, scenario: ScenarioGraph) {
  const path = ['input', 'currentAgentId'];
  const agentId = await requireUsableAgent(viewer, db, id, path);
  if (!scenario.members.has(agentId)) throw badInput(path, 'names an agent that is not in the scenario');
  return agentId;
}

/** Checks the texts with the guardrails that they would meet in a turn; none is asked of a scenario that has none. */
async function checkMessages(
  viewer: Viewer,
  deps: OrchestrateDependencies,
  {
    scenario,
    current,
    conversation,
    input,
  }: {
    readonly scenario: ScenarioGraph;
    readonly current: string | null;
    readonly conversation: Conversation | null;
    readonly input: z.output<typeof orchestrateInput>;
  },
  signal: AbortSignal,
) {
  const answered = input.lastAgentMessage ?? null;
  const agentId = current ?? scenario.rootAgentId;
  const classifierId = findClassifierId(scenario.orchestration, scenario.rootAgentId);
  const own = agentId === null ? [] : await findGuardrails(viewer, deps, { agentId, scenarioId: scenario.id });
  const further =
    classifierId === null || classifierId === agentId
      ? []
      : await findGuardrails(viewer, deps, { agentId: classifierId, scenarioId: null });
  const guardrails = [...(own ?? []), ...(further ?? [])];
  const texts = [
    { stage: 'INPUT', text: input.lastUserMessage } as const,
    ...(answered === null ? [] : [{ stage: 'OUTPUT', text: answered } as const]),
  ];
  const guardedBy = { agentId: agentId ?? '', guardrails, conversationId: conversation?.id ?? null };
  const [asked, answer] = agentId === null ? [] : await checkTexts(viewer, deps, guardedBy, texts, signal);
  const earlier = answer === undefined ? answered : answer.blockedBy === null ? answer.value : null;
  return {
    text: asked?.value ?? input.lastUserMessage,
    blockedBy: asked?.blockedBy ?? null,
    history: earlier === null ? [] : [{ from: 'agent', text: earlier } as const],
  };
}
