import type { Db } from '../../database/client.ts';
import { sizeOf, writeVector } from './sizes.ts';

/** A base whose texts are embedded by a model. */
export interface EmbeddedBase {
  readonly tenantId: string;
  readonly knowledgeBaseId: string;
  /** Tells models apart: vectors of another one are not compared with these (`nameModel`). */
  readonly modelKey: string;
}

/** A text that has no vector yet. */
export interface TextToEmbed {
  readonly contentHash: string;
  readonly text: string;
}

/** Takes over the vectors that other bases of the tenant have for the texts of a document: the same model, the same texts. */
export async function copyVectors(db: Db, base: EmbeddedBase, documentId: string, generation: number): Promise<void> {
  const { tenantId, knowledgeBaseId, modelKey } = base;
  await db.$executeRaw`
    INSERT INTO knowledge_vectors (tenant_id, knowledge_base_id, model_key, content_hash, dimensions, size, embedding)
    SELECT DISTINCT ON (v.content_hash) v.tenant_id, ${knowledgeBaseId}::uuid, v.model_key, v.content_hash, v.dimensions,
      v.size, v.embedding
    FROM knowledge_chunks AS c
    JOIN knowledge_vectors AS v
      ON v.tenant_id = c.tenant_id AND v.model_key = ${modelKey} AND v.content_hash = c.content_hash
    WHERE c.tenant_id = ${tenantId} AND c.knowledge_base_id = ${knowledgeBaseId}::uuid
      AND c.document_id = ${documentId}::uuid AND c.generation = ${generation}::int
    ON CONFLICT DO NOTHING`;
}

/** The next texts of a document that have no vector, in the order of the document. */
export function listTextsToEmbed(
  db: Db,
  base: EmbeddedBase,
  from: { readonly documentId: string; readonly generation: number; readonly max: number },
): Promise<TextToEmbed[]> {
  const { tenantId, knowledgeBaseId, modelKey } = base;
  return db.$queryRaw<TextToEmbed[]>`
    SELECT c.content_hash AS "contentHash", min(concat_ws(E'\n', array_to_string(c.headings, ' › '), c.text)) AS text
    FROM knowledge_chunks AS c
    WHERE c.tenant_id = ${tenantId} AND c.knowledge_base_id = ${knowledgeBaseId}::uuid
      AND c.document_id = ${from.documentId}::uuid AND c.generation = ${from.generation}::int
      AND NOT EXISTS (
        SELECT 1 FROM knowledge_vectors AS v
        WHERE v.tenant_id = c.tenant_id AND v.knowledge_base_id = c.knowledge_base_id AND v.model_key = ${modelKey}
          AND v.content_hash = c.content_hash
      )
    GROUP BY c.content_hash ORDER BY min(c.position) LIMIT ${from.max}::int`;
}

/** Stores vectors of texts that the base still has. A vector that is there already stays. */
export async function insertVectors(
  db: Db,
  { tenantId, knowledgeBaseId, modelKey }: EmbeddedBase,
  texts: readonly TextToEmbed[],
  vectors: readonly (readonly number[])[],
): Promise<void> {
  const dimensions = vectors[0]?.length ?? 0;
  const { size } = sizeOf(dimensions);
  await db.$executeRaw`
    INSERT INTO knowledge_vectors (tenant_id, knowledge_base_id, model_key, content_hash, dimensions, size, embedding)
    SELECT ${tenantId}, ${knowledgeBaseId}::uuid, ${modelKey}, t.content_hash, ${dimensions}::int, ${size}::int,
      t.embedding::vector
    FROM unnest(${texts.map(({ contentHash }) => contentHash)}::text[], ${vectors.map(writeVector)}::text[])
      AS t (content_hash, embedding)
    WHERE EXISTS (
      SELECT 1 FROM knowledge_chunks AS c
      WHERE c.tenant_id = ${tenantId} AND c.content_hash = t.content_hash
        AND c.knowledge_base_id = ${knowledgeBaseId}::uuid
    )
    ORDER BY t.content_hash
    ON CONFLICT DO NOTHING`;
}

/**
 * Deletes the vectors that other models have made of the texts of a document, if the base still has the embedding provider
 * that it was indexed with: whoever was slow, and knows only the provider before, deletes nothing.
 * @param column the base's `embedding` as it was read
 */
export async function dropOtherVectors(
  db: Db,
  base: EmbeddedBase,
  { documentId, column }: { readonly documentId: string; readonly column: unknown },
): Promise<void> {
  const { tenantId, knowledgeBaseId, modelKey } = base;
  await db.$executeRaw`
    DELETE FROM knowledge_vectors AS v USING knowledge_chunks AS c
    WHERE c.tenant_id = ${tenantId} AND c.knowledge_base_id = ${knowledgeBaseId}::uuid
      AND c.document_id = ${documentId}::uuid AND v.tenant_id = c.tenant_id
      AND v.knowledge_base_id = c.knowledge_base_id AND v.content_hash = c.content_hash AND v.model_key <> ${modelKey}
      AND EXISTS (
        SELECT 1 FROM knowledge_bases AS b
        WHERE b.tenant_id = ${tenantId} AND b.id = ${knowledgeBaseId}::uuid
          AND b.embedding IS NOT DISTINCT FROM ${column === null ? null : JSON.stringify(column)}::jsonb
      )`;
}
