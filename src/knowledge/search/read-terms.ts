import type { Db } from '../../database/client.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import type { SearchedBase } from './read-scope.ts';

/** Words of a search that count; the others are ignored. */
const maxWords = 24;
/** A word that stands in more chunks than this is a common one: it ranks what other words find, but finds nothing by itself. */
const commonFrom = 1_000;

/** A word of a search, as the chunks of a language are asked for it. */
export interface SearchTerm {
  readonly language: string;
  /** A tsquery: the word, or those words of the bases that it may be a misspelling of. */
  readonly query: string;
  /** How much it says: the fewer chunks have it, the more (inverse document frequency). */
  readonly weight: number;
  readonly isCommon: boolean;
  /** No chunk has it: it says how little of the search the others are. */
  readonly isAbsent: boolean;
}

/** Longer words are no words, and PostgreSQL refuses lexemes of more than 2,046 bytes. In characters. */
const maxWordLength = 40;

/** The words of a search, in lower case. */
export function splitWords(text: string): string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return [...new Set(words.map((word) => [...word].slice(0, maxWordLength).join('')))].slice(0, maxWords);
}

/** The chunks of these bases, as a condition on `tsv`: each chunk has a lexeme of its base. */
export function selectBases(bases: readonly Pick<SearchedBase, 'id'>[]): string {
  return bases.map(({ id }) => `'kb:${id}'`).join(' | ');
}

/** The bases of a search by the language of their texts. */
export function byLanguage(bases: readonly SearchedBase[]): [language: string, bases: SearchedBase[]][] {
  return [...Map.groupBy(bases, ({ language }) => language)];
}

/**
 * The words of a search in each language of its bases, with how common they are; stop words are left out. A word that no base
 * has is replaced by those that are spelt most like it (pg_trgm); the last word may be the beginning of one. One statement.
 */
export async function readTerms(
  tenantId: string,
  db: Db,
  bases: readonly SearchedBase[],
  words: readonly string[],
): Promise<SearchTerm[]> {
  const languages = byLanguage(bases);
  const rows = await db.$queryRaw<{ language: string; query: string; found: number }[]>`
    SELECT l.language, term.query::text AS query, chunks.found::int AS found
    FROM unnest(${[...words]}::text[]) WITH ORDINALITY AS w (word, place)
    CROSS JOIN unnest(${languages.map(([language]) => language)}::text[],
      ${languages.map(([, group]) => selectBases(group))}::text[]) AS l (language, bases)
    CROSS JOIN LATERAL (
      SELECT EXISTS (
        SELECT 1 FROM knowledge_words AS k
        WHERE k.tenant_id = ${tenantId} AND k.knowledge_base_id = ANY(${bases.map(({ id }) => id)}::uuid[])
          AND k.word = w.word
      ) OR length(w.word) < 4 OR w.word ~ '^[0-9]+$' AS is_known
    ) AS known
    CROSS JOIN LATERAL (
      SELECT concat_ws(
        ' | ',
        nullif(plainto_tsquery(l.language::regconfig, w.word)::text, ''),
        (
          SELECT string_agg(nullif(plainto_tsquery(l.language::regconfig, similar_words.word)::text, ''), ' | ')
          FROM (
            SELECT k.word FROM knowledge_words AS k
            WHERE NOT known.is_known AND (SELECT set_config('pg_trgm.similarity_threshold', '0.25', true)) IS NOT NULL
              AND k.tenant_id = ${tenantId} AND k.knowledge_base_id = ANY(${bases.map(({ id }) => id)}::uuid[])
              AND k.word % w.word AND abs(length(k.word) - length(w.word)) <= 2
            GROUP BY k.word ORDER BY similarity(k.word, w.word) DESC, k.word LIMIT 3
          ) AS similar_words
        )
      )::tsquery AS spelt
    ) AS spelling
    CROSS JOIN LATERAL (
      SELECT CASE WHEN w.place = ${words.length}::int AND length(w.word) > 2 AND numnode(spelling.spelt) > 0
        THEN spelling.spelt || (quote_literal(w.word) || ':*')::tsquery ELSE spelling.spelt END AS query
    ) AS term
    CROSS JOIN LATERAL (
      SELECT count(*) AS found FROM (
        SELECT 1 FROM knowledge_chunks AS c
        WHERE c.tenant_id = ${tenantId} AND c.tsv @@ (term.query && l.bases::tsquery) LIMIT ${commonFrom + 1}
      ) AS some_chunks
    ) AS chunks
    WHERE numnode(term.query) > 0`;
  const total = Math.max(
    1,
    bases.reduce((sum, { chunkCount }) => sum + chunkCount, 0),
  );
  return rows.map(({ language, query, found }) => {
    const weight = Math.log(1 + Math.max(total, found) / (found + 0.5));
    return { language, query, weight, isCommon: found > commonFrom, isAbsent: found === 0 };
  });
}

/** Which chunks of a language the words find at all: those with one that is not common, or with two that are. */
export function joinTerms(all: readonly SearchTerm[]): string | null {
  const terms = all.filter(({ isAbsent }) => !isAbsent);
  const rare = terms.filter(({ isCommon }) => !isCommon).map(({ query }) => `(${query})`);
  if (rare.length > 0) return rare.join(' | ');
  const common = [...terms].sort((a, b) => b.weight - a.weight).slice(0, 6);
  const pairs = common.flatMap(({ query }, at) =>
    common.slice(at + 1).map((other) => `((${query}) & (${other.query}))`),
  );
  if (pairs.length > 0) return pairs.join(' | ');
  return common[0]?.query ?? null;
}

/** The terms as rows of a statement. */
export function termRows(terms: readonly SearchTerm[]): Prisma.Sql {
  return Prisma.sql`SELECT t.language, t.query::tsquery AS query, t.weight
    FROM unnest(${terms.map(({ language }) => language)}::text[], ${terms.map(({ query }) => query)}::text[],
      ${terms.map(({ weight }) => weight)}::float8[]) AS t (language, query, weight)`;
}
