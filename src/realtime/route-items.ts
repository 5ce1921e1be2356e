import type { Viewer } from '../auth/viewer.ts';
import { readLastTexts } from '../conversations/last-texts.ts';
import type { Routed } from '../engine/routing.ts';
import type { Conversation } from '../generated/prisma/client.ts';
import { storeGuardUsage } from '../guardrails/moderate/check-texts.ts';
import { type LastDecision, readLastDecision } from '../orchestration/last-decision.ts';
import { findClassifierId } from '../orchestration/planned.ts';
import { routeMessage } from '../orchestration/route.ts';
import type { ScenarioGraph } from '../scenarios/load.ts';
import type { AttributedItem, CheckedItem, FurtherChecks } from './check-items.ts';
import type { RealtimeRuntime } from './runtime.ts';

/** What a classifier is shown of the conversation. */
const shown = { messages: 10, characters: 1_000 } as const;

/** What is known when a batch is routed. */
interface Batch {
  readonly conversationId: string;
  readonly scenario: ScenarioGraph;
  /** The row id of the agent that speaks now. */
  readonly currentAgentId: string;
}

/** An item for which an agent is to be chosen. Who speaks now and the classifier check it, too. */
export interface Routing extends FurtherChecks {
  /** The last decision of the conversation; null: there is none. */
  readonly last: LastDecision | null;
}

/**
 * Finds out whether an agent is to be chosen for what the user said last. It costs nothing if the scenario does not ask for it,
 * or the batch ends with an agent's answer; else one statement.
 * @param items in the order in which they were spoken, without those that are late
 * @returns null: nobody is to be chosen
 */
export async function findRouting(
  viewer: Viewer,
  { runs }: RealtimeRuntime,
  { conversationId, scenario, currentAgentId }: Batch,
  items: readonly AttributedItem[],
): Promise<Routing | null> {
  const { mode } = scenario.orchestration;
  const item = items.at(-1);
  if (mode === 'OFF' || item?.role !== 'USER') return null;
  const last = await readLastDecision(viewer, runs.db, conversationId, scenario.id);
  if (mode === 'FIRST_TURN' && last !== null) return null;
  const classifierId = findClassifierId(scenario.orchestration, scenario.rootAgentId);
  const others = new Set([currentAgentId, ...(classifierId === null ? [] : [classifierId])]);
  others.delete(item.agentId);
  return { itemId: item.itemId, last, checkedBy: [...others] };
}

/**
 * Chooses the agent that answers what the user said last. It costs nothing if a guardrail blocks that. One statement, and one
 * for the usage of the classifier.
 * @param items those of {@link findRouting}, as they were checked
 * @returns null: nobody is to be chosen
 * @throws the signal's reason if it is aborted
 */
export async function routeItems(
  viewer: Viewer,
  { runs }: RealtimeRuntime,
  { conversationId, scenario, currentAgentId }: Batch,
  { last: decision }: Routing,
  items: readonly CheckedItem[],
  signal: AbortSignal,
): Promise<Routed | null> {
  const last = items.at(-1);
  if (last === undefined || last.status === 'BLOCKED') return null;
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
