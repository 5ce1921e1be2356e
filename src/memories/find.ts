import type { Viewer } from '../auth/viewer.ts';
import { fold, readTerms } from '../conversations/search/terms.ts';
import type { Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { writeVector } from '../knowledge/vectors/sizes.ts';
import type { MemoryRuntime } from './runtime.ts';
import { embedSearch, isOfText, type SearchedVector } from './vectors.ts';

/** A memory as an agent is told it. */
export interface FoundMemory {
  readonly text: string;
  readonly updatedAt: Date;
}

/** Whose memories, and of which conversations. */
interface MemoryScope {
  /** The row id of the project of the conversation; null: it is in none. */
  readonly projectId: string | null;
  readonly limit: number;
}

/**
 * The condition for the memories that are used in a conversation, whose project the viewer is known to be a member of: those of
 * no project, and those of its own.
 */
function usedIn({ tenantId, userId }: Viewer, projectId: string | null): Prisma.Sql {
  return Prisma.sql`m.tenant_id = ${tenantId} AND m.user_id = ${userId}
    AND (m.project_id IS NULL OR m.project_id = ${projectId}::uuid)`;
}

/** The last changed memories of the viewer in a conversation. One statement. */
export function readNewest(viewer: Viewer, db: Db, { projectId, limit }: MemoryScope): Promise<FoundMemory[]> {
  return db.$queryRaw<FoundMemory[]>`
    SELECT m.text, m.updated_at AS "updatedAt" FROM memories AS m WHERE ${usedIn(viewer, projectId)}
    ORDER BY m.updated_at DESC, m.id DESC LIMIT ${limit}`;
}

/** Of the nearest ones, those that stand out from the farthest by so much (0 to 1) are found; knowledge/search has the measure. */
const minTrust = 0.2;

/**
 * The memories of the viewer that fit best to a text: by the words that they share with it, by their spelling and, if there are
 * vectors, by their meaning, joined by the ranks that they have in each, as searches of knowledge are. One statement, and at most
 * two for the vectors.
 * @throws the signal's reason when it is aborted
 */
export async function findMemories(
  viewer: Viewer,
  { db, vectors }: Pick<MemoryRuntime, 'vectors'> & { readonly db: Db },
  search: string,
  { projectId, limit, signal }: MemoryScope & { readonly signal: AbortSignal },
): Promise<FoundMemory[]> {
  // Any of the words: a question has more words than the fact that answers it.
  const terms = readTerms(search)?.query.replaceAll(' & ', ' | ') ?? null;
  if (terms === null) return [];
  const used = usedIn(viewer, projectId);
  const meaning = vectors && (await embedSearch(viewer, db, vectors, { search, usedIn: used }, signal));
  const { distance, join, way } = compareMeaning(meaning);
  return db.$queryRaw<FoundMemory[]>`
    WITH used AS MATERIALIZED (
      SELECT m.id, m.text, m.updated_at, ts_rank(m.tsv, ${terms}::tsquery) AS words,
        word_similarity(${fold(search)}, lower(m.text)) AS spelling, ${distance} AS distance
      FROM memories AS m ${join} WHERE ${used}
    ), ranked AS (
      SELECT id, rank() OVER (ORDER BY words DESC) AS place, 1::float8 AS trust FROM used WHERE words > 0
      UNION ALL
      SELECT id, rank() OVER (ORDER BY spelling DESC) AS place, 1::float8 AS trust FROM used WHERE spelling >= 0.3
      ${way}
    )
    SELECT u.text, u.updated_at AS "updatedAt" FROM used AS u JOIN (
      SELECT id, sum(trust / (60 + place)) AS score FROM ranked GROUP BY id
    ) AS found ON found.id = u.id
    ORDER BY found.score DESC, u.updated_at DESC, u.id DESC LIMIT ${limit}`;
}

/** The parts of the statement that compare vectors. The distance is the negative cosine. */
function compareMeaning(meaning: SearchedVector | null) {
  if (meaning === null) return { distance: Prisma.sql`NULL::float8`, join: Prisma.empty, way: Prisma.empty };
  const last = Prisma.sql`(CASE WHEN count(*) OVER () > 1 THEN max(distance) OVER () ELSE 0 END)`;
  return {
    distance: Prisma.sql`v.embedding <#> ${writeVector(meaning.vector)}::vector`,
    join: Prisma.sql`LEFT JOIN memory_vectors AS v
      ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND ${isOfText(meaning)}`,
    way: Prisma.sql`UNION ALL
      SELECT id, place, trust FROM (
        SELECT id, rank() OVER (ORDER BY distance) AS place,
          least(1, greatest(0, (${last} - distance) / nullif(1 + ${last}, 0))) AS trust
        FROM used WHERE distance IS NOT NULL
      ) AS near WHERE trust >= ${minTrust}::float8`,
  };
}
