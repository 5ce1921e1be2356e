import type { Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';

/**
 * Deletes conversations with all that hangs on them (messages, runs, archives, calls, results of guardrails, realtime
 * sessions), by foreign keys, in one statement; the counters of their users change with them, and their readers get
 * ConversationDeleted. Usage in the ledger stays. What somebody else is changing at this moment is left out.
 * @param which the conversations, as a condition on `c`; it names their tenant, or is meant for all tenants
 * @param limit how many at most
 * @returns their users, one entry for each conversation
 */
export function deleteConversationRows(
  db: Pick<Db, '$queryRaw'>,
  which: Prisma.Sql,
  limit: number,
): Promise<{ readonly tenantId: string; readonly userId: string }[]> {
  return db.$queryRaw`
    WITH chosen AS (
      SELECT id FROM conversations AS c WHERE ${which} LIMIT ${limit} FOR UPDATE SKIP LOCKED
    ), gone AS (
      DELETE FROM conversations WHERE id IN (SELECT id FROM chosen) RETURNING tenant_id, user_id
    ), counted AS (
      UPDATE users AS u SET conversation_count = conversation_count - g.count
      FROM (SELECT tenant_id, user_id, count(*)::int AS count FROM gone GROUP BY 1, 2) AS g
      WHERE u.tenant_id = g.tenant_id AND u.id = g.user_id
    )
    SELECT tenant_id AS "tenantId", user_id AS "userId" FROM gone`;
}

/** No turn of it is under way or waits, and no call by voice goes on; as a condition on `c`. */
export const isAtRest = Prisma.sql`NOT EXISTS (
    SELECT 1 FROM runs AS r
    WHERE r.conversation_id = c.id AND r.status IN ('QUEUED', 'RUNNING', 'REQUIRES_ACTION')
  ) AND NOT EXISTS (
    SELECT 1 FROM realtime_sessions AS s
    WHERE s.conversation_id = c.id AND s.ended_at IS NULL AND s.ends_at > now()
  )`;
