import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import type { Db } from '../database/client.ts';
import type { deleteBaseJob } from './jobs.ts';

/** Rows that one statement deletes. A part of a source has half a megabyte. */
const batch = { documents: 20, chunks: 100, sourceParts: 8, words: 500 } as const;
const beingDeleted = 'Its knowledge base was deleted.';
/** A pause after each statement: others use the database too. */
const pauseMs = 5;

/**
 * Deletes the rows of a base that was deleted, in small statements, and the base at last. If it is interrupted, the same call
 * goes on.
 * @throws the signal's reason when it is aborted
 */
export async function deleteBaseRows(
  { db }: { readonly db: Db },
  { tenantId, baseId }: z.output<typeof deleteBaseJob.payload>,
  signal: AbortSignal,
): Promise<void> {
  const where = { tenantId, id: baseId, deletedAt: { not: null } };
  if ((await db.knowledgeBase.findFirst({ where, select: { id: true } })) === null) return;
  const repeat = async (most: number, work: () => Promise<number>) => {
    for (let deleted = most; deleted >= most; await sleep(pauseMs)) {
      signal.throwIfAborted();
      deleted = await work();
    }
  };
  const ofBase = { tenantId, knowledgeBaseId: baseId };
  await repeat(batch.documents, async () => {
    // Attempts at indexing them write no more, and none begins.
    const documents = await db.$queryRaw<{ id: string }[]>`
      UPDATE knowledge_documents SET status = 'FAILED', error = ${beingDeleted}, attempt = attempt + 1
      WHERE tenant_id = ${tenantId} AND id = ANY(ARRAY(
        SELECT id FROM knowledge_documents WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${baseId}::uuid
        ORDER BY created_at, id LIMIT ${batch.documents} FOR UPDATE))
      RETURNING id::text`;
    const ids = documents.map(({ id }) => id);
    await repeat(
      batch.chunks,
      () => db.$executeRaw`
        DELETE FROM knowledge_chunks WHERE tenant_id = ${tenantId} AND id = ANY(ARRAY(
          SELECT id FROM knowledge_chunks WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${baseId}::uuid
            AND document_id = ANY(${ids}::uuid[]) LIMIT ${batch.chunks}))`,
    );
    await repeat(
      batch.sourceParts,
      () => db.$executeRaw`
        WITH found AS MATERIALIZED (
          SELECT document_id, revision, position FROM knowledge_source_parts
          WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${baseId}::uuid AND document_id = ANY(${ids}::uuid[])
          LIMIT ${batch.sourceParts}
        )
        DELETE FROM knowledge_source_parts AS p USING found
        WHERE p.tenant_id = ${tenantId} AND p.knowledge_base_id = ${baseId}::uuid AND p.document_id = found.document_id
          AND p.revision = found.revision AND p.position = found.position`,
    );
    await db.knowledgeDocument.deleteMany({ where: { ...ofBase, id: { in: ids } } });
    return ids.length;
  });
  await repeat(
    batch.words,
    () => db.$executeRaw`
      DELETE FROM knowledge_words WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${baseId}::uuid AND word = ANY(ARRAY(
        SELECT word FROM knowledge_words WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${baseId}::uuid
        LIMIT ${batch.words}))`,
  );
  await db.knowledgeBase.deleteMany({ where });
}
