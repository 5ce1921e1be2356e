import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sweepKnowledge } from '../../src/knowledge/sweep.ts';
import { shareApp } from '../support/app.ts';
import { seedBase } from './seed-base.ts';
import { addDocumentText, openBase, readDocumentText } from './support.ts';

const app = shareApp({
  env: { KNOWLEDGE_MAX_BASE_SOURCE_MB: '1', KNOWLEDGE_MAX_SOURCE_MB: '1', RATE_LIMIT_KNOWLEDGE: '0' },
});

const deleteText = 'mutation ($id: ID!) { deleteKnowledgeBase(id: $id) }';
const rowOf = (publicId: string) => publicId.slice(publicId.indexOf('_') + 1);

/** All rows that a base has. */
async function countRows(knowledgeBaseId: string): Promise<Record<string, number>> {
  const { db } = app.app;
  const where = { knowledgeBaseId };
  const [{ vectors } = { vectors: 0 }] = await db.$queryRaw<{ vectors: number }[]>`
    SELECT CASE WHEN to_regclass('knowledge_vectors') IS NULL THEN 0 ELSE (xpath('/row/count/text()', query_to_xml(
      format('SELECT count(*) FROM knowledge_vectors WHERE knowledge_base_id = %L', ${knowledgeBaseId}::text),
      false, true, '')))[1]::text::int END AS vectors`;
  return {
    bases: await db.knowledgeBase.count({ where: { id: knowledgeBaseId } }),
    documents: await db.knowledgeDocument.count({ where }),
    chunks: await db.knowledgeChunk.count({ where }),
    sources: await db.knowledgeSourcePart.count({ where }),
    words: await db.knowledgeWord.count({ where }),
    vectors,
  };
}
const none = { bases: 0, documents: 0, chunks: 0, sources: 0, words: 0, vectors: 0 };

test('A deleted base is seen nowhere from then on, and its room is free, while its rows are still there', async () => {
  const tenant = randomUUID();
  const base = await openBase(app, { tenant });
  const { id } = await base.add({ text: `# Cups\n\n${'Cups are blue. '.repeat(40_000)}`.slice(0, 490_000) });
  const { id: second } = await base.add({ text: 'Cups are green. '.repeat(31_000) });
  expect(await base.settle(id)).toMatchObject({ status: 'READY' });
  expect(await base.settle(second)).toMatchObject({ status: 'READY' });
  const other = await openBase(app, { tenant });
  const input = { knowledgeBaseId: other.baseId, title: 'More', text: 'Cups are red. '.repeat(30_000) };
  expect(await base.fail(addDocumentText, { input })).toMatchObject([{ code: 'BAD_USER_INPUT' }]);
  const events = app.ws(base.token).iterate({
    query: 'subscription ($id: ID!) { knowledgeEvents(knowledgeBaseId: $id) { id } }',
    variables: { id: base.baseId },
  });
  await expect.poll(() => app.app.knowledge.changes.size).toBe(1);
  // The process dies as soon as that is stored, and so does the job.
  const { db } = app.app;
  await db.$executeRaw`UPDATE knowledge_bases SET deleted_at = now() WHERE id = ${rowOf(base.baseId)}::uuid`;
  app.app.knowledge.changes.wake(rowOf(base.baseId));
  expect((await events.next()).done).toBe(true);

  const lists =
    '{ knowledgeBases(first: 10) { totalCount edges { node { id } } } searchKnowledge(query: "blue cups") { text } }';
  expect(await base.ask(lists)).toEqual({
    knowledgeBases: { totalCount: 1, edges: [{ node: { id: other.baseId } }] },
    searchKnowledge: [],
  });
  const search = 'query ($id: ID!) { searchKnowledge(query: "cups", knowledgeBaseIds: [$id]) { text } }';
  const node = 'query ($id: ID!) { node(id: $id) { id } }';
  const { baseId } = base;
  const missing: readonly [string, Record<string, unknown>][] = [
    [search, { id: baseId }],
    ['query ($id: ID!) { knowledgeBase(id: $id) { id } }', { id: baseId }],
    [readDocumentText, { id }],
    [node, { id: baseId }],
    [node, { id }],
    ['subscription ($id: ID!) { knowledgeEvents(knowledgeBaseId: $id) { id } }', { id: baseId }],
    ['mutation ($id: ID!) { updateKnowledgeBase(id: $id, input: { name: "X" }) { id } }', { id: baseId }],
    ['mutation ($id: ID!) { reindexKnowledgeBase(id: $id) { id } }', { id: baseId }],
    ['mutation ($id: ID!) { deleteKnowledgeDocument(id: $id) }', { id }],
    ['mutation ($id: ID!) { updateKnowledgeDocument(id: $id, input: { title: "X" }) { id } }', { id }],
    [addDocumentText, { input: { ...input, knowledgeBaseId: baseId } }],
    [deleteText, { id: baseId }],
    [
      'mutation ($id: ID!) { createAgent(input: { name: "a", instructions: "b", knowledgeBaseIds: [$id] }) { id } }',
      { id: baseId },
    ],
  ];
  for (const [document, variables] of missing) {
    if (document.startsWith('subscription')) {
      const { value } = await app.ws(base.token).iterate({ query: document, variables }).next();
      expect(value).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
    } else expect([document, await base.fail(document, variables)]).toMatchObject([document, [{ code: 'NOT_FOUND' }]]);
  }
  // Its bytes and passages count no more, though they are still there.
  expect(await countRows(rowOf(baseId))).toMatchObject({ bases: 1, documents: 2 });
  await base.ask(addDocumentText, { input });

  // What has lost its job is found again.
  await sweepKnowledge(app.app.knowledge, new AbortController().signal);
  await expect.poll(() => countRows(rowOf(baseId)), { timeout: 60_000 }).toEqual(none);
});

test('The rows of a deleted base go in small statements, by a job, and those of another base stay', async () => {
  const { db } = app.app;
  const tenant = randomUUID();
  const token = await app.token({ tenant, sub: 'admin', roles: ['admin'] });
  const documents = Array.from({ length: 45 }, (_, n) => ({
    title: `Document ${n}`,
    texts: Array.from({ length: n === 0 ? 700 : 3 }, (__, at) => `Cup ${n} of shelf ${at} is word${n}x${at}.`),
  }));
  const { baseId } = await seedBase(db, documents, { tenantId: tenant });
  const kept = await openBase(app, { tenant });
  const { id } = await kept.add({ text: 'It stays.' });
  await kept.settle(id);
  await db.$executeRaw`
    INSERT INTO knowledge_source_parts (tenant_id, knowledge_base_id, document_id, revision, position, data)
    SELECT tenant_id, knowledge_base_id, id, 1, part, decode('00', 'hex') FROM knowledge_documents, generate_series(0, 2) AS part
    WHERE knowledge_base_id = ${baseId}::uuid`;
  await db.$executeRaw`
    INSERT INTO knowledge_words (tenant_id, knowledge_base_id, word)
    SELECT ${tenant}, ${baseId}::uuid, 'word' || n FROM generate_series(1, 3000) AS n ON CONFLICT DO NOTHING`;
  // What each statement deletes, those of foreign keys too.
  await db.$executeRaw`CREATE TABLE deleted_rows (name text, count int)`;
  await db.$executeRawUnsafe(`CREATE FUNCTION note_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO deleted_rows SELECT TG_TABLE_NAME, count(*) FROM gone; RETURN NULL; END $$`);
  const tables = ['documents', 'chunks', 'source_parts', 'words'].map((name) => `knowledge_${name}`);
  for (const table of tables)
    await db.$executeRawUnsafe(`CREATE TRIGGER noting AFTER DELETE ON ${table} REFERENCING OLD TABLE AS gone
      FOR EACH STATEMENT EXECUTE FUNCTION note_deleted()`);
  expect((await app.query(deleteText, { id: `kb_${baseId}` }, { token })).data).toEqual({
    deleteKnowledgeBase: `kb_${baseId}`,
  });
  await expect.poll(() => countRows(baseId), { timeout: 60_000 }).toEqual(none);
  const most = await db.$queryRaw<{ name: string; most: number; total: number }[]>`
    SELECT name, max(count)::int AS most, sum(count)::int AS total FROM deleted_rows GROUP BY 1 ORDER BY 1`;
  const bounds = { knowledge_documents: 20, knowledge_chunks: 100, knowledge_source_parts: 8, knowledge_words: 500 };
  for (const { name, most: count } of most)
    expect([name, count]).toEqual([name, Math.min(count, bounds[name as keyof typeof bounds])]);
  const totals = Object.fromEntries(most.map(({ name, total }) => [name, total]));
  expect(totals).toMatchObject({ knowledge_documents: 45, knowledge_chunks: 832, knowledge_source_parts: 135 });
  expect((await kept.texts(id)).length).toBe(1);
});

test('A base that an agent is given while it is deleted is either kept or not given', async () => {
  const base = await openBase(app, { tenant: randomUUID() });
  const create = `mutation ($name: String!, $id: ID!) {
    createAgent(input: { name: $name, instructions: "Help.", knowledgeBaseIds: [$id] }) { id } }`;
  const answers = await Promise.all([
    ...Array.from({ length: 6 }, (_, n) =>
      app.query(create, { name: `agent ${n}`, id: base.baseId }, { token: base.token }),
    ),
    app.query(deleteText, { id: base.baseId }, { token: base.token }),
  ]);
  const isDeleted = answers.at(-1)?.errors.length === 0;
  const given = answers.slice(0, -1).filter(({ errors }) => errors.length === 0).length;
  expect(isDeleted ? given : 0).toBe(0);
  for (const { errors } of answers)
    for (const { extensions } of errors) expect(extensions.code).toMatch(/^(NOT_FOUND|CONFLICT)$/);
});
