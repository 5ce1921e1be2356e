import { randomUUIDv7 } from 'node:crypto';
import { ConflictError, NotFoundError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import { lockForMerge, mergeMessages } from '../conversations/merge-messages.ts';
import type { Database } from '../database/client.ts';
import type { Routed } from '../engine/routing.ts';
import type { Prisma, RealtimeSession } from '../generated/prisma/client.ts';
import { writeRouted } from '../orchestration/last-decision.ts';
import type { CheckedItem } from './check-items.ts';
import { findKnownItems } from './known-items.ts';
import { realtimeLimits } from './limits.ts';
import { placeItems } from './place-items.ts';
import { hasEnded } from './sessions.ts';

/** What a batch writes. Ids are row ids. */
export interface CheckedBatch {
  /** In the order in which they were spoken. */
  readonly items: readonly CheckedItem[];
  /** The decision about the last item; null: none was made. */
  readonly routed: Routed | null;
  /** The agent that is to be the active one of the session and of the conversation; null: they stay. */
  readonly nextAgentId: string | null;
}

/**
 * Stores a batch in one transaction: the messages, the items, the results of the guardrails, the active agent. It locks the
 * conversation first, as whoever adds a message does, so that of two requests with the same item the later one finds it
 * recorded. Four statements, two more for results and for items that were recorded meanwhile, four more for late items.
 * @returns the row ids of the messages, by the ids of the items
 * @throws {ConflictError} if the session has ended or is full, or an item was recorded meanwhile with another text
 */
export function storeItems(
  viewer: Viewer,
  db: Database,
  session: RealtimeSession,
  batch: CheckedBatch,
): Promise<ReadonlyMap<string, string>> {
  return db.$transaction((tx) => store(tx, viewer, session, batch));
}

async function store(
  tx: Prisma.TransactionClient,
  viewer: Viewer,
  session: RealtimeSession,
  batch: CheckedBatch,
): Promise<ReadonlyMap<string, string>> {
  const { items, nextAgentId } = batch;
  const { conversationId } = session;
  const conversation = await lockForMerge(tx, viewer, conversationId);
  if (conversation === null)
    throw new NotFoundError(`There is no ${formatId('Conversation', conversationId)} any more.`);
  // What another request has recorded meanwhile was checked there: its text is compared with what is given here only if no
  // guardrail has changed it.
  const comparable = items.map(({ itemId, role, content }) => ({ itemId, role, content }));
  const known = await findKnownItems(tx, viewer, session, comparable);
  const fresh = items.filter(({ itemId }) => !known.has(itemId)).map((item) => ({ ...item, id: randomUUIDv7() }));
  if (fresh.length === 0) return known;
  const at = fresh.at(-1)?.at ?? new Date();
  const lastItemAt = await countItems(tx, viewer, session, { count: fresh.length, at, nextAgentId });
  // While it was checked, another request has recorded what was said after it: it is late now, and moves nobody.
  const isOvertaken = lastItemAt !== null && at < lastItemAt;
  const routed = isOvertaken ? null : batch.routed;
  const { added, moved } = await placeItems(tx, viewer, { ...session, lastItemAt }, fresh, conversation.messageCount);

  const isInScenario = conversation.scenarioId === session.scenarioId;
  const isSwitch = isInScenario && !isOvertaken && nextAgentId !== conversation.activeAgentId;
  const activeAgentId = isSwitch ? nextAgentId : null;
  const routedItemId = routed === null ? null : items.at(-1)?.itemId;
  await mergeMessages(tx, viewer, conversationId, {
    added: fresh.map((item) => ({
      id: item.id,
      role: item.role,
      content: item.content,
      status: item.status,
      agentId: item.role === 'ASSISTANT' ? item.agentId : null,
      createdAt: clampTime(item.at, session.createdAt),
      position: added.get(item.id) ?? 0,
      routingDecision: routed !== null && item.itemId === routedItemId ? writeRouted(routed) : null,
      guardrailResults: item.results,
    })),
    moved,
    activeAgentId,
  });
  await tx.realtimeItem.createMany({
    data: fresh.map(({ id, itemId, at }) => ({ conversationId, itemId, sessionId: session.id, messageId: id, at })),
  });
  return new Map([...known, ...fresh.map(({ itemId, id }) => [itemId, id] as const)]);
}

/**
 * Counts the items of a session, by the clock of the database, and notes who speaks next, unless something newer is recorded.
 * @returns the time of the newest item before
 * @throws {ConflictError} if the session has ended, or is full
 */
async function countItems(
  tx: Prisma.TransactionClient,
  { tenantId, userId }: Viewer,
  session: RealtimeSession,
  { count, at, nextAgentId }: { readonly count: number; readonly at: Date; readonly nextAgentId: string | null },
): Promise<Date | null> {
  const max = realtimeLimits.itemsOfSession;
  // Only this transaction writes the row now: it has the lock of the conversation.
  const [before] = await tx.$queryRaw<{ lastItemAt: Date | null; isOpen: boolean; isFull: boolean }[]>`
    WITH before AS (
      SELECT id, last_item_at, ended_at IS NULL AND ends_at > now() AS is_open,
        item_count + ${count}::integer > ${max}::integer AS is_full
      FROM realtime_sessions WHERE id = ${session.id}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId}
      FOR NO KEY UPDATE
    ), counted AS (
      UPDATE realtime_sessions AS s SET item_count = s.item_count + ${count}::integer,
        last_item_at = greatest(s.last_item_at, ${at}::timestamptz),
        active_agent_id = CASE WHEN before.last_item_at > ${at}::timestamptz THEN s.active_agent_id
          ELSE coalesce(${nextAgentId}::uuid, s.active_agent_id) END
      FROM before WHERE s.id = before.id AND is_open AND NOT is_full
    )
    SELECT last_item_at AS "lastItemAt", is_open AS "isOpen", is_full AS "isFull" FROM before`;
  if (before?.isOpen !== true) throw hasEnded(session.id);
  if (before.isFull) {
    const limit = max.toLocaleString('en-US');
    throw new ConflictError(
      `A realtime session has at most ${limit} items. Start another one in the same conversation.`,
    );
  }
  return before.lastItemAt;
}

/** The clock of a client may be wrong: no message is older than its session, or from the future. */
function clampTime(at: Date, begin: Date): Date {
  return new Date(Math.min(Math.max(at.getTime(), begin.getTime()), Date.now()));
}
