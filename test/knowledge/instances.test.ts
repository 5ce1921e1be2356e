import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { hasRedis, startRedis } from '../support/database/redis.ts';
import { openBase } from './support.ts';

const stores = hasRedis ? (['without Redis', 'with Redis'] as const) : (['without Redis'] as const);

test.each(stores)(
  'Of two instances, each document is indexed by one, once, and readers on the other get its changes to its end, %s',
  async (store) => {
    await using opening = new AsyncDisposableStack();
    const redis = store === 'with Redis' ? opening.use(await startRedis()) : null;
    const { url: databaseUrl } = opening.use(await createTestDatabase());
    const env: Record<string, string> = redis === null ? {} : { REDIS_URL: redis.url };
    const first = opening.use(await startTestApp({ databaseUrl, env }));
    const second = opening.use(await startTestApp({ databaseUrl, env }));
    const base = await openBase(first);
    const events = second.ws(await second.token()).iterate<{ knowledgeEvents: { id: string; status: string } }>({
      query: 'subscription ($id: ID!) { knowledgeEvents(knowledgeBaseId: $id) { id status } }',
      variables: { id: base.baseId },
    });
    const ready = new Set<string>();
    const reading = (async () => {
      for await (const { data, errors } of events) {
        if (!data || errors) throw new Error('The stream failed.', { cause: errors });
        if (data.knowledgeEvents.status === 'READY') ready.add(data.knowledgeEvents.id);
        if (ready.size === 12) return;
      }
    })();
    await expect.poll(() => second.app.knowledge.changes.size).toBe(1);
    const ids: string[] = [];
    for (let n = 0; n < 12; n++) ids.push((await base.add({ text: `# Cup ${n}\n\nCup ${n} is blue.` })).id);
    for (const id of ids) expect(await base.settle(id)).toMatchObject({ status: 'READY', chunkCount: 1 });
    await reading;
    expect([...ready].sort()).toEqual([...ids].sort());
    const rows = await second.app.db.knowledgeDocument.findMany({ select: { attempt: true, generation: true } });
    expect(rows).toEqual(ids.map(() => ({ attempt: 1, generation: 1 })));
    expect(await second.app.db.knowledgeChunk.count()).toBe(12);
  },
);

test('A process that stops in the middle of indexing hands the document over, and no attempt is lost', async () => {
  await using database = await createTestDatabase();
  const sections = Array.from(
    { length: 300 },
    (_, n) => `# Cup ${n}\n\nCup ${n} is blue. ${'It is good. '.repeat(60)}`,
  );
  let documentId = '';
  {
    await using first = await startTestApp({ databaseUrl: database.url });
    const base = await openBase(first);
    const { id } = await base.add({ text: sections.join('\n\n') });
    documentId = id.slice('doc_'.length);
    // Some of it is written.
    await expect.poll(() => first.app.db.knowledgeChunk.count(), { timeout: 200_000, interval: 5 }).toBeGreaterThan(0);
  }
  await using second = await startTestApp({ databaseUrl: database.url });
  const { db } = second.app;
  const read = () => db.knowledgeDocument.findUniqueOrThrow({ where: { id: documentId } });
  await expect.poll(read, { timeout: 200_000 }).toMatchObject({ status: 'READY', chunkCount: 300, error: null });
  expect(await db.knowledgeChunk.count()).toBe(300);
  const [{ retries }] = await db.$queryRaw<[{ retries: number }]>`
    SELECT coalesce(max(retry_count), 0)::integer AS retries FROM switchboard_jobs.job WHERE name = 'index-document'`;
  expect(retries).toBe(0);
});

test('A slow attempt that another one has overtaken writes nothing more', async () => {
  await using app = await startTestApp();
  const { db, knowledge } = app.app;
  const base = await openBase(app);
  const gate = Promise.withResolvers<void>();
  const slow = { ...knowledge, completeGeneration: () => gate.promise };
  const { id } = await base.add({ text: 'Cups are blue.' });
  await base.settle(id);
  const documentId = id.slice('doc_'.length);
  const payload = { tenantId: 'acme', documentId, revision: 1 };
  await db.knowledgeDocument.update({ where: { id: documentId }, data: { status: 'QUEUED' } });
  const attempt = { signal: new AbortController().signal, isLast: false };
  const { giveUpDocument, indexDocument } = await import('../../src/knowledge/index-document.ts');
  const first = indexDocument(slow, payload, attempt);
  await expect.poll(() => db.knowledgeChunk.count({ where: { documentId } })).toBe(2);
  // The base is full, of what is replaced.
  const full = { ...knowledge, bounds: { ...knowledge.bounds, chunksPerBase: 1 } };
  await indexDocument(full, payload, attempt);
  gate.resolve();
  await first;
  const document = await db.knowledgeDocument.findUniqueOrThrow({ where: { id: documentId } });
  expect(document).toMatchObject({ status: 'READY', attempt: 3, generation: 3, chunkCount: 1 });
  expect(await base.texts(id)).toEqual([{ headings: [], text: 'Cups are blue.' }]);
  // An attempt whose process has died, at its last one, leaves nothing of what it has written.
  await db.knowledgeDocument.update({ where: { id: documentId }, data: { status: 'INDEXING', attempt: 4 } });
  await db.$executeRaw`
    INSERT INTO knowledge_chunks (tenant_id, knowledge_base_id, document_id, generation, position, headings, text,
      content_hash, tsv)
    SELECT tenant_id, knowledge_base_id, document_id, 4, position, headings, 'Half of it', 'other', tsv
    FROM knowledge_chunks WHERE document_id = ${documentId}::uuid`;
  await giveUpDocument(knowledge, payload);
  expect(await base.settle(id)).toMatchObject({ status: 'FAILED', chunkCount: 1 });
  expect(await db.knowledgeChunk.findMany({ where: { documentId } })).toMatchObject([{ generation: 3 }]);
});

test('Of two documents that are indexed at the same time and take the last room together, one is refused', async () => {
  await using app = await startTestApp();
  const { db, knowledge } = app.app;
  const base = await openBase(app);
  const gate = Promise.withResolvers<void>();
  // Both have found that there is room before one of them takes it.
  const slow = {
    ...knowledge,
    completeGeneration: () => gate.promise,
    bounds: { ...knowledge.bounds, chunksPerBase: 3 },
  };
  const text = '# Cups\n\nCups are blue.\n\n# Plates\n\nPlates are red.';
  const ids: string[] = [];
  for (let n = 0; n < 2; n++) {
    const { id } = await base.add({ text });
    await base.settle(id);
    ids.push(id.slice('doc_'.length));
  }
  await db.knowledgeChunk.deleteMany({ where: { documentId: { in: ids } } });
  await db.knowledgeDocument.updateMany({ where: { id: { in: ids } }, data: { status: 'QUEUED', chunkCount: 0 } });
  const { indexDocument } = await import('../../src/knowledge/index-document.ts');
  const attempt = { signal: new AbortController().signal, isLast: false };
  const attempts = ids.map((documentId) => indexDocument(slow, { tenantId: 'acme', documentId, revision: 1 }, attempt));
  await expect.poll(() => db.knowledgeChunk.count({ where: { documentId: { in: ids } } })).toBe(4);
  gate.resolve();
  await Promise.all(attempts);
  const documents = await db.knowledgeDocument.findMany({ where: { id: { in: ids } }, orderBy: { status: 'asc' } });
  expect(documents).toMatchObject([
    { status: 'READY', chunkCount: 2 },
    { status: 'FAILED', chunkCount: 0, error: expect.stringContaining('The knowledge base is full') },
  ]);
  expect(await db.knowledgeChunk.count({ where: { documentId: { in: ids } } })).toBe(2);
});
