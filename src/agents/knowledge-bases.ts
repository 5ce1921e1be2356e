import { ConflictError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { Prisma } from '../generated/prisma/client.ts';

/**
 * Stores which knowledge bases an agent searches, in the place of those that it had.
 * @throws {ConflictError} if one was deleted meanwhile
 */
export async function writeKnowledgeBases(
  tx: Prisma.TransactionClient,
  { tenantId, agentId }: { readonly tenantId: string; readonly agentId: string },
  knowledgeBaseIds: readonly string[],
): Promise<void> {
  await tx.agentKnowledgeBase.deleteMany({ where: { tenantId, agentId } });
  const ids = [...new Set(knowledgeBaseIds)];
  if (ids.length === 0) return;
  // Whoever deletes one waits for this, or this for them.
  const found = await tx.$queryRaw<{ id: string }[]>`
    SELECT id::text FROM knowledge_bases WHERE tenant_id = ${tenantId} AND id = ANY(${ids}::uuid[]) AND deleted_at IS NULL
    ORDER BY id FOR KEY SHARE`;
  if (found.length < ids.length) throw new ConflictError('A knowledge base of the agent was deleted meanwhile.');
  const data = ids.map((knowledgeBaseId, position) => ({ tenantId, agentId, knowledgeBaseId, position }));
  await tx.agentKnowledgeBase.createMany({ data });
}

/** The row ids of the knowledge bases that an agent of the viewer's tenant searches; empty: it has none of its own. */
export async function listBasesOfAgent({ tenantId }: Viewer, db: Db, agentId: string): Promise<readonly string[]> {
  const rows = await db.agentKnowledgeBase.findMany({
    where: { tenantId, agentId },
    select: { knowledgeBaseId: true },
    orderBy: { position: 'asc' },
  });
  return rows.map(({ knowledgeBaseId }) => knowledgeBaseId);
}
