import type { Logger } from 'pino';
import type { Database } from '../../database/client.ts';
import { vectorSizes } from './sizes.ts';

/**
 * Prepares the table of vectors, if the database has pgvector 0.8 or later and lets this user create what it takes; otherwise
 * searches use the full text alone.
 *
 * It is not part of the migrations: the same migrations have to lead to the same tables everywhere, whether pgvector is
 * installed or not, and an operator who installs it later has to do no more than start the server again. What stands in the
 * table can be computed again at any time.
 *
 * One table holds the vectors of all models, in a column without a number of dimensions. Each vector is filled up with zeros to
 * the next of a few sizes, which changes no cosine, and each size has an HNSW index over the vectors of that size alone: so a
 * model of any dimension is indexed, and no index has to be created while the server runs.
 * @returns whether there are vectors
 */
export async function prepareVectors(db: Database, logger: Logger): Promise<boolean> {
  await db.$executeRawUnsafe(createVectorTable);
  // Searches scan on in an index until enough rows fit their conditions: pgvector 0.7 does not know that.
  const [row] = await db.$queryRaw<{ found: boolean }[]>`
    SELECT to_regclass('knowledge_vectors') IS NOT NULL AND EXISTS (
      SELECT 1 FROM pg_extension WHERE extname = 'vector' AND string_to_array(extversion, '.')::int[] >= ARRAY[0, 8]
    ) AS found`;
  const found = row?.found === true;
  if (!found) logger.info('the database has no pgvector 0.8 or later: knowledge is searched by its full text alone');
  return found;
}

const indexes = vectorSizes
  .map(
    ({ size, type }) => `CREATE INDEX knowledge_vectors_${size}_idx ON knowledge_vectors
      USING hnsw ((embedding::${type}(${size})) ${type}_ip_ops) WHERE size = ${size};`,
  )
  .join('\n');

/** What creates the table, if there can be one; a second time it changes nothing. */
export const createVectorTable = `DO $prepare$
DECLARE
  version text;
BEGIN
  PERFORM pg_advisory_xact_lock(72707370);
  IF to_regclass('knowledge_vectors') IS NOT NULL THEN RETURN; END IF;
  IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'vector') THEN
    IF NOT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'vector') THEN RETURN; END IF;
    CREATE EXTENSION IF NOT EXISTS vector;
  END IF;
  SELECT extversion INTO version FROM pg_extension WHERE extname = 'vector';
  IF string_to_array(version, '.')::int[] < ARRAY[0, 8] THEN RETURN; END IF;

  -- By content: a text that is indexed again, or stands in two documents of a base, is embedded once.
  CREATE TABLE knowledge_vectors (
    tenant_id TEXT NOT NULL,
    knowledge_base_id UUID NOT NULL,
    model_key TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    size INTEGER NOT NULL,
    embedding vector NOT NULL,
    PRIMARY KEY (tenant_id, knowledge_base_id, model_key, content_hash),
    CHECK (vector_dims(embedding) = size AND dimensions BETWEEN 1 AND size),
    FOREIGN KEY (tenant_id, knowledge_base_id) REFERENCES knowledge_bases (tenant_id, id) ON DELETE CASCADE
  );
  CREATE INDEX knowledge_vectors_content_idx ON knowledge_vectors (tenant_id, model_key, content_hash);
  ${indexes}

  -- At the commit: a text that was replaced by itself keeps its vector.
  CREATE OR REPLACE FUNCTION drop_knowledge_vector() RETURNS trigger LANGUAGE plpgsql AS $drop$
  BEGIN
    DELETE FROM knowledge_vectors AS v
    WHERE v.tenant_id = OLD.tenant_id AND v.knowledge_base_id = OLD.knowledge_base_id
      AND v.content_hash = OLD.content_hash AND NOT EXISTS (
        SELECT 1 FROM knowledge_chunks AS c
        WHERE c.tenant_id = OLD.tenant_id AND c.content_hash = OLD.content_hash
          AND c.knowledge_base_id = OLD.knowledge_base_id
      );
    RETURN NULL;
  END $drop$;
  CREATE CONSTRAINT TRIGGER knowledge_chunks_drop_vector AFTER DELETE ON knowledge_chunks
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION drop_knowledge_vector();
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN
  RAISE NOTICE 'no vectors: %', SQLERRM;
END $prepare$`;
