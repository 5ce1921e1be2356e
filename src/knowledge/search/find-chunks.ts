import type { Db } from '../../database/client.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import { sizeOf, writeVector } from '../vectors/sizes.ts';
import type { SearchedBase } from './read-scope.ts';
import { byLanguage, joinTerms, type SearchTerm, selectBases, termRows } from './read-terms.ts';

/** A passage that was found. */
export interface FoundChunk {
  /** The row id of its document. */
  readonly documentId: string;
  readonly title: string;
  readonly url: string | null;
  /** The number of the passage in its document, from 1. */
  readonly position: number;
  readonly headings: readonly string[];
  readonly text: string;
  readonly score: number;
}

/** The vector of a search, and the bases whose texts were embedded by the same model. */
export interface SearchVector {
  readonly modelKey: string;
  readonly vector: readonly number[];
  readonly baseIds: readonly string[];
}

/** What is searched for. */
export interface ChunkQuery {
  readonly text: string;
  readonly bases: readonly SearchedBase[];
  readonly terms: readonly SearchTerm[];
  readonly vectors: readonly SearchVector[];
  /** Whether only what fits the text as a whole is found: it has operators. */
  readonly isStrict: boolean;
  /** What the metadata of documents has to contain; null: anything. */
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly limit: number;
}

// Limits stand in the statement as they are: of a parameter the planner would assume that it is a tenth of all rows.
/** Passages that each way of searching hands to the fusion. */
const perWay = Prisma.raw('60');
/** Chunks that are ranked by their words. */
const maxRanked = Prisma.raw('3000');
/** Passages that are returned at most: input.ts takes no larger limit. */
const maxFound = Prisma.raw('50');
/**
 * The constant of reciprocal rank fusion: a way adds trust / (60 + rank). G. V. Cormack, C. L. A. Clarke, S. Büttcher,
 * "Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning Methods", SIGIR 2009.
 */
const fusion = Prisma.raw('60');

/**
 * Finds the passages that fit best, by their words and by their vectors, joined by the ranks that they have in both. One
 * statement.
 *
 * By words, a passage scores the sum of the weights of the search's words that it has, more if they stand in its title or
 * headings or often in its text, and more if it has all of them.
 *
 * A rank says nothing of how well a passage fits: also of a search that means nothing to one of the ways, that way has a first
 * passage, which would count as much as the right one of the other way. So each rank counts as much as it is to be trusted, from
 * 0 to 1: by words, the share of the search's words, by their weights, that the passage has; by vectors, how far its cosine
 * stands between that of the last passage of the list, which is there for want of better ones, and 1.
 */
export async function findChunks(tenantId: string, db: Db, query: ChunkQuery): Promise<FoundChunk[]> {
  return db.$queryRaw<FoundChunk[]>(writeSearch(tenantId, query));
}

/** The statement of a search; tests look at its plan. */
function writeSearch(tenantId: string, query: ChunkQuery): Prisma.Sql {
  const ways = [findByWords(tenantId, query), ...query.vectors.map((vector) => findByVector(tenantId, query, vector))];
  return Prisma.sql`
    WITH found AS (
      SELECT * FROM (
        SELECT id, sum(trust / (${fusion} + rank))::float8 AS score
        FROM (${Prisma.join(ways, ' UNION ALL ')}) AS ranked
        GROUP BY id ORDER BY score DESC, id LIMIT ${maxFound}
      ) AS best LIMIT ${query.limit}::int
    )
    SELECT d.id::text AS "documentId", d.title, d.url, c.position, c.headings, c.text, found.score
    FROM found
    JOIN knowledge_chunks AS c ON c.id = found.id AND c.tenant_id = ${tenantId}
    JOIN knowledge_documents AS d
      ON d.tenant_id = ${tenantId} AND d.knowledge_base_id = c.knowledge_base_id AND d.id = c.document_id
    ORDER BY found.score DESC, found.id`;
}

/** Chunks of documents that may be found: their searchable generation, and the metadata that is asked for. */
function isSearchable({ metadata }: ChunkQuery): Prisma.Sql {
  const fits = metadata === null ? Prisma.empty : Prisma.sql`AND d.metadata @> ${JSON.stringify(metadata)}::jsonb`;
  // No EXISTS: the planner would join it, and read the documents of all tenants for that if they are not many.
  return Prisma.sql`(
    SELECT d.generation = c.generation ${fits} FROM knowledge_documents AS d
    WHERE d.tenant_id = c.tenant_id AND d.knowledge_base_id = c.knowledge_base_id AND d.id = c.document_id
  )`;
}

function findByWords(tenantId: string, query: ChunkQuery): Prisma.Sql {
  const { text, terms, isStrict } = query;
  const languages = byLanguage(query.bases);
  // Of stop words alone nothing is left: joined with the bases, that would find all of them.
  const whole = languages.map(([language, group]) => {
    const given = Prisma.sql`websearch_to_tsquery(${language}::regconfig, ${text})`;
    return Prisma.sql`(CASE WHEN numnode(${given}) > 0 THEN ${given} && ${selectBases(group)}::tsquery ELSE '' END)`;
  });
  const parts = languages.flatMap(([language, group]) => {
    const joined = isStrict ? null : joinTerms(terms.filter((term) => term.language === language));
    return joined === null ? [] : [Prisma.sql`(${joined}::tsquery && ${selectBases(group)}::tsquery)`];
  });
  const select = (queries: readonly Prisma.Sql[], bonus: number) => Prisma.sql`
    SELECT c.id, c.knowledge_base_id, c.tsv, ${bonus}::float8 AS bonus FROM knowledge_chunks AS c
    WHERE c.tenant_id = ${tenantId} AND c.tsv @@ (${Prisma.join(queries, ' || ')}) AND ${isSearchable(query)}`;
  // The second is carried out only if the first finds too little.
  const matched = parts.length === 0 ? select(whole, 1) : Prisma.sql`${select(whole, 1)} UNION ALL ${select(parts, 0)}`;
  const totals = new Map(languages.map(([language]) => [language, sumWeights(terms, language)]));
  const columns = {
    ids: query.bases.map(({ id }) => id),
    languages: query.bases.map(({ language }) => language),
    totals: query.bases.map(({ language }) => totals.get(language) ?? 0),
  };
  // No passage is trusted less than those after it: the order of this way stays.
  return Prisma.sql`(
    SELECT id, rank, max(share) OVER (ORDER BY rank DESC) AS trust FROM (
      SELECT id, row_number() OVER (ORDER BY max(points) DESC, id) AS rank, max(share) AS share FROM (
        SELECT matched.id, matched.bonus + coalesce(words.points, 0) AS points,
          coalesce(words.weight / nullif(b.total, 0), 1) AS share
        FROM (${matched} LIMIT ${maxRanked}) AS matched
        JOIN unnest(${columns.ids}::uuid[], ${columns.languages}::text[], ${columns.totals}::float8[])
          AS b (id, language, total) ON b.id = matched.knowledge_base_id
        LEFT JOIN LATERAL (
          SELECT sum(t.weight * (1 + 2 * ts_rank(matched.tsv, t.query))) AS points, sum(t.weight) AS weight
          FROM (${termRows(terms)}) AS t WHERE t.language = b.language AND matched.tsv @@ t.query
        ) AS words ON true
      ) AS scored GROUP BY id ORDER BY rank LIMIT ${perWay}
    ) AS best
  )`;
}

function sumWeights(terms: readonly SearchTerm[], language: string): number {
  return terms.reduce((sum, term) => sum + (term.language === language ? term.weight : 0), 0);
}

function findByVector(tenantId: string, query: ChunkQuery, { modelKey, vector, baseIds }: SearchVector): Prisma.Sql {
  const { size, type } = sizeOf(vector.length);
  // Written into the statement, as the index has it: it is one of a few numbers.
  const kind = Prisma.raw(`${type}(${size})`);
  const distance = Prisma.sql`v.embedding::${kind} <#> ${writeVector(vector)}::${kind}`;
  // The index is scanned on until enough rows fit the conditions (pgvector 0.8).
  const scanOn = Prisma.sql`(SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL`;
  // The distance is the negative cosine. A passage that is alone has none to be compared with.
  const last = Prisma.sql`(CASE WHEN count(*) OVER () > 1 THEN max(distance) OVER () ELSE 0 END)`;
  const trust = Prisma.sql`least(1, greatest(0, coalesce((${last} - distance) / nullif(1 + ${last}, 0), 1)))`;
  const fits =
    query.metadata === null
      ? Prisma.empty
      : Prisma.sql`AND EXISTS (
          SELECT 1 FROM knowledge_chunks AS c
          WHERE c.tenant_id = v.tenant_id AND c.content_hash = v.content_hash
            AND c.knowledge_base_id = v.knowledge_base_id AND ${isSearchable(query)}
        )`;
  return Prisma.sql`(
    SELECT c.id, row_number() OVER (ORDER BY near.distance, c.id) AS rank, near.trust
    FROM (SELECT *, ${trust} AS trust FROM (
      SELECT v.knowledge_base_id, v.content_hash, ${distance} AS distance FROM knowledge_vectors AS v
      WHERE v.size = ${Prisma.raw(String(size))} AND v.tenant_id = ${tenantId} AND v.model_key = ${modelKey}
        AND v.dimensions = ${vector.length}::int AND v.knowledge_base_id = ANY(${[...baseIds]}::uuid[]) ${fits}
        AND ${scanOn}
      ORDER BY ${distance} LIMIT ${perWay}
    ) AS nearest) AS near
    JOIN knowledge_chunks AS c
      ON c.tenant_id = ${tenantId} AND c.content_hash = near.content_hash AND c.knowledge_base_id = near.knowledge_base_id
    WHERE ${isSearchable(query)}
  )`;
}
