import type { z } from 'zod';
import type { Db } from '../database/client.ts';
import type { KnowledgeBase } from '../generated/prisma/client.ts';
import { indexDocumentJob, reindexBaseJob } from './jobs.ts';
import type { KnowledgeRuntime } from './runtime.ts';
import { locateModel } from './vectors/embedding-config.ts';

/** Documents that one transaction puts into the queue. */
const batch = 50;

/** The parts of the runtime that putting documents into the queue takes. */
type Dependencies = Pick<KnowledgeRuntime, 'db' | 'jobs' | 'changes'>;

/** How far a request is. */
type Position = z.output<typeof reindexBaseJob.payload>;

/** Another request, or another attempt at the same batch, was faster: what this one has written is rolled back. */
class OvertakenError extends Error {
  override readonly name = 'OvertakenError';
}

/** Has all documents of a base indexed again: the first ones at once, the others by a job. */
export async function reindexDocuments(
  knowledge: Dependencies,
  base: Pick<KnowledgeBase, 'tenantId' | 'id'>,
): Promise<void> {
  const { tenantId, id } = base;
  // The words are collected anew.
  await knowledge.db.knowledgeWord.deleteMany({ where: { tenantId, knowledgeBaseId: id } });
  const position = await requestReindex(knowledge.db, base);
  if (position !== null) await reindexFrom(knowledge, position);
}

/**
 * Makes a request to index all documents of a base again, from the first one on. Requests before it end where they are.
 * @param db with a transaction, the caller also enqueues `reindexBaseJob` in it
 * @returns where it begins; null: the base is gone
 */
export async function requestReindex(
  db: Db,
  { tenantId, id }: Pick<KnowledgeBase, 'tenantId' | 'id'>,
): Promise<Position | null> {
  const [requested] = await db.$queryRaw<{ request: number; now: Date }[]>`
    UPDATE knowledge_bases SET reindex_request = reindex_request + 1, reindex_after = NULL
    WHERE tenant_id = ${tenantId} AND id = ${id}::uuid AND deleted_at IS NULL
    RETURNING reindex_request AS request, clock_timestamp() AS now`;
  if (requested === undefined) return null;
  const { request, now } = requested;
  // A millisecond more: moments in the database are finer than those here, and are rounded.
  return { tenantId, baseId: id, after: null, before: new Date(now.getTime() + 1).toISOString(), request };
}

/**
 * Has all bases of a tenant indexed again that use an embedding model, which was replaced behind its name. In the transaction
 * that notes it.
 * @param modelKey of `nameModel`
 */
export async function reindexBasesOfModel(
  tx: Db,
  { jobs, embeddingDefault }: Pick<KnowledgeRuntime, 'jobs' | 'embeddingDefault'>,
  tenantId: string,
  modelKey: string,
): Promise<void> {
  const select = { id: true, tenantId: true, embedding: true } as const;
  // In one order, so that two do not wait for each other in a circle.
  const bases = await tx.knowledgeBase.findMany({
    where: { tenantId, deletedAt: null },
    select,
    orderBy: { id: 'asc' },
  });
  for (const base of bases) {
    if (locateModel(embeddingDefault, base.embedding)?.key !== modelKey) continue;
    const position = await requestReindex(tx, base);
    if (position !== null) await jobs.enqueue(tx, reindexBaseJob, position);
  }
}

/**
 * Puts a batch of documents into the queue as new revisions, and a job for those that follow. One transaction: if it is
 * done again, or if there is a later request, nothing is written.
 */
export async function reindexFrom(knowledge: Dependencies, position: Position): Promise<void> {
  const { tenantId, baseId } = position;
  if (position.request === null) {
    const renewed = await requestReindex(knowledge.db, { tenantId, id: baseId });
    return renewed === null ? undefined : reindexFrom(knowledge, renewed);
  }
  if (!(await isNext(knowledge.db, position))) return;
  try {
    await knowledge.db.$transaction((tx) => queueBatch(tx, knowledge, position));
  } catch (error) {
    if (!(error instanceof OvertakenError)) throw error;
  }
  knowledge.changes.wake(baseId);
}

/** Whether the request is the last one, and stands where the position says. */
async function isNext(db: Db, { tenantId, baseId, after, request }: Position): Promise<boolean> {
  const where = { tenantId, id: baseId, deletedAt: null, reindexRequest: request ?? 0, reindexAfter: after };
  return (await db.knowledgeBase.findFirst({ where, select: { id: true } })) !== null;
}

async function queueBatch(tx: Db, { jobs }: Dependencies, position: Position): Promise<void> {
  const { tenantId, baseId, after, before, request } = position;
  // An array, which is read once: the planner may carry IN out for each document anew, and would take more than a batch.
  const documents = await tx.$queryRaw<{ id: string; revision: number }[]>`
    UPDATE knowledge_documents SET revision = revision + 1, status = 'QUEUED', progress = 0, error = NULL, updated_at = now()
    WHERE tenant_id = ${tenantId} AND id = ANY(ARRAY(
      SELECT id FROM knowledge_documents
      WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${baseId}::uuid AND created_at <= ${before}::timestamptz
        AND (${after}::uuid IS NULL OR id > ${after}::uuid)
      ORDER BY id LIMIT ${batch} FOR UPDATE))
    RETURNING id, revision`;
  const ids = documents.map(({ id }) => id).sort();
  const last = documents.length === batch ? (ids.at(-1) ?? null) : null;
  // After the documents: whoever changes one locks it before its base, too. A request that has ended stands after its last one.
  const moved = await tx.$executeRaw`
    UPDATE knowledge_bases SET reindex_after = ${ids.at(-1) ?? after}::uuid
    WHERE tenant_id = ${tenantId} AND id = ${baseId}::uuid AND reindex_request = ${request}
      AND reindex_after IS NOT DISTINCT FROM ${after}::uuid`;
  if (moved === 0) throw new OvertakenError('Another request to index the base again has begun.');
  for (const { id, revision } of documents) {
    await tx.$executeRaw`
      UPDATE knowledge_source_parts SET revision = ${revision}
      WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${baseId}::uuid AND document_id = ${id}::uuid
        AND revision = ${revision - 1}`;
    await jobs.enqueue(tx, indexDocumentJob, { tenantId, documentId: id, revision }, { group: tenantId });
  }
  if (last !== null) await jobs.enqueue(tx, reindexBaseJob, { ...position, after: last });
}
