import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { type MessageRole, Prisma } from '../generated/prisma/client.ts';
import { isReadable } from '../projects/access.ts';

/** The latest conversations among which those of a project are looked for. */
const maxSearched = 200;

/** A message of a recent turn. */
export interface RecentMessage {
  readonly conversationId: string;
  readonly title: string;
  readonly role: MessageRole;
  /** The beginning of its text. */
  readonly content: string;
}

/**
 * The last messages of the viewer's latest conversations: the latest conversation first, and in each the oldest message
 * first. Without those of projects of which the viewer is no member any more, without those of turns that are under way (guardrails may still check them beside the model), wait in the queue or
 * were stopped by a guardrail, and without those that are blocked. One statement.
 * @param options.projectId only conversations of this project, by its row id; null: all
 * @param options.maxCharacters of each message
 */
export function readRecentTurns(
  viewer: Viewer,
  db: Db,
  options: {
    readonly projectId: string | null;
    readonly maxConversations: number;
    readonly maxMessages: number;
    readonly maxCharacters: number;
  },
): Promise<RecentMessage[]> {
  const { tenantId, userId } = viewer;
  const { projectId, maxConversations, maxMessages, maxCharacters } = options;
  return db.$queryRaw<RecentMessage[]>`
    WITH latest AS (
      SELECT id, title, updated_at FROM (
        SELECT id, title, updated_at, project_id FROM conversations
        WHERE tenant_id = ${tenantId} AND user_id = ${userId} AND NOT is_archived
        ORDER BY updated_at DESC, id DESC LIMIT ${maxSearched}
      ) AS searched
      WHERE (${projectId}::uuid IS NULL OR project_id = ${projectId}::uuid)
        AND ${isReadable(viewer, Prisma.sql`searched.project_id`)}
      ORDER BY updated_at DESC, id DESC LIMIT ${maxConversations}
    )
    SELECT c.id AS "conversationId", c.title, m.role, m.content
    FROM latest AS c CROSS JOIN LATERAL (
      SELECT m.position, m.role, left(m.content, ${maxCharacters}) AS content
      FROM messages AS m
      LEFT JOIN runs AS started ON started.conversation_id = m.conversation_id AND started.user_message_id = m.id
        AND started.is_current
      LEFT JOIN runs AS wrote ON wrote.id = m.run_id
      WHERE m.tenant_id = ${tenantId} AND m.conversation_id = c.id AND m.position IS NOT NULL
        AND m.role IN ('USER', 'ASSISTANT') AND m.status IN ('COMPLETE', 'PARTIAL', 'REDACTED')
        AND started.status IS DISTINCT FROM 'RUNNING' AND wrote.status IS DISTINCT FROM 'RUNNING'
        AND started.error_code IS DISTINCT FROM 'GUARDRAIL_TRIPPED'
        AND wrote.error_code IS DISTINCT FROM 'GUARDRAIL_TRIPPED'
      ORDER BY m.position DESC LIMIT ${maxMessages}
    ) AS m
    ORDER BY c.updated_at DESC, c.id DESC, m.position`;
}
