import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { type KnowledgeBase, Prisma } from '../../generated/prisma/client.ts';
import { isReadable } from '../../projects/access.ts';

/**
 * The knowledge bases that agents search, of those that the viewer may read. Two statements for any number of agents.
 * @param agentIds row ids
 * @returns the bases of each agent, in the order in which they were given
 */
export async function readBasesOfAgents(
  viewer: Viewer,
  db: Db,
  agentIds: readonly string[],
): Promise<KnowledgeBase[][]> {
  const { tenantId } = viewer;
  const pairs = await db.$queryRaw<{ agentId: string; baseId: string }[]>`
    SELECT a.agent_id::text AS "agentId", b.id::text AS "baseId" FROM agent_knowledge_bases AS a
    JOIN knowledge_bases AS b ON b.tenant_id = a.tenant_id AND b.id = a.knowledge_base_id
    WHERE a.tenant_id = ${tenantId} AND a.agent_id = ANY(${[...agentIds]}::uuid[])
      AND b.deleted_at IS NULL AND ${isReadable(viewer, Prisma.sql`b.project_id`)}
    ORDER BY a.position`;
  const ids = [...new Set(pairs.map(({ baseId }) => baseId))];
  const rows = ids.length === 0 ? [] : await db.knowledgeBase.findMany({ where: { tenantId, id: { in: ids } } });
  const bases = new Map(rows.map((base) => [base.id, base]));
  return agentIds.map((id) =>
    pairs.flatMap(({ agentId, baseId }) => (agentId === id ? (bases.get(baseId) ?? []) : [])),
  );
}
