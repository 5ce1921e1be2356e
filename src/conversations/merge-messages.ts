import type { Viewer } from '../auth/viewer.ts';
import type { GuardResult } from '../engine/guard.ts';
import { type Message, Prisma } from '../generated/prisma/client.ts';
import type { StoredRoutingDecision } from './routing-decision.ts';
import { makeTitle, untitled } from './text.ts';

/** A conversation whose row is locked. */
export interface MergeTarget {
  readonly messageCount: number;
  readonly scenarioId: string | null;
  readonly activeAgentId: string | null;
}

/** A message of a transcript, with the position that it takes. Ids are row ids. */
interface MergedMessage extends Pick<Message, 'id' | 'role' | 'content' | 'agentId' | 'createdAt'> {
  readonly position: number;
  readonly status: 'COMPLETE' | 'REDACTED' | 'BLOCKED';
  readonly routingDecision: StoredRoutingDecision | null;
  /** What guardrails decided about it. */
  readonly guardrailResults: readonly GuardResult[];
}

/** What is merged into a conversation in one transaction. */
export interface MessageMerge {
  /** In the order of their positions. At least one. */
  readonly added: readonly MergedMessage[];
  /** Messages that make room for them, with their new positions. */
  readonly moved: readonly { readonly id: string; readonly position: number }[];
  /** The new active agent; null: it stays as it is. */
  readonly activeAgentId: string | null;
}

/**
 * Locks the row of a conversation of the viewer until the transaction ends: whoever adds a message waits. One statement.
 * @returns null if there is no such conversation
 */
export async function lockForMerge(
  tx: Prisma.TransactionClient,
  { tenantId, userId }: Viewer,
  conversationId: string,
): Promise<MergeTarget | null> {
  const [locked] = await tx.$queryRaw<MergeTarget[]>`
    SELECT message_count AS "messageCount", scenario_id::text AS "scenarioId", active_agent_id::text AS "activeAgentId"
    FROM conversations WHERE id = ${conversationId}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId}
    FOR NO KEY UPDATE`;
  return locked ?? null;
}

/** The last messages of a conversation, the newest first. One statement. */
export function listLastMessages(
  tx: Prisma.TransactionClient,
  { tenantId }: Viewer,
  conversationId: string,
  max: number,
): Promise<{ readonly id: string; readonly position: number }[]> {
  return tx.$queryRaw<{ id: string; position: number }[]>`
    SELECT id::text, position FROM messages
    WHERE tenant_id = ${tenantId} AND conversation_id = ${conversationId}::uuid AND position IS NOT NULL
    ORDER BY position DESC LIMIT ${max}`;
}

/**
 * Which messages say what a client says that they do. The texts are compared by the database, which returns none. A text that
 * a guardrail has changed cannot be compared, and counts as the same. One statement.
 * @returns the ids of those that say the same
 */
export async function findSameMessages(
  tx: Pick<Prisma.TransactionClient, '$queryRaw'>,
  { tenantId }: Viewer,
  conversationId: string,
  said: readonly Pick<Message, 'id' | 'role' | 'content'>[],
): Promise<Set<string>> {
  if (said.length === 0) return new Set();
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT m.id::text FROM json_to_recordset(${JSON.stringify(said)}::json) AS said (id uuid, role text, content text)
    JOIN messages AS m ON m.id = said.id
    WHERE m.tenant_id = ${tenantId} AND m.conversation_id = ${conversationId}::uuid AND m.role::text = said.role
      AND (m.status IN ('REDACTED', 'BLOCKED') OR m.content = said.content)`;
  return new Set(rows.map(({ id }) => id));
}

/**
 * Adds messages of a transcript to a conversation whose row is locked. Messages that move are reported as added again, with
 * their new positions, before the new ones: caches then put these in the right place. The first user message that
 * is not blocked becomes the title of an untitled conversation. One statement, three if messages move, one more for what
 * guardrails decided.
 */
export async function mergeMessages(
  tx: Prisma.TransactionClient,
  { tenantId }: Viewer,
  conversationId: string,
  { added, moved, activeAgentId }: MessageMerge,
): Promise<void> {
  if (moved.length > 0) {
    // Positions are unique at every moment, so they are given up first. Taking a position again is what triggers the event.
    const ids = moved.map(({ id }) => id);
    await tx.$executeRaw`
      UPDATE messages SET position = NULL
      WHERE tenant_id = ${tenantId} AND conversation_id = ${conversationId}::uuid AND id = ANY(${ids}::uuid[])`;
    await tx.$executeRaw`
      UPDATE messages SET position = place.position
      FROM json_to_recordset(${JSON.stringify(moved)}::json) AS place (id uuid, position integer)
      WHERE messages.tenant_id = ${tenantId} AND messages.conversation_id = ${conversationId}::uuid
        AND messages.id = place.id`;
  }
  const title = makeTitle(added.find(({ role, status }) => role === 'USER' && status !== 'BLOCKED')?.content ?? '');
  const hasTitle = title !== untitled;
  const switched =
    activeAgentId === null
      ? Prisma.empty
      : Prisma.sql`, active_agent_id = ${activeAgentId}::uuid, follows_default = false`;
  const rows = added.map(({ routingDecision, createdAt, guardrailResults: _results, ...message }) => ({
    ...message,
    createdAt: createdAt.toISOString(),
    routingDecision,
  }));
  // What has moved follows another message now, which may be a new one.
  const follow =
    moved.length === 0
      ? Prisma.sql`SELECT 1`
      : Prisma.sql`UPDATE messages AS m SET parent_id = before.id FROM (
          SELECT id, position FROM added
          UNION ALL
          SELECT id, position FROM messages WHERE conversation_id = ${conversationId}::uuid
            AND position >= ${Math.min(...moved.map(({ position }) => position)) - 1}::integer
        ) AS before
        WHERE m.tenant_id = ${tenantId} AND m.id = ANY(${moved.map(({ id }) => id)}::uuid[])
          AND before.position = m.position - 1`;
  await tx.$executeRaw`
    WITH merged AS (
      UPDATE conversations SET message_count = message_count + ${added.length}::integer,
        updated_at = greatest(updated_at, clock_timestamp()),
        title = CASE WHEN auto_title AND ${hasTitle} THEN ${title} ELSE title END,
        auto_title = auto_title AND NOT ${hasTitle} ${switched}
      WHERE tenant_id = ${tenantId} AND id = ${conversationId}::uuid
      RETURNING id
    ), added AS (
      INSERT INTO messages (id, tenant_id, conversation_id, position, role, status, content, agent_id, source,
      routing_decision, created_at)
    SELECT m.id, ${tenantId}, merged.id, m.position, m.role::"MessageRole", m.status::"MessageStatus", m.content,
      m."agentId", 'REALTIME', m."routingDecision", m."createdAt"
    FROM merged, json_to_recordset(${JSON.stringify(rows)}::json) AS m (id uuid, position integer, role text, status text,
      content text, "agentId" uuid, "routingDecision" jsonb, "createdAt" timestamptz)
      RETURNING id, position
    )
    ${follow}`;
  const results = added.flatMap(({ id: messageId, guardrailResults }) =>
    guardrailResults.map(({ decision, ...result }) => {
      const { categories, ...rest } = decision;
      return { ...result, tenantId, messageId, step: 0, decision: { ...rest, categories: [...categories] } };
    }),
  );
  if (results.length > 0) await tx.guardrailResult.createMany({ data: results });
}

/**
 * Makes an agent the active one of a conversation in a scenario, and locks its row until the transaction ends. One statement.
 * @returns whether there is such a conversation of the viewer
 */
export async function switchAgent(
  tx: Prisma.TransactionClient,
  { tenantId, userId }: Viewer,
  conversationId: string,
  to: { readonly scenarioId: string; readonly agentId: string },
): Promise<boolean> {
  const count = await tx.$executeRaw`
    UPDATE conversations SET active_agent_id = ${to.agentId}::uuid, follows_default = false,
      updated_at = greatest(updated_at, clock_timestamp())
    WHERE id = ${conversationId}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId}
      AND scenario_id = ${to.scenarioId}::uuid`;
  return count > 0;
}
