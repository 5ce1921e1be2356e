import { createHash, randomUUID } from 'node:crypto';
import type { Database } from '../../src/database/client.ts';

/** A document of a test: each text is a chunk. */
export interface SeededDocument {
  readonly title: string;
  readonly texts: readonly string[];
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly url?: string;
}

/** Writes a base with its documents as the indexing does, without its jobs. @returns the row ids */
export async function seedBase(
  db: Database,
  documents: readonly SeededDocument[],
  base: { readonly tenantId?: string; readonly language?: string; readonly projectId?: string | null } = {},
): Promise<{ readonly baseId: string; readonly documentIds: string[] }> {
  const { tenantId = 'acme', language = 'english', projectId = null } = base;
  await db.$executeRaw`INSERT INTO tenants (id) VALUES (${tenantId}) ON CONFLICT DO NOTHING`;
  const baseId = randomUUID();
  await db.$executeRaw`
    INSERT INTO knowledge_bases (id, tenant_id, project_id, name, language, updated_at)
    VALUES (${baseId}::uuid, ${tenantId}, ${projectId}::uuid, 'A base', ${language}, now())`;
  const documentIds: string[] = [];
  for (const [place, { title, texts, metadata = {}, url = null }] of documents.entries()) {
    // In their order: two may be written within a millisecond.
    const documentId = randomUUID();
    documentIds.push(documentId);
    await db.$executeRaw`
      INSERT INTO knowledge_documents (id, tenant_id, knowledge_base_id, title, media_type, url, metadata, status,
        chunk_count, generation, created_at, updated_at)
      VALUES (${documentId}::uuid, ${tenantId}, ${baseId}::uuid, ${title}, 'text/plain', ${url},
        ${JSON.stringify(metadata)}::jsonb, 'READY', ${texts.length}::int, 1,
        now() - interval '1 hour' + ${place}::int * interval '1 millisecond', now())`;
    const hashes = texts.map((text) => createHash('sha256').update(text).digest('hex'));
    await db.$executeRaw`
      INSERT INTO knowledge_chunks (tenant_id, knowledge_base_id, document_id, generation, position, headings, text,
        content_hash, tsv)
      SELECT ${tenantId}, ${baseId}::uuid, ${documentId}::uuid, 1, t.position, '{}', t.text, t.hash,
        setweight(to_tsvector(${language}::regconfig, ${title}), 'A')
          || setweight(to_tsvector(${language}::regconfig, t.text), 'D') || array_to_tsvector(ARRAY[${`kb:${baseId}`}])
      FROM unnest(${[...texts]}::text[], ${hashes}::text[]) WITH ORDINALITY AS t (text, hash, position)`;
    const words = new Set(
      texts
        .join(' ')
        .toLowerCase()
        .match(/[\p{L}\p{N}]{3,40}/gu),
    );
    await db.$executeRaw`
      INSERT INTO knowledge_words (tenant_id, knowledge_base_id, word)
      SELECT ${tenantId}, ${baseId}::uuid, word FROM unnest(${[...words]}::text[]) AS word ON CONFLICT DO NOTHING`;
  }
  return { baseId, documentIds };
}
