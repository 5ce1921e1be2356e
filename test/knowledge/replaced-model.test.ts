import { randomUUID } from 'node:crypto';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { ModelVersions, probeText } from '../../src/knowledge/vectors/model-versions.ts';
import { shareApp } from '../support/app.ts';
import { startEmbeddingServer } from './embedding-server.ts';
import { openBase } from './support.ts';

const server = await startEmbeddingServer();
afterAll(() => server.close());
beforeEach(() => {
  server.state.replaced = false;
});
const app = shareApp({
  env: { EMBEDDING_MODEL: 'test-embedding', MODEL_ALLOWED_HOSTS: server.host, RATE_LIMIT_KNOWLEDGE: '0' },
});

/** A base of a new tenant whose model is that of the server. */
async function openEmbeddedBase() {
  const tenantId = randomUUID();
  const base = await openBase(app, { tenant: tenantId });
  const embedding = { provider: 'custom', apiUrl: server.url, model: 'one' };
  const update =
    'mutation ($id: ID!, $embedding: EmbeddingProviderConfigInput) { updateKnowledgeBase(id: $id, input: { embedding: $embedding }) { id } }';
  await base.ask(update, { id: base.baseId, embedding });
  const vectors = () => app.app.db.$queryRaw<{ model: string; text: string; embedding: string }[]>`
    SELECT DISTINCT v.model_key AS model, c.text, v.embedding::text AS embedding FROM knowledge_vectors AS v
    JOIN knowledge_chunks AS c ON c.tenant_id = v.tenant_id AND c.content_hash = v.content_hash
    WHERE v.tenant_id = ${tenantId} AND v.knowledge_base_id = ${base.baseId.slice('kb_'.length)}::uuid ORDER BY c.text`;
  const search = async (query: string) =>
    (await base.ask('query ($query: String!) { searchKnowledge(query: $query) { title } }', { query })).searchKnowledge;
  return { ...base, tenantId, vectors, search };
}

test('A search notices that another model answers to the name: it compares no vectors of the two, and all is embedded again', async () => {
  const { tenantId, add, settle, vectors, search } = await openEmbeddedBase();
  for (const title of ['Cups', 'Plates'])
    expect(await settle((await add({ title, text: `${title} are blue.` })).id)).toMatchObject({ status: 'READY' });
  if (!app.app.search.vectors.isAvailable) return expect(await search('blue cups')).not.toEqual([]);
  const before = await vectors();
  expect(before).toHaveLength(2);
  expect(new Set(before.map(({ model }) => model)).size).toBe(1);

  server.state.replaced = true;
  // Found by its words.
  expect(await search('blue cups today')).toContainEqual({ title: 'Cups' });
  await expect
    .poll(async () => (await vectors()).map(({ model }) => model), { timeout: 60_000 })
    .toEqual([expect.not.stringMatching(before[0]?.model ?? ''), expect.not.stringMatching(before[0]?.model ?? '')]);
  const after = await vectors();
  expect(new Set(after.map(({ model }) => model)).size).toBe(1);
  expect(after.map(({ embedding }) => embedding)).not.toEqual(before.map(({ embedding }) => embedding));
  expect(await app.app.db.embeddingModel.count({ where: { tenantId } })).toBe(2);
  expect(await search('blue plates tomorrow')).toContainEqual({ title: 'Plates' });
});

test('Indexing notices it as well, and other bases of the tenant with the model follow', async () => {
  const { tenantId, add, settle, vectors, baseId } = await openEmbeddedBase();
  await settle((await add({ title: 'Cups', text: 'Cups are blue.' })).id);
  if (!app.app.search.vectors.isAvailable) return;
  const [before] = await vectors();
  const { embedding } = await app.app.db.knowledgeBase.findFirstOrThrow({ where: { id: baseId.slice('kb_'.length) } });
  const other = await openBase(app, { tenant: tenantId });
  await app.app.db.knowledgeBase.update({
    where: { id: other.baseId.slice('kb_'.length) },
    data: { embedding: JSON.parse(JSON.stringify(embedding)) },
  });

  server.state.replaced = true;
  expect(await other.settle((await other.add({ title: 'Bowls', text: 'Bowls are red.' })).id)).toMatchObject({
    status: 'READY',
  });
  await expect.poll(async () => (await vectors())[0]?.model, { timeout: 60_000 }).not.toBe(before?.model);
  const keys = await app.app.db.$queryRaw<{ key: string }[]>`
    SELECT DISTINCT model_key AS key FROM knowledge_vectors WHERE tenant_id = ${tenantId}`;
  await expect.poll(async () => keys.length).toBe(1);
});

test('Each request for vectors has the probe with it', async () => {
  const { add, settle, search } = await openEmbeddedBase();
  const from = server.asked.length;
  await settle((await add({ title: 'Cups', text: 'Cups are blue.' })).id);
  await search('blue cups yesterday');
  for (const { input } of server.asked.slice(from)) expect(input.at(-1)).toBe(probeText);
});

test('Of many processes that notice it at the same time, one has the bases indexed again; a model that varies a little is the same', async () => {
  const { db } = app.app;
  const { tenantId } = await openEmbeddedBase();
  const processes = Array.from({ length: 5 }, () => new ModelVersions(db));
  let changes = 0;
  for (const process of processes)
    process.onChange = async () => {
      changes += 1;
    };
  const ask = async (probe: readonly number[]) =>
    new Set(await Promise.all(processes.map((process) => process.keyOf(tenantId, 'the model', probe))));
  expect(await ask([1, 0])).toEqual(new Set(['the model']));
  expect(await ask([0.999, 0.0447])).toEqual(new Set(['the model']));
  expect(changes).toBe(0);
  const [second] = await ask([0, 1]);
  expect(second).not.toBe('the model');
  expect(changes).toBe(1);
  // Two models that take turns do not have everything embedded again each time.
  expect(await ask([1, 0])).toEqual(new Set(['the model']));
  expect(await ask([0, 1])).toEqual(new Set([second]));
  expect(changes).toBe(1);
  // Another number of dimensions is another model; and one that is back after a while has everything embedded again.
  const [third] = await ask([0, 1, 0]);
  expect([second, 'the model']).not.toContain(third);
  await db.$executeRaw`UPDATE embedding_models SET used_at = used_at - interval '1 hour' WHERE tenant_id = ${tenantId}`;
  expect(await ask([1, 0])).toEqual(new Set(['the model']));
  expect(changes).toBe(3);
});
