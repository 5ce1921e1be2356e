import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';

/**
 * The places of runs in the queues of their conversations, in one statement.
 * @param runIds row ids
 * @returns in the order of the ids: 1 for the next to begin; null: the run is not queued
 */
export async function findQueuePositions(
  { tenantId, userId }: Viewer,
  db: Db,
  runIds: readonly string[],
): Promise<(number | null)[]> {
  const rows = await db.$queryRaw<{ id: string; position: number }[]>`
    SELECT r.id::text, (
      SELECT count(*)::int FROM runs q
      WHERE q.conversation_id = r.conversation_id AND q.status = 'QUEUED' AND q.number <= r.number
    ) AS position
    FROM runs r
    WHERE r.id = ANY(${[...runIds]}::uuid[]) AND r.tenant_id = ${tenantId} AND r.user_id = ${userId}
      AND r.status = 'QUEUED'`;
  const positions = new Map(rows.map(({ id, position }) => [id, position]));
  return runIds.map((id) => positions.get(id) ?? null);
}
