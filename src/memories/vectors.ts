import type { Logger } from 'pino';
import { ProviderError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { type EmbeddingModel, locateModel } from '../knowledge/vectors/embedding-config.ts';
import type { VectorRuntime } from '../knowledge/vectors/runtime.ts';
import { writeVector } from '../knowledge/vectors/sizes.ts';

/** Memories that one search embeds: the next search goes on with those that are left. */
const maxEmbedded = 40;
/** How long the provider may take, in milliseconds: after that the words alone are searched for. */
const embedTimeoutMs = 3_000;

/**
 * What creates the table of the vectors of memories, if the database has pgvector; a second time it changes nothing. As the
 * vectors of knowledge (knowledge/vectors/prepare.ts), it is not part of the migrations, and what stands in it can be computed
 * again. It needs no index by distance: a search compares those of one user.
 */
export const createMemoryVectors = `DO $prepare$
BEGIN
  PERFORM pg_advisory_xact_lock(72707371);
  IF to_regclass('memory_vectors') IS NOT NULL
    OR NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'vector') THEN RETURN; END IF;
  CREATE TABLE memory_vectors (
    tenant_id TEXT NOT NULL,
    memory_id UUID NOT NULL,
    model_key TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    embedding vector NOT NULL,
    PRIMARY KEY (tenant_id, memory_id),
    FOREIGN KEY (tenant_id, memory_id) REFERENCES memories (tenant_id, id) ON DELETE CASCADE
  );
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
  RAISE NOTICE 'no vectors of memories: %', SQLERRM;
END $prepare$`;

/** What embedding memories takes. */
export interface MemoryVectors {
  readonly runtime: VectorRuntime;
  /** The operator's model. */
  readonly model: EmbeddingModel;
  readonly logger: Logger;
}

/**
 * Prepares the table of vectors.
 * @returns null: memories are found by their words alone, for want of pgvector or of an embedding model of the operator
 */
export async function openMemoryVectors(
  db: Database,
  runtime: VectorRuntime,
  logger: Logger,
): Promise<MemoryVectors | null> {
  const model = runtime.isAvailable ? locateModel(runtime.deps.fallback, null) : null;
  if (model === null) return null;
  await db.$executeRawUnsafe(createMemoryVectors);
  const [row] = await db.$queryRaw<{ found: boolean }[]>`SELECT to_regclass('memory_vectors') IS NOT NULL AS found`;
  return row?.found === true ? { runtime, model, logger } : null;
}

/** The vector of a search, and the version of the model that has made it. */
export interface SearchedVector {
  readonly modelKey: string;
  readonly vector: readonly number[];
}

/**
 * The vector of a search, after the memories that it may find and that have none yet were embedded: those that were changed
 * last, a bounded number. Two statements; one if all have their vectors.
 * @param usedIn the condition for the memories, on `m`
 * @returns null: the words alone are to be searched for. A provider that fails costs the vectors, not the search
 * @throws the signal's reason when it is aborted
 */
export async function embedSearch(
  { tenantId }: Viewer,
  db: Db,
  { runtime, model, logger }: MemoryVectors,
  { search, usedIn }: { readonly search: string; readonly usedIn: Prisma.Sql },
  signal: AbortSignal,
): Promise<SearchedVector | null> {
  const ended = AbortSignal.any([signal, AbortSignal.timeout(embedTimeoutMs)]);
  const orNull = async <Result>(work: Promise<Result>) => {
    try {
      return await work;
    } catch (error) {
      signal.throwIfAborted();
      const problem = error instanceof ProviderError ? error.problem : 'OTHER';
      logger.warn({ problem }, 'not all memories could be compared by their meaning: their words are searched for');
      return null;
    }
  };
  const searched = await orNull(runtime.embedQuery(tenantId, model, search, ended));
  if (searched === null) return null;
  const left = await db.$queryRaw<{ id: string; text: string; hash: string }[]>`
    SELECT m.id::text, m.text, md5(m.text) AS hash FROM memories AS m
    WHERE ${usedIn} AND NOT EXISTS (
      SELECT 1 FROM memory_vectors AS v WHERE v.tenant_id = m.tenant_id AND v.memory_id = m.id AND ${isOfText(searched)})
    ORDER BY m.updated_at DESC, m.id DESC LIMIT ${maxEmbedded}::int`;
  if (left.length === 0) return searched;
  const texts = left.map(({ text }) => text);
  const embedded = await orNull(runtime.embed(tenantId, model, texts, ended));
  if (embedded === null) return searched;
  // One that is deleted meanwhile, or a vector that the database refuses, leaves the search without these.
  const stored = db.$executeRaw`
    INSERT INTO memory_vectors (tenant_id, memory_id, model_key, content_hash, dimensions, embedding)
    SELECT m.tenant_id, m.id, ${embedded.modelKey}, t.hash, ${embedded.vectors[0]?.length ?? 0}::int, t.embedding::vector
    FROM unnest(${left.map(({ id }) => id)}::uuid[], ${left.map(({ hash }) => hash)}::text[],
      ${embedded.vectors.map(writeVector)}::text[]) AS t (id, hash, embedding)
    JOIN memories AS m ON m.tenant_id = ${tenantId} AND m.id = t.id
    ORDER BY m.id
    ON CONFLICT (tenant_id, memory_id) DO UPDATE SET model_key = excluded.model_key,
      content_hash = excluded.content_hash, dimensions = excluded.dimensions, embedding = excluded.embedding`;
  await orNull(stored);
  return searched;
}

/** The condition for the vector `v` of the memory `m` to be of its text as it is now, and to be comparable. */
export function isOfText({ modelKey, vector }: SearchedVector): Prisma.Sql {
  return Prisma.sql`v.model_key = ${modelKey} AND v.dimensions = ${vector.length}::int AND v.content_hash = md5(m.text)`;
}
