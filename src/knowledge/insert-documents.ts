import { ConflictError } from '../api/errors.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import { indexDocumentJob } from './jobs.ts';
import type { KnowledgeRuntime } from './runtime.ts';
import { writeSource } from './sources.ts';

/** A document that is to be added. */
export interface NewDocument {
  /** A fresh row id. */
  readonly id: string;
  readonly title: string;
  readonly mediaType: string;
  readonly url: string | null;
  readonly metadata: Prisma.InputJsonObject;
  /** Null: it is read from its address. */
  readonly data: Buffer | null;
}

/**
 * Adds documents with their sources to a base, and has them indexed when the transaction has committed. The caller wakes
 * the readers of the base then.
 * @throws {ConflictError} if the base would have too many, or was deleted meanwhile
 */
export async function insertDocuments(
  tx: Prisma.TransactionClient,
  { jobs, bounds }: Pick<KnowledgeRuntime, 'jobs' | 'bounds'>,
  base: { readonly tenantId: string; readonly id: string },
  documents: readonly NewDocument[],
): Promise<void> {
  const { tenantId, id: knowledgeBaseId } = base;
  // The row is locked: two who add at the same time do not both take the last place.
  const [found] = await tx.$queryRaw<{ documents: number }[]>`
    SELECT document_count AS documents FROM knowledge_bases
    WHERE tenant_id = ${tenantId} AND id = ${knowledgeBaseId}::uuid AND deleted_at IS NULL FOR UPDATE`;
  if (found === undefined) throw new ConflictError('The knowledge base was deleted meanwhile.');
  if (found.documents + documents.length > bounds.documentsPerBase)
    throw new ConflictError(
      `The knowledge base has ${found.documents} documents, and it may have ${bounds.documentsPerBase}.`,
    );
  const rows = documents.map(({ data, ...columns }) => {
    return { row: { ...columns, tenantId, knowledgeBaseId, size: data?.length ?? 0 }, data };
  });
  await tx.knowledgeDocument.createMany({ data: rows.map(({ row }) => row) });
  for (const { row, data } of rows) {
    const key = { tenantId, knowledgeBaseId, documentId: row.id, revision: 1 };
    if (data !== null) await writeSource(tx, key, data);
    await jobs.enqueue(tx, indexDocumentJob, { tenantId, documentId: row.id, revision: 1 }, { group: tenantId });
  }
}
