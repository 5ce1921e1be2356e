import { resolveAgents } from '../agents/resolve.ts';
import { ConflictError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import { badInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { MessageQuery } from '../conversations/append.ts';
import { readMessagesById } from '../conversations/load-messages.ts';
import { readActiveConversation } from '../conversations/read.ts';
import type { Message, RealtimeSession } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { loadScenarioGraph, type ScenarioGraph } from '../scenarios/load.ts';
import { realtimeItems } from '../telemetry/metrics.ts';
import { type AttributedItem, checkFurther, checkItems } from './check-items.ts';
import { parseItems, type TranscriptItem } from './input.ts';
import { findKnownItems } from './known-items.ts';
import { findCurrentAgent, findRouting, routeItems } from './route-items.ts';
import type { RealtimeRuntime } from './runtime.ts';
import { requireOpenSession } from './sessions.ts';
import { storeItems } from './store-items.ts';

/**
 * Merges items of a transcript into the conversation of a realtime session, as messages. An item that was recorded before is
 * not recorded again; its message is returned. Nothing is written unless everything is.
 *
 * The items are checked by guardrails before they are stored, and what the user says last is routed if the scenario asks for
 * it. If another agent is to speak, or another one has spoken, it becomes the active agent: AgentSwitched is the event.
 *
 * @param args.sessionId the public id
 * @param args.items RealtimeItemInput
 * @param query relations to load with the messages
 * @param clientGone aborts when the client disconnects: nothing is written then
 * @returns the messages of the items, in the order of the arguments
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the item and its field; {@link NotFoundError} and
 *   {@link ForbiddenError} for the session, and for the project of its conversation if the viewer is no EDITOR in it
 * @throws {ConflictError} if the session has ended or is full, or an item was recorded before with another text, with another
 *   role or in another session
 */
export async function recordRealtimeItems(
  viewer: Viewer,
  runtime: RealtimeRuntime,
  reads: SizedReads,
  args: { readonly sessionId: string; readonly items: unknown },
  query: MessageQuery,
  clientGone: AbortSignal | null,
): Promise<Message[]> {
  await runtime.limit.take(viewer);
  const items = parseItems(args.items, new Date());
  const session = await requireOpenSession(viewer, runtime.runs.db, args.sessionId, ['sessionId']);
  const known = await findKnownItems(runtime.runs.db, viewer, session, items);
  const fresh = items.filter(({ itemId }) => !known.has(itemId));
  const stored =
    fresh.length === 0
      ? known
      : await runtime.work(clientGone, (signal) => checkAndStore(viewer, runtime, session, fresh, signal));
  realtimeItems.inc({ result: 'stored' }, fresh.length);
  realtimeItems.inc({ result: 'known' }, items.length - fresh.length);
  const ids = items
    .toSorted((a, b) => a.index - b.index)
    .flatMap(({ itemId }) => stored.get(itemId) ?? known.get(itemId) ?? []);
  const messages = ids.length === 0 ? [] : await readMessagesById(viewer, reads, ids, query);
  return messages.flatMap((message) => {
    if (message instanceof Error) throw message;
    // Deleted meanwhile, with its conversation.
    return message ?? [];
  });
}

/** @returns the row ids of the messages, by the ids of the items */
async function checkAndStore(
  viewer: Viewer,
  runtime: RealtimeRuntime,
  session: RealtimeSession,
  fresh: readonly TranscriptItem[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const { runs } = runtime;
  const { conversationId, scenarioId } = session;
  const scenario = await loadScenarioGraph(viewer, runs.db, runs.agents.config, scenarioId);
  if (scenario === null) throw new ConflictError('The scenario of the session was deleted. Start another session.');
  const conversation = await readActiveConversation(viewer, runs.agents, formatId('Conversation', conversationId));
  const spoken = await attributeItems(viewer, runtime, scenario, session, fresh);
  const currentAgentId = spoken.isHandedOver ? spoken.lastAgentId : findCurrentAgent(scenario, conversation, session);
  const batch = { conversationId, scenario, currentAgentId };
  const isNewest = isNewestOf(session);
  const routing = await findRouting(viewer, runtime, batch, spoken.items.filter(isNewest));
  let items = await checkItems(viewer, runtime, { conversationId, scenarioId, routing }, spoken.items, signal);
  const routed = routing && (await routeItems(viewer, runtime, batch, routing, items.filter(isNewest), signal));
  const routedTo = routed?.switched ? routed.decision.rootAgentId : null;
  if (routing && routedTo !== null && !routing.checkedBy.includes(routedTo)) {
    // As in a turn: the agent becomes the active one, and its guardrails then check what it is to answer.
    const by = { agentId: routedTo, conversationId };
    items = await Promise.all(
      items.map((item) => {
        const isItsOwn = item.itemId !== routing.itemId || item.agentId === routedTo;
        return isItsOwn ? item : checkFurther(viewer, runtime, by, item, signal);
      }),
    );
  }
  const nextAgentId = routedTo ?? (spoken.isHandedOver ? spoken.lastAgentId : null);
  signal.throwIfAborted();
  const stored = await storeItems(viewer, runs.db, session, { items, routed, nextAgentId });
  runs.feed.wake(viewer);
  return stored;
}

interface Attributed {
  readonly items: readonly AttributedItem[];
  /** Who has spoken last. */
  readonly lastAgentId: string;
  /** Whether that is another agent than before: the agents have handed over to each other. */
  readonly isHandedOver: boolean;
}

/**
 * Finds the agent of each item: who is named, else who has spoken before it.
 * @throws {BadUserInputError} if an item names no agent of the scenario
 */
async function attributeItems(
  viewer: Viewer,
  { runs }: RealtimeRuntime,
  { members }: ScenarioGraph,
  session: RealtimeSession,
  items: readonly TranscriptItem[],
): Promise<Attributed> {
  const resolved = await resolveAgents(viewer, runs.agents, [...members.keys()]);
  const idsByName = new Map([...resolved.values()].map(({ agent }) => [agent.name, agent.id]));
  const isNewest = isNewestOf(session);
  let agentId = session.activeAgentId;
  let lastAgentId = session.activeAgentId;
  const attributed = items.map((item) => {
    const named = item.agentName === null ? agentId : idsByName.get(item.agentName);
    if (named === undefined) {
      throw badInput(['items', item.index, 'agentName'], 'names no agent of the scenario of the session');
    }
    agentId = named;
    if (isNewest(item)) lastAgentId = named;
    return { ...item, agentId: named };
  });
  return { items: attributed, lastAgentId, isHandedOver: lastAgentId !== session.activeAgentId };
}

/** Whether an item is not late: what is late was said before somebody else was active. */
function isNewestOf({ lastItemAt }: Pick<RealtimeSession, 'lastItemAt'>) {
  return ({ at }: Pick<TranscriptItem, 'at'>) => lastItemAt === null || at >= lastItemAt;
}
