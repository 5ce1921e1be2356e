import { Client } from 'pg';
import { z } from 'zod';
import { startDemoModel } from '../../src/demo/demo.ts';
import { demoEmbeddingModel } from '../../src/demo/embeddings.ts';
import { locateModel } from '../../src/knowledge/vectors/embedding-config.ts';
import { createVectorTable } from '../../src/knowledge/vectors/prepare.ts';
import { sizeOf, writeVector } from '../../src/knowledge/vectors/sizes.ts';
import type { Harness, Report } from '../harness.ts';
import { probe } from '../probe-arguments.ts';
import { median, percentile } from '../statistics.ts';
import { startSwitchboard } from '../switchboard.ts';

const tenant = 'bench';
const baseId = '00000000-0000-4000-8000-00000000beac';
const chunksOfDocument = 20;
const dimensions = 256;
/** Searches for two words of middling frequency each, of `vocabulary`. */
const searches = 60;
const vocabulary = 20_000;

const found = z.object({ searchKnowledge: z.array(z.object({ title: z.string() })).min(1) });

/** A search by words and, if the database has pgvector, by vectors, and the same as one statement written by hand. */
export async function measureKnowledge(harness: Harness): Promise<Report> {
  const demo = await startDemoModel();
  await using ending = new AsyncDisposableStack();
  ending.defer(() => demo.close());
  const column = { provider: 'custom', apiUrl: demo.url, model: demoEmbeddingModel, dimensions };
  const modelKey = locateModel(null, column)?.key ?? '';
  const settings = {
    ...harness.settings,
    MODEL_ALLOWED_HOSTS: new URL(demo.url).host,
    RATE_LIMIT_AGENT_OPERATIONS: '0',
  };
  const rows: string[][] = [];
  for (const kind of harness.databases) {
    const chunks = harness.quick ? 10_000 : 100_000;
    const words = Array.from({ length: searches }, (_, n) => [`w${200 + n * 7}`, `w${900 + n * 31}`] as const);
    let hasVectors = false;
    let bare: readonly number[] = [];
    await using system = await startSwitchboard(
      kind,
      { ...harness, settings },
      {
        probe,
        fill: async (databaseUrl) => {
          hasVectors = await fill(databaseUrl, chunks, { column, modelKey });
          bare = await timeBare(databaseUrl, words, hasVectors ? modelKey : null);
        },
      },
    );
    const query = 'query ($query: String!) { searchKnowledge(query: $query, limit: 5) { title } }';
    const searched: number[] = [];
    for (const pair of [...words, ...words]) {
      const begun = performance.now();
      await system.ask('reader', query, { query: pair.join(' ') }, found);
      searched.push(performance.now() - begun);
    }
    // The first time of each is the warm-up.
    const times = searched.slice(searches);
    rows.push([
      `${chunks} passages, ${system.name}, ${hasVectors ? 'words and vectors' : 'words'}`,
      median(times).toFixed(1),
      percentile(times, 0.9).toFixed(1),
      median(bare).toFixed(1),
      (median(times) / median(bare)).toFixed(1),
    ]);
  }
  return {
    title: 'knowledge: one search after another',
    columns: ['', 'median ms', 'p90 ms', 'bare SQL, median ms', 'times'],
    rows,
    notes: [
      'Bare SQL: one prepared statement over pg that ranks by ts_rank the passages that have one of the words, for a base that is given; with vectors, joined with the 60 nearest of the base by their ranks. It asks nobody who they are, corrects no spelling and does not know which words are rare.',
    ],
  };
}

/** Writes a base of so many passages. @returns whether they have vectors */
async function fill(
  databaseUrl: string,
  chunks: number,
  { column, modelKey }: { readonly column: object; readonly modelKey: string },
): Promise<boolean> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(createVectorTable);
    const prepared = await client.query("SELECT to_regclass('knowledge_vectors') IS NOT NULL AS found");
    const hasVectors = z.object({ found: z.boolean() }).parse(prepared.rows[0]).found;
    await client.query('INSERT INTO tenants (id) VALUES ($1) ON CONFLICT DO NOTHING', [tenant]);
    await client.query(
      `INSERT INTO knowledge_bases (id, tenant_id, name, embedding, chunk_count) VALUES ($1, $2, 'bench', $3, $4)`,
      [baseId, tenant, JSON.stringify(column), chunks],
    );
    // Without the triggers that number each document; who owns the tables may do this, also if it is no superuser.
    await client.query('ALTER TABLE knowledge_documents DISABLE TRIGGER USER');
    await client.query(
      `INSERT INTO knowledge_documents (id, tenant_id, knowledge_base_id, title, media_type, status, chunk_count, generation)
       SELECT md5(n::text)::uuid, $1, $2::uuid, 'Book ' || n, 'text/plain', 'READY', $4, 1 FROM generate_series(0, $3) AS n`,
      [tenant, baseId, Math.ceil(chunks / chunksOfDocument) - 1, chunksOfDocument],
    );
    // Few words are frequent and most are rare, as in a language.
    await inParts(chunks, (from, to) =>
      client.query(
        `INSERT INTO knowledge_chunks (tenant_id, knowledge_base_id, document_id, generation, position, headings, text, content_hash, tsv)
       SELECT $1, $2::uuid, md5((n / $4)::text)::uuid, 1, n % $4 + 1, '{}', text, md5(n::text),
         to_tsvector('english', text) || array_to_tsvector(ARRAY['kb:' || $2::uuid])
       FROM generate_series($3::int, $6::int) AS n, LATERAL (
         SELECT string_agg('w' || floor(power(random(), 3) * $5), ' ') AS text FROM generate_series(1, 60 + 0 * n)) AS made`,
        [tenant, baseId, from, chunksOfDocument, vocabulary, to],
      ),
    );
    await client.query(
      `INSERT INTO knowledge_words SELECT $1, $2::uuid, 'w' || n FROM generate_series(0, $3 - 1) AS n`,
      [tenant, baseId, vocabulary],
    );
    if (hasVectors) {
      const indexes = await client.query(
        `SELECT indexname AS name, indexdef AS definition FROM pg_indexes
         WHERE tablename = 'knowledge_vectors' AND indexdef LIKE '%USING hnsw%'`,
      );
      const vectorIndexes = z.array(z.object({ name: z.string(), definition: z.string() })).parse(indexes.rows);
      for (const { name } of vectorIndexes) await client.query(`DROP INDEX ${name}`);
      await inParts(chunks, (from, to) =>
        client.query(
          `INSERT INTO knowledge_vectors (tenant_id, knowledge_base_id, model_key, content_hash, dimensions, size, embedding)
         SELECT $1, $2::uuid, $3, md5(n::text), $5, $5, (
           SELECT l2_normalize(array_agg(random() - 0.5)::real[]::vector) FROM generate_series(1, $5 + 0 * n))
         FROM generate_series($4::int, $6::int) AS n`,
          [tenant, baseId, modelKey, from, dimensions, to],
        ),
      );
      // Made afterwards, they take a fraction of the time.
      await client.query("SET maintenance_work_mem = '512MB'");
      for (const { definition } of vectorIndexes) await client.query(definition);
    }
    await client.query('ALTER TABLE knowledge_documents ENABLE TRIGGER USER');
    for (const table of ['documents', 'chunks', 'words', ...(hasVectors ? ['vectors'] : [])])
      await client.query(`VACUUM (ANALYZE) knowledge_${table}`);
    return hasVectors;
  } finally {
    await client.end();
  }
}

/** The embedded database does not have the memory for all rows in one statement. */
async function inParts(count: number, write: (from: number, to: number) => Promise<unknown>): Promise<void> {
  const size = 2_000;
  for (let from = 0; from < count; from += size) await write(from, Math.min(count, from + size) - 1);
}

/** @param modelKey of the vectors; null: words alone. @returns milliseconds of each search, the second time */
async function timeBare(
  databaseUrl: string,
  words: readonly (readonly [string, string])[],
  modelKey: string | null,
): Promise<number[]> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  const byWords = `SELECT id, row_number() OVER (ORDER BY rank DESC) AS place FROM (
      SELECT id, ts_rank(tsv, to_tsquery('english', $2)) AS rank FROM knowledge_chunks
      WHERE tenant_id = $1 AND tsv @@ (to_tsquery('english', $2) && $3::tsquery) ORDER BY rank DESC LIMIT 60
    ) AS ranked`;
  const { size, type } = sizeOf(dimensions);
  const distance = `embedding::${type}(${size}) <#> $5::${type}(${size})`;
  const byVectors = `SELECT c.id, row_number() OVER (ORDER BY near.distance) AS place FROM (
      SELECT content_hash, ${distance} AS distance FROM knowledge_vectors
      WHERE size = ${size} AND tenant_id = $1 AND model_key = $6 AND knowledge_base_id = $4::uuid ORDER BY ${distance} LIMIT 60
    ) AS near JOIN knowledge_chunks AS c
      ON c.tenant_id = $1 AND c.knowledge_base_id = $4::uuid AND c.content_hash = near.content_hash`;
  const text = `SELECT d.title, c.text FROM (
      SELECT id, sum(1.0 / (60 + place)) AS score
      FROM (${modelKey === null ? byWords : `(${byWords}) UNION ALL (${byVectors})`}) AS ways
      GROUP BY id ORDER BY score DESC LIMIT 5
    ) AS best JOIN knowledge_chunks AS c ON c.id = best.id AND c.knowledge_base_id = $4::uuid
    JOIN knowledge_documents AS d ON d.tenant_id = $1 AND d.id = c.document_id ORDER BY best.score DESC`;
  const times: number[] = [];
  for (const pair of [...words, ...words]) {
    const vector = writeVector(Array.from({ length: dimensions }, () => Math.random() - 0.5));
    const vectors = modelKey === null ? [] : [vector, modelKey];
    const begun = performance.now();
    await client.query({
      name: 'bare',
      text,
      values: [tenant, pair.join(' | '), `'kb:${baseId}'`, baseId, ...vectors],
    });
    times.push(performance.now() - begun);
  }
  await client.end();
  return times.slice(words.length);
}
