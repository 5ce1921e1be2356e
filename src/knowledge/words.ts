import type { Database, Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { collectWords } from './parse/words.ts';
import { type Indexing, isOfAttempt } from './store-chunks.ts';

/** Chunks that are read, and words that are looked up, in one statement. */
const chunkBatch = 50;
const wordBatch = 100;

interface BaseKey {
  readonly tenantId: string;
  readonly knowledgeBaseId: string;
}

/**
 * Adds words to those of a base, whose chunks are stored; none if the attempt may not write any more. One transaction.
 */
export async function storeWords(db: Database, indexing: Indexing, words: readonly string[]): Promise<void> {
  const { tenantId, knowledgeBaseId } = indexing;
  await db.$transaction(async (tx) => {
    await lockWords(tx, indexing, 'shared');
    await tx.$executeRaw`
      INSERT INTO knowledge_words (tenant_id, knowledge_base_id, word)
      SELECT ${tenantId}, ${knowledgeBaseId}::uuid, word FROM unnest(${[...words]}::text[]) AS word
      WHERE EXISTS (SELECT 1 FROM knowledge_documents WHERE ${isOfAttempt(indexing)})
      ON CONFLICT DO NOTHING`;
  });
}

/** A document some of whose words are to be deleted. */
interface WordsOfDocument extends BaseKey {
  readonly id: string;
  /** Of its base. */
  readonly language: string;
}

/**
 * Deletes the words of a base that only the chunks of one document have, which is about to be deleted. Some words at a time; if
 * it is interrupted, the same call goes on. Stop words stay: they say nothing of the document.
 */
export async function deleteWordsOf(db: Database, document: WordsOfDocument): Promise<void> {
  await deleteWords(db, document, { generation: {}, kept: [], mayDelete: Prisma.sql`true` });
}

/**
 * Deletes the words of a base that only the old chunks of a document have, which are about to be replaced by those of an
 * attempt; none from the moment on at which the attempt may not write any more.
 * @param words of the new chunks
 */
export async function deleteReplacedWords(db: Database, indexing: Indexing, words: readonly string[]): Promise<void> {
  const { tenantId, knowledgeBaseId, documentId: id, language, generation } = indexing;
  await deleteWords(
    db,
    { tenantId, knowledgeBaseId, id, language },
    {
      generation: { not: generation },
      kept: words,
      mayDelete: Prisma.sql`EXISTS (SELECT 1 FROM knowledge_documents WHERE ${isOfAttempt(indexing)})`,
    },
  );
}

async function deleteWords(
  db: Database,
  document: WordsOfDocument,
  which: {
    /** The chunks whose words are deleted. */
    readonly generation: Prisma.IntFilter;
    readonly kept: readonly string[];
    readonly mayDelete: Prisma.Sql;
  },
): Promise<void> {
  const { tenantId, knowledgeBaseId, id } = document;
  const seen = new Set(which.kept);
  for (let after = { generation: 0, position: 0 }; ; ) {
    const chunks = await db.knowledgeChunk.findMany({
      where: {
        tenantId,
        knowledgeBaseId,
        documentId: id,
        generation: which.generation,
        OR: [
          { generation: { gt: after.generation } },
          { generation: after.generation, position: { gt: after.position } },
        ],
      },
      orderBy: [{ generation: 'asc' }, { position: 'asc' }],
      select: { generation: true, position: true, headings: true, text: true },
      take: chunkBatch,
    });
    const words = collectWords(chunks).filter((word) => !seen.has(word));
    for (const word of words) seen.add(word);
    for (let from = 0; from < words.length; from += wordBatch)
      await deleteUnused(db, document, words.slice(from, from + wordBatch), which.mayDelete);
    const last = chunks.at(-1);
    if (last === undefined || chunks.length < chunkBatch) return;
    after = last;
  }
}

/**
 * The index finds the chunks that have the stem of a word; whether one has the word itself, its text says. For words with other
 * letters than those of ASCII the stem has to do: not every database can tell their upper case.
 */
async function deleteUnused(
  db: Database,
  document: WordsOfDocument,
  words: readonly string[],
  mayDelete: Prisma.Sql,
): Promise<void> {
  const { tenantId, knowledgeBaseId, id, language } = document;
  await db.$transaction(async (tx) => {
    await lockWords(tx, document, 'exclusive');
    await tx.$executeRaw`
      DELETE FROM knowledge_words AS k
      WHERE k.tenant_id = ${tenantId} AND k.knowledge_base_id = ${knowledgeBaseId}::uuid AND k.word = ANY(${[...words]}::text[])
        AND ${mayDelete} AND numnode(plainto_tsquery(${language}::regconfig, k.word)) > 0
        AND NOT EXISTS (
          SELECT 1 FROM knowledge_chunks AS c
          WHERE c.tenant_id = ${tenantId} AND c.knowledge_base_id = ${knowledgeBaseId}::uuid AND c.document_id <> ${id}::uuid
            AND c.tsv @@ (plainto_tsquery(${language}::regconfig, k.word) && ${`'kb:${knowledgeBaseId}'`}::tsquery)
            AND (k.word !~ '^[a-z0-9]+$' OR
              lower(array_to_string(c.headings, ' ') || ' ' || c.text) ~ ('(^|[^[:alnum:]])' || k.word || '($|[^[:alnum:]])'))
        )`;
  });
}

/** Whoever adds words does not wait for others who do, but for whoever looks up which are used, and the other way round. */
async function lockWords(tx: Db, { knowledgeBaseId }: BaseKey, mode: 'shared' | 'exclusive'): Promise<void> {
  const key = `words:${knowledgeBaseId}`;
  // A statement of its own: the next one sees what was written while this one waited.
  if (mode === 'shared') await tx.$queryRaw`SELECT pg_advisory_xact_lock_shared(hashtextextended(${key}, 15))::text`;
  else await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${key}, 15))::text`;
}
