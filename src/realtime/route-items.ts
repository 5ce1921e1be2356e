import type { Viewer } from '../auth/viewer.ts';
import { readLastTexts } from '../conversations/last-texts.ts';
import type { Routed } from '../engine/routing.ts';
import type { Conversation } from '../generated/prisma/client.ts';
import { storeGuardUsage } from '../guardrails/moderate/check-texts.ts';
import { readLastDecision } from '../orchestration/last-decision.ts';
import { routeMessage } from '../orchestration/route.ts';
import type { ScenarioGraph } from '../scenarios/load.ts';
import type { CheckedItem } from './check-items.ts';
import type { RealtimeRuntime } from './runtime.ts';

/** What a classifier is shown of the conversation. */
const shown = { messages: 10, characters: 1_000 } as const;

/** What is known when a batch is routed. */
interface Batch {
  readonly conversationId: string;
  readonly scenario: ScenarioGraph;
  /** The row id of the agent that speaks now. */
  readonly currentAgentId: string;
  /** In the order in which they were spoken. */
  readonly items: readonly CheckedItem[];
}

/**
 * Chooses the agent that answers what the user said last, if the scenario asks for it. It costs nothing if the batch ends with
 * an agent's answer, or a guardrail blocks what the user said. Two statements, and one for the usage of the classifier.
 * @returns null: nobody is to be chosen
 * @throws the signal's reason if it is aborted
 */
export async function routeItems(
  viewer: Viewer,
  { runs }: RealtimeRuntime,
  { conversationId, scenario, currentAgentId, items }: Batch,
  signal: AbortSignal,
): Promise<Routed | null> {
  const { mode } = scenario.orchestration;
  const last = items.at(-1);
  if (mode === 'OFF' || last?.role !== 'USER' || last.status === 'BLOCKED') return null;
  const decision = await readLastDecision(viewer, runs.db, conversationId, scenario.id);
  if (mode === 'FIRST_TURN' && decision !== null) return null;
  const earlier = await readLastTexts(viewer, runs.db, conversationId, shown);
  const spoken = [...earlier, ...items.slice(0, -1)].flatMap(({ role, content, status }) => {
    if (role === 'SYSTEM' || status === 'BLOCKED') return [];
    return [{ from: role === 'USER' ? ('user' as const) : ('agent' as const), text: content }];
  });
  const message = { scenario, text: last.content, history: spoken, currentAgentId, last: decision };
  const routed = await routeMessage(viewer, runs.agents, message, signal);
  await storeGuardUsage(viewer, runs.db, { conversationId, calls: routed.calls });
  return routed;
}

/** The agent that speaks now: the active agent of the conversation if the scenario has it, else that of the session. */
export function findCurrentAgent(
  { members }: ScenarioGraph,
  conversation: Pick<Conversation, 'activeAgentId'>,
  session: { readonly activeAgentId: string },
): string {
  const { activeAgentId } = conversation;
  return activeAgentId !== null && members.has(activeAgentId) ? activeAgentId : session.activeAgentId;
}
