import { expect, test } from 'vitest';
import type { Viewer } from '../../src/auth/viewer.ts';
import { type Database, openDatabase } from '../../src/database/client.ts';
import type { Statement } from '../../src/database/statements.ts';
import { searchScope } from '../../src/knowledge/search/search.ts';
import { VectorRuntime } from '../../src/knowledge/vectors/runtime.ts';
import { openGraph } from '../support/app.ts';
import { explainReads } from '../support/database/plans.ts';
import { seedBase } from './seed-base.ts';

/** Tables that grow with the knowledge. Of vectors, so few that a test can index them are read without their index. */
const growing = ['knowledge_chunks', 'knowledge_documents', 'knowledge_words'];

/** Rows that are added to each. */
const count = 3_000;

/** Adds documents of one chunk each, with words: enough for the planner to think of indexes. */
async function fill(db: Database, tenantId: string, baseId: string) {
  await db.$transaction(async (tx) => {
    // Without the triggers that number each document: they take longer than the rows. The role owns the table, and is no superuser
    // everywhere.
    await tx.$executeRaw`ALTER TABLE knowledge_documents DISABLE TRIGGER USER`;
    await tx.$executeRaw`
      INSERT INTO knowledge_documents (id, tenant_id, knowledge_base_id, title, media_type, status, chunk_count, generation)
      SELECT md5(n::text)::uuid, ${tenantId}, ${baseId}::uuid, 'Document ' || n, 'text/plain', 'READY', 1, 1
      FROM generate_series(1, ${count}::int) AS n`;
    await tx.$executeRaw`ALTER TABLE knowledge_documents ENABLE TRIGGER USER`;
    await tx.$executeRaw`
      INSERT INTO knowledge_chunks (tenant_id, knowledge_base_id, document_id, generation, position, headings, text,
        content_hash, tsv)
      SELECT ${tenantId}, ${baseId}::uuid, md5(n::text)::uuid, 1, 1, '{}', text, md5(n::text),
        to_tsvector('english', text) || array_to_tsvector(ARRAY[${`kb:${baseId}`}])
      FROM generate_series(1, ${count}::int) AS n, LATERAL (
        SELECT CASE n % 3 WHEN 0 THEN 'The refund of order ' || n || ' takes ' || n % 50 || ' days for item' || n % 700
          ELSE 'Shelf ' || n || ' holds ' || md5(n::text) END AS text) AS made`;
    await tx.$executeRaw`
      INSERT INTO knowledge_words (tenant_id, knowledge_base_id, word)
      SELECT ${tenantId}, ${baseId}::uuid, substr(md5(n::text), 1, 8) FROM generate_series(1, ${count * 4}::int) AS n
      ON CONFLICT DO NOTHING`;
  });
  for (const table of growing) await db.$executeRawUnsafe(`VACUUM (ANALYZE) ${table}`);
}

test('Every statement of a search reads chunks, documents and words by their indexes', async () => {
  await using graph = await openGraph({ EMBEDDING_MODEL: 'test-embedding' });
  const { search, db } = graph.app.app;
  const tenantId = 'planning';
  const viewer: Viewer = { userId: 'alice', tenantId, roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const { baseId } = await seedBase(db, [{ title: 'Cups', texts: ['A refund of cups.'] }], { tenantId });
  const vector = [0.8, 0.6, 0, 0, 0, 0, 0, 0];
  const { deps } = search.vectors;
  const port = { embed: async (_endpoint: unknown, texts: readonly string[]) => texts.map(() => vector) };
  const statements: Statement[] = [];
  const onQuery = (statement: Statement) => void statements.push(statement);
  await using watched = openDatabase({ url: graph.databaseUrl, poolSize: 2, onQuery });
  const runtime = { ...search, db: watched.db, vectors: await VectorRuntime.open({ ...deps, port }) };
  const scope = { baseIds: [baseId], project: 'any' } as const;
  const { signal } = new AbortController();
  const ask = (query: string) => searchScope(viewer, runtime, { query, scope, limit: 10 }, signal);
  await fill(db, tenantId, baseId);
  // A rare word, one that most chunks have, one that is misspelt, the beginning of one, and operators.
  for (const query of [
    'item77',
    'refund days',
    'refnud of ordre 77',
    'how long does a refu',
    '"refund of order" -77',
  ]) {
    statements.length = 0;
    expect((await ask(query)).length, query).toBeGreaterThan(0);
    const asked = [...statements];
    expect(asked.length, query).toBe(3);
    for (const statement of asked) {
      const { scanned } = await explainReads(watched, statement);
      expect(
        scanned.filter((table) => growing.includes(table)),
        statement.sql,
      ).toEqual([]);
    }
  }
});
