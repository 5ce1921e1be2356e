import { afterAll, describe, expect, test } from 'vitest';
import { resolveEmbedding } from '../../src/knowledge/vectors/embedding-config.ts';
import { dropOtherVectors } from '../../src/knowledge/vectors/store-vectors.ts';
import { parseKeyRing } from '../../src/secrets/key-ring.ts';
import { rotateSecrets } from '../../src/secrets/rotate.ts';
import { openSecret } from '../../src/secrets/stored-secrets.ts';
import { shareApp, testKeys } from '../support/app.ts';
import { startEmbeddingServer } from './embedding-server.ts';
import { openBase } from './support.ts';

const [server, elsewhere] = await Promise.all([startEmbeddingServer(), startEmbeddingServer()]);
afterAll(async () => {
  await server.close();
  await elsewhere.close();
});
const newKey = `new:${Buffer.alloc(32, 9).toString('base64')}`;
const app = shareApp({
  env: {
    EMBEDDING_MODEL: 'test-embedding',
    MODEL_ALLOWED_HOSTS: `${server.host},${elsewhere.host}`,
    ENCRYPTION_KEYS: `${testKeys},${newKey}`,
  },
});
let tenants = 0;

const fields = 'id searchModes embedding { provider apiUrl apiKeyHint model dimensions }';
const updateText = `mutation ($id: ID!, $embedding: EmbeddingProviderConfigInput) {
  updateKnowledgeBase(id: $id, input: { embedding: $embedding }) { ${fields} }
}`;
const secretKey = 'sk-of-the-base-x7Qk';

/** A base of a new tenant with an embedding model of its own. */
async function openEmbeddedBase(embedding: Record<string, unknown> = {}) {
  const tenantId = `embedding-${tenants++}`;
  const base = await openBase(app, { tenant: tenantId });
  const id = base.baseId;
  const own = { provider: 'custom', apiUrl: server.url, apiKey: secretKey, model: 'first' };
  const set = async (value: Record<string, unknown> | null) =>
    (await base.ask(updateText, { id, embedding: value })).updateKnowledgeBase;
  const made = await set({ ...own, ...embedding });
  const rowId = id.slice('kb_'.length);
  const vectors = () => app.app.db.$queryRaw<{ model: string; dimensions: number; count: number }[]>`
      SELECT model_key AS model, dimensions, count(*)::int AS count FROM knowledge_vectors
      WHERE tenant_id = ${tenantId} GROUP BY 1, 2`;
  const search = async (query: string) =>
    (await base.ask('query ($query: String!) { searchKnowledge(query: $query) { title } }', { query })).searchKnowledge;
  const secrets = () => app.app.db.secret.findMany({ where: { tenantId } });
  return { ...base, tenantId, id, rowId, made, own, set, vectors, search, secrets };
}

describe('The embedding model of a base', () => {
  test('Its key is stored encrypted and never shown, but for its end; whoever may not change the base does not change it', async () => {
    const { made, rowId, tenantId, id, own, secrets, set } = await openEmbeddedBase({ dimensions: 8 });
    const { apiKey, ...shown } = own;
    expect(made.embedding).toEqual({ ...shown, dimensions: 8, apiKeyHint: 'x7Qk' });
    const row = await app.app.db.knowledgeBase.findUniqueOrThrow({ where: { id: rowId } });
    const stored = await secrets();
    expect(stored).toMatchObject([{ knowledgeBaseId: rowId, name: 'embedding', origin: new URL(server.url).origin }]);
    expect(JSON.stringify([{ ...row, sourceBytes: 0 }, stored, made, app.logs])).not.toContain(apiKey);
    const bob = await app.token({ sub: 'bob', tenant: tenantId });
    const stranger = await app.token({ sub: 'admin', tenant: `${tenantId}-other`, roles: ['admin'] });
    const read = `query ($id: ID!) { knowledgeBase(id: $id) { ${fields} } }`;
    expect((await app.query(read, { id }, { token: bob })).data.knowledgeBase.embedding.apiKeyHint).toBe('x7Qk');
    for (const token of [bob, stranger]) {
      const { errors } = await app.query(updateText, { id, embedding: null }, { token });
      expect(errors.map(({ extensions }) => extensions.code)).toEqual(['FORBIDDEN']);
    }
    const { errors } = await app.query('query ($id: ID!) { knowledgeBase(id: $id) { embedding { apiKey } } }', { id });
    expect(errors[0]?.message).toContain('apiKey');
    expect(await secrets()).toHaveLength(1);
    expect((await set(null)).embedding).toBeNull();
    expect(await secrets()).toEqual([]);
  });

  test('Of two changes at once to other addresses, each with its key, the key and the address of one are left', async () => {
    const { set, own, secrets } = await openEmbeddedBase();
    const [here, there] = [`${server.url}/a`, `${elsewhere.url}/b`];
    for (let round = 0; round < 5; round++) {
      await Promise.all([
        set({ ...own, apiUrl: here, apiKey: 'sk-for-here-here' }),
        set({ ...own, apiUrl: there, apiKey: 'sk-for-there-away' }),
      ]);
      const [secret, ...more] = await secrets();
      const row = await app.app.db.knowledgeBase.findUniqueOrThrow({ where: { id: secret?.knowledgeBaseId ?? '' } });
      expect(more).toEqual([]);
      const isHere = secret?.origin === new URL(server.url).origin;
      expect(row.embedding).toMatchObject({ apiUrl: isHere ? here : there, apiKeyHint: isHere ? 'here' : 'away' });
      expect(secret).toMatchObject({ hint: isHere ? 'here' : 'away' });
    }
  });

  test('A base is created with one', async () => {
    const { ask, own, secrets } = await openEmbeddedBase();
    const create = `mutation ($embedding: EmbeddingProviderConfigInput) {
      createKnowledgeBase(input: { name: "Another", embedding: $embedding }) { ${fields} }
    }`;
    const { createKnowledgeBase: created } = await ask(create, { embedding: own });
    expect(created.embedding).toMatchObject({ model: 'first', apiKeyHint: 'x7Qk', dimensions: null });
    expect(await secrets()).toHaveLength(2);
  });

  test('A key stays on its host: another address has it dropped, and is never sent it', async () => {
    const { set, add, settle, secrets } = await openEmbeddedBase();
    const kept = await set({ provider: 'custom', apiUrl: `${server.url}/`, model: 'first' });
    expect(kept.embedding.apiKeyHint).toBe('x7Qk');
    const moved = await set({ provider: 'custom', apiUrl: elsewhere.url, model: 'first' });
    expect(moved.embedding).toMatchObject({ apiUrl: elsewhere.url, apiKeyHint: null });
    expect(await secrets()).toEqual([]);
    const { id } = await add({ text: 'Cups are blue.' });
    expect(await settle(id)).toMatchObject({ status: 'READY' });
    if (app.app.search.vectors.isAvailable) expect(elsewhere.asked.length).toBeGreaterThan(0);
    expect(JSON.stringify(elsewhere.asked)).not.toContain(secretKey);
    const back = await set({ provider: 'custom', apiUrl: server.url, model: 'first' });
    expect(back.embedding.apiKeyHint).toBeNull();
  });

  test.each([
    ['provider', { provider: 'unknown' }],
    ['provider', { provider: 'ollama', apiUrl: null }],
    ['apiUrl', { apiUrl: null }],
    ['apiUrl', { apiUrl: 'file:///etc/passwd' }],
    ['apiUrl', { apiUrl: 'https://user:password@example.com/v1' }],
    ['apiUrl', { apiUrl: 'http://127.0.0.1:1/v1' }],
    ['apiUrl', { apiUrl: 'http://169.254.169.254/v1' }],
    ['apiUrl', { provider: 'demo', model: 'test-embedding', apiKey: null }],
    ['apiKey', { apiKey: 'two words' }],
    ['apiKey', { provider: 'demo', model: 'test-embedding', apiUrl: null }],
    ['model', { model: '' }],
    ['model', { model: '..' }],
    ['model', { provider: 'demo', model: 'one-that-costs-more', apiUrl: null, apiKey: null }],
    ['dimensions', { dimensions: 0 }],
    ['dimensions', { dimensions: 4_001 }],
  ])('Bad input names the field %s, and nothing is written: %j', async (field, wrong) => {
    const { id, fail, own, secrets, rowId } = await openEmbeddedBase();
    const before = await app.app.db.knowledgeBase.findUniqueOrThrow({ where: { id: rowId } });
    const failed = await fail(updateText, { id, embedding: { ...own, apiKey: 'sk-another-key', ...wrong } });
    expect(failed).toMatchObject([{ code: 'BAD_USER_INPUT' }]);
    expect(failed[0]?.message).toContain(`input.embedding.${field}`);
    expect(await app.app.db.knowledgeBase.findUniqueOrThrow({ where: { id: rowId } })).toEqual(before);
    expect((await secrets()).map(({ hint }) => hint)).toEqual(['x7Qk']);
  });

  test('A sealed key that is put into the row of another base opens nothing there', async () => {
    const [one, other] = [await openEmbeddedBase(), await openEmbeddedBase()];
    const [secret] = await one.secrets();
    const keys = parseKeyRing(testKeys);
    const column = { provider: 'custom', apiUrl: server.url, model: 'first' };
    if (secret === undefined) throw new Error('It has a key.');
    const opened = await resolveEmbedding(keys, null, { column, secrets: [secret] });
    expect(opened?.endpoint.apiKey).toBe(secretKey);
    const moved = { ...secret, knowledgeBaseId: other.rowId };
    await expect(resolveEmbedding(keys, null, { column, secrets: [moved] })).rejects.toThrow('cannot be read');
  });

  test('Rotating the keys encrypts that of a base anew, and it still opens', async () => {
    const { rowId } = await openEmbeddedBase();
    const ring = parseKeyRing(`${newKey},${testKeys}`);
    expect((await rotateSecrets(app.app.db, ring)).unreadable).toEqual([]);
    const secret = await app.app.db.secret.findFirstOrThrow({ where: { knowledgeBaseId: rowId } });
    expect(secret.kid).toBe('new');
    expect(await openSecret(parseKeyRing(newKey), secret)).toBe(secretKey);
  });
});

describe('Vectors of a base with a model of its own', () => {
  test('Another model or number of dimensions has the documents embedded again by itself, and vectors are never mixed', async () => {
    const { add, settle, set, own, vectors, search } = await openEmbeddedBase();
    const { id } = await add({ title: 'Cups', text: 'Cups are blue.' });
    expect(await settle(id)).toMatchObject({ status: 'READY' });
    expect(await search('blue cups')).toEqual([{ title: 'Cups' }]);
    if (!app.app.search.vectors.isAvailable) return;
    const [first] = await vectors();
    expect(first).toMatchObject({ dimensions: 8, count: 1 });
    expect(server.asked.at(-1)).toMatchObject({ model: 'first', authorization: `Bearer ${secretKey}` });

    const { apiKey: _, ...kept } = own;
    await set({ ...kept, model: 'second' });
    expect(await search('blue cups')).toEqual([{ title: 'Cups' }]);
    const models = async () => (await vectors()).map(({ model, dimensions }) => ({ model, dimensions }));
    const other = { model: expect.not.stringMatching(first?.model ?? ''), dimensions: 8 };
    await expect.poll(models).toEqual([other]);
    expect(server.asked.some(({ model, input }) => model === 'second' && input[0]?.includes('blue'))).toBe(true);

    await set({ ...kept, model: 'second', dimensions: 16 });
    await expect.poll(models).toEqual([{ model: expect.any(String), dimensions: 16 }]);
    await set(null);
    await expect.poll(models).toEqual([{ model: expect.any(String), dimensions: 256 }]);
    expect(await search('blue cups')).toEqual([{ title: 'Cups' }]);
  });

  test('The same model with another key embeds nothing again', async () => {
    const { add, settle, set, own } = await openEmbeddedBase();
    const { id } = await add({ text: 'Cups are blue.' });
    const { updatedAt } = await app.app.db.knowledgeDocument.findUniqueOrThrow({
      where: { id: (await settle(id)).id.slice('doc_'.length) },
    });
    await set({ ...own, apiKey: 'sk-another-key-99zz' });
    const jobs = await app.app.db.$queryRaw<unknown[]>`
      SELECT id FROM switchboard_jobs.job WHERE name = 'reindex-base' AND data->>'baseId' = (
        SELECT knowledge_base_id::text FROM knowledge_documents WHERE id = ${id.slice('doc_'.length)}::uuid)`;
    // That of the change from the model of the environment.
    expect(jobs).toHaveLength(1);
    expect(updatedAt).toBeInstanceOf(Date);
  });

  test('Whoever has indexed with the model before, and was slow, does not delete the vectors of the new one', async () => {
    const { add, settle, rowId, tenantId, vectors } = await openEmbeddedBase();
    const { id } = await add({ text: 'Cups are blue.' });
    expect(await settle(id)).toMatchObject({ status: 'READY' });
    if (!app.app.search.vectors.isAvailable) return;
    const before = await vectors();
    expect(before).toHaveLength(1);
    const old = { tenantId, knowledgeBaseId: rowId, modelKey: 'that of the model before' };
    const documentId = id.slice('doc_'.length);
    await dropOtherVectors(app.app.db, old, { documentId, column: { provider: 'custom', model: 'before' } });
    expect(await vectors()).toEqual(before);
  });

  test('What one tenant has embedded for a search is not used for another tenant, whose key may be refused', async () => {
    const [one, other] = [await openEmbeddedBase(), await openEmbeddedBase()];
    if (!app.app.search.vectors.isAvailable) return expect(await one.search('cups')).toEqual([]);
    const query = `cups of ${one.tenantId}`;
    const asked = () => server.asked.filter(({ input }) => input.includes(query)).length;
    await one.search(query);
    await one.search(query);
    expect(asked()).toBe(1);
    await other.search(query);
    expect(asked()).toBe(2);
  });

  test('If the provider fails, a search finds by words alone, and says so in the log', async () => {
    const { add, settle, search } = await openEmbeddedBase();
    const { id } = await add({ title: 'Cups', text: 'Cups are blue.' });
    expect(await settle(id)).toMatchObject({ status: 'READY' });
    const lines = () => app.logs.filter(({ msg }) => msg.startsWith('a search could not be embedded')).length;
    const before = lines();
    server.state.status = 401;
    try {
      expect(await search('blue things')).toEqual([{ title: 'Cups' }]);
    } finally {
      server.state.status = 200;
    }
    expect(lines()).toBe(before + (app.app.search.vectors.isAvailable ? 1 : 0));
    expect(JSON.stringify(app.logs)).not.toContain(secretKey);
  });

  test.each([
    ['nan', 'something else than finite numbers'],
    ['shorter', 'a vector of 7 dimensions instead of 8'],
  ])(
    'What the model %s sends fails the document with the reason; a model that works has it indexed by itself',
    async (model, reason) => {
      const { add, settle, set, own, search, vectors } = await openEmbeddedBase({ model, dimensions: 8 });
      const { id } = await add({ title: 'Cups', text: 'Cups are blue.' });
      const settled = await settle(id);
      if (!app.app.search.vectors.isAvailable) return expect(settled).toMatchObject({ status: 'READY' });
      expect(settled).toMatchObject({ status: 'FAILED', error: expect.stringContaining(reason) });
      expect(server.asked.filter((asked) => asked.model === model)).toHaveLength(1);
      expect(await vectors()).toEqual([]);
      await set({ ...own, model: 'first' });
      await expect.poll(async () => (await settle(id)).status).toBe('READY');
      expect(await search('blue cups')).toEqual([{ title: 'Cups' }]);
    },
  );

  test('A base whose model is that of the environment, and another one, has no vectors', async () => {
    const { add, settle, rowId, ask, id: baseId, vectors } = await openEmbeddedBase();
    const { id } = await add({ text: 'Cups are blue.' });
    await settle(id);
    const embedding = { provider: 'demo', model: 'that-of-an-old-environment' };
    await app.app.db.knowledgeBase.update({ where: { id: rowId }, data: { embedding } });
    const read = 'query ($id: ID!) { knowledgeBase(id: $id) { searchModes } }';
    expect((await ask(read, { id: baseId })).knowledgeBase.searchModes).toEqual(['FULL_TEXT']);
    await ask('mutation ($id: ID!) { reindexKnowledgeBase(id: $id) { id } }', { id: baseId });
    expect(await settle(id)).toMatchObject({ status: 'READY' });
    if (app.app.search.vectors.isAvailable) expect(await vectors()).toEqual([]);
  });
});
