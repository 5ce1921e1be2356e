import type { Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import type { Chunk } from './parse/chunk.ts';
import type { WrittenGeneration } from './runtime.ts';

/** Another attempt at the document has begun, or it was changed or deleted: this one writes nothing more. */
export class SupersededError extends Error {
  override readonly name = 'SupersededError';
}

/** A document that is being indexed: its generation is the number of the attempt. */
export interface Indexing extends Omit<WrittenGeneration, 'chunkCount'> {
  readonly revision: number;
  readonly title: string;
  readonly language: string;
}

/** The condition for the document of an attempt, as long as that may write. */
export function isOfAttempt({ tenantId, documentId, generation, revision }: Indexing): Prisma.Sql {
  return Prisma.sql`tenant_id = ${tenantId} AND id = ${documentId}::uuid AND attempt = ${generation}
    AND revision = ${revision} AND status = 'INDEXING'`;
}

/**
 * Writes chunks of the generation that is being indexed. One statement.
 * @param first the position of the first one
 * @throws {SupersededError} if the attempt may not write any more
 */
export async function storeChunks(db: Db, indexing: Indexing, first: number, chunks: readonly Chunk[]): Promise<void> {
  const { tenantId, knowledgeBaseId, generation, title, language } = indexing;
  const rows = chunks.map(({ headings, text, contentHash }, index) => ({
    position: first + index,
    headings,
    text,
    contentHash,
  }));
  const written = await db.$executeRaw`
    WITH document AS (
      -- Locked against whoever would begin another attempt.
      SELECT id FROM knowledge_documents WHERE ${isOfAttempt(indexing)} FOR SHARE
    )
    INSERT INTO knowledge_chunks (tenant_id, knowledge_base_id, document_id, generation, position, headings, text,
      content_hash, tsv)
    SELECT ${tenantId}, ${knowledgeBaseId}::uuid, document.id, ${generation}, chunk.position, found.headings, chunk.text,
      chunk."contentHash",
      setweight(to_tsvector(${language}::regconfig, concat_ws(' ', ${title}::text, array_to_string(found.headings, ' '))), 'A')
      || setweight(to_tsvector(${language}::regconfig, chunk.text), 'D')
      || array_to_tsvector(ARRAY[${`kb:${knowledgeBaseId}`}])
    FROM document, jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      AS chunk (position integer, headings jsonb, text text, "contentHash" text),
      LATERAL (SELECT ARRAY(SELECT jsonb_array_elements_text(chunk.headings)) AS headings) AS found`;
  if (written === 0) throw new SupersededError('Another attempt at the document has begun.');
}

/**
 * Has searches read the generation that was written, and deletes those before it. One transaction.
 * @throws {SupersededError} if the attempt may not write any more
 */
export async function switchGeneration(
  db: Db,
  indexing: Indexing,
  { chunks, size, mediaType }: { readonly chunks: number; readonly size: number; readonly mediaType: string },
): Promise<void> {
  const { tenantId, knowledgeBaseId, documentId, generation, revision } = indexing;
  const switched = await db.$executeRaw`
    UPDATE knowledge_documents SET status = 'READY', progress = 1, error = NULL, generation = attempt,
      chunk_count = ${chunks}, size = ${size}, media_type = ${mediaType}, updated_at = now()
    WHERE ${isOfAttempt(indexing)}`;
  if (switched === 0) throw new SupersededError('Another attempt at the document has begun.');
  await db.$executeRaw`
    DELETE FROM knowledge_chunks WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${knowledgeBaseId}::uuid
      AND document_id = ${documentId}::uuid AND generation <> ${generation}`;
  await db.$executeRaw`
    DELETE FROM knowledge_source_parts WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${knowledgeBaseId}::uuid
      AND document_id = ${documentId}::uuid AND revision < ${revision}`;
}
