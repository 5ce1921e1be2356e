import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readEnvironmentProviders, syncDevelopmentAgent } from '../../src/agents/development.ts';
import { readEnv } from '../../src/config/env.ts';
import { lockFolder } from '../../src/database/embedded/folder-lock.ts';
import { seedTenant } from '../../src/tenants/seed.ts';
import { readSeed } from '../../src/tenants/seed-file.ts';
import { startTestApp, type TestApp, testKeys } from '../support/app.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';
import { startServer } from '../support/server.ts';

const fields = `id name isShared isDefault isActive
  llm { provider model apiUrl api apiKeyHint }
  tts { provider model voice apiUrl sampleRate apiKeyHint }
  stt { provider model apiUrl path language apiKeyHint }`;
const environment = {
  OPENAI_API_KEY: 'sk-env-0123456789-llm1',
  MODEL_API: 'responses',
  TTS_API_KEY: 'sk-env-0123456789-tts1',
  TTS_VOICE: 'nova',
  TTS_SAMPLE_RATE: '24000',
  STT_API_URL: 'https://stt.example.com/v1',
  STT_API_KEY: 'sk-env-0123456789-stt1',
  STT_LANGUAGE: 'de',
};
/** At the model's own address, speech has the model's key. */
const shared = { OPENAI_API_KEY: 'sk-sync-0123456789-next', MODEL: 'next-model', TTS_PROVIDER: 'openai' };

async function findDevelopment(app: Pick<TestApp, 'query'>, token: string) {
  const { data, errors } = await app.query(
    `{ agents(first: 100, includeInactive: true) { edges { node { ${fields} } } } }`,
    {},
    { token },
  );
  expect(errors).toEqual([]);
  const nodes: Record<string, unknown>[] = data.agents.edges.map((edge: { node: unknown }) => edge.node);
  return nodes.filter((node) => String(node.name).startsWith('development'));
}

test('A new tenant has a shared agent of the environment, with its keys as secrets', { timeout: 240_000 }, async () => {
  await using app = await startTestApp({ env: environment });
  const [made, ...more] = await findDevelopment(app, await app.token());
  expect(more).toEqual([]);
  expect(made).toMatchObject({
    name: 'development',
    isShared: true,
    isDefault: false,
    isActive: true,
    llm: { provider: 'custom', model: 'test-model', apiUrl: app.model.url, api: 'RESPONSES', apiKeyHint: 'llm1' },
    tts: { provider: 'openai', voice: 'nova', sampleRate: 24_000, apiUrl: null, apiKeyHint: 'tts1' },
    stt: { provider: 'custom', apiUrl: 'https://stt.example.com/v1', language: 'de', apiKeyHint: 'stt1' },
  });
  const stored = JSON.stringify(await app.app.db.agent.findMany({ include: { secrets: true } }));
  for (const key of [environment.OPENAI_API_KEY, environment.TTS_API_KEY, environment.STT_API_KEY]) {
    expect(stored).not.toContain(key);
  }

  // It answers, and with its own key.
  const alice = await openSocketClient(app, 'alice');
  const conversationId = await alice.createConversation({ agentId: String(made?.id) });
  app.model.add({ text: 'Yes.' });
  const input = { conversationId, content: 'Hello', idempotencyKey: randomUUID() };
  expect((await alice.ask(documents.sendMessage, { input })).sendMessage.status).toBe('COMPLETED');
  expect(app.model.requests[0]?.headers.authorization).toBe(`Bearer ${environment.OPENAI_API_KEY}`);
});

test('Many users of a new tenant who come at the same time, to two instances, find one development agent', {
  timeout: 240_000,
}, async () => {
  await using database = await createTestDatabase();
  await using one = await startTestApp({ databaseUrl: database.url });
  await using two = await startTestApp({ databaseUrl: database.url });
  await Promise.all(
    Array.from({ length: 20 }, async (_, n) => {
      const app = n % 2 ? one : two;
      return app.query('{ viewer { userId } }', {}, { token: await app.token({ sub: `user ${n}`, tenant: 'rush' }) });
    }),
  );
  expect(await one.app.db.agent.count({ where: { tenantId: 'rush', isDevelopment: true } })).toBe(1);
});

test('A tenant that existed before gets a development agent too; edits stay, and a deleted one is not made again', {
  timeout: 240_000,
}, async () => {
  await using database = await createTestDatabase();
  const claims = { sub: 'root', roles: ['admin'] };
  let id: unknown;
  {
    await using app = await startTestApp({ databaseUrl: database.url });
    // As an earlier version left it; one of its agents has the name already.
    await seedTenant(app.app, 'acme', await readSeed('prisma/seed.json'));
    await app.app.db.user.create({ data: { tenantId: 'acme', id: 'root' } });
    await app.app.db.agent.create({ data: { tenantId: 'acme', name: 'development', instructions: 'Older.' } });
    const token = await app.token(claims);
    const found = await findDevelopment(app, token);
    expect(found.map(({ name }) => name)).toEqual(['development', 'development 2']);
    id = found[1]?.id;
    const update = 'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }';
    const input = { name: 'edited', llm: { provider: 'groq', model: 'edited' } };
    expect((await app.query(update, { id, input }, { token })).errors).toEqual([]);
  }
  {
    await using app = await startTestApp({ databaseUrl: database.url, env: { MODEL: 'another' } });
    const token = await app.token(claims);
    expect((await findDevelopment(app, token)).map(({ name }) => name)).toEqual(['development']);
    const read = `query ($id: ID!) { agent(id: $id) { ${fields} } }`;
    const { data } = await app.query(read, { id }, { token });
    expect(data.agent).toMatchObject({ name: 'edited', llm: { provider: 'groq', model: 'edited' } });
    await app.query('mutation ($id: ID!) { deleteAgent(id: $id) }', { id }, { token });
  }
  await using app = await startTestApp({ databaseUrl: database.url });
  expect(await findDevelopment(app, await app.token({ ...claims, sub: 'second' }))).toHaveLength(1);
  expect(await app.app.db.agent.count({ where: { isDevelopment: true, deletedAt: null } })).toBe(0);
});

/** Runs npm run agents:sync as an operator does. */
async function sync(folder: string, env: Record<string, string>, args: string[] = []) {
  const script = join(import.meta.dirname, '../../scripts/agents-sync.ts');
  const child = spawn(process.execPath, [script, ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, DATA_DIR: folder, ENCRYPTION_KEYS: testKeys, ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk));
  await once(child, 'close');
  return { code: child.exitCode, said };
}

test('agents:sync updates the development agents to the present environment, of all tenants or of one', {
  timeout: 240_000,
}, async () => {
  await using data = await createTestDataFolder();
  await using database = await createTestDatabase();
  await using app = await startTestApp({ databaseUrl: database.url });
  const tokens = await Promise.all(
    ['acme', 'other'].map((tenant) => app.token({ sub: 'root', tenant, roles: ['admin'] })),
  );
  const [acme = '', other = ''] = tokens;
  for (const token of tokens) expect(await findDevelopment(app, token)).toHaveLength(1);
  const [before] = await findDevelopment(app, acme);
  await app.query(
    'mutation ($id: ID!) { updateAgent(id: $id, input: { instructions: "Kept.", tools: ["current_time"] }) { id } }',
    { id: before?.id },
    { token: acme },
  );
  const env = { DATABASE_URL: database.url, ...shared };
  const one = await sync(data.folder, env, ['--tenant', 'acme']);
  expect(one).toEqual({ code: 0, said: 'Development agents: 1 updated, 0 made.\n' });
  const [after] = await findDevelopment(app, acme);
  expect(after).toMatchObject({
    id: before?.id,
    llm: { provider: 'openai', model: 'next-model', apiUrl: null, apiKeyHint: 'next' },
    tts: { provider: 'openai', apiKeyHint: 'next' },
    stt: null,
  });
  const row = await app.app.db.agent.findUniqueOrThrow({ where: { id: String(before?.id).slice(4) } });
  expect(row).toMatchObject({ instructions: 'Kept.', toolNames: ['current_time'] });
  expect((await findDevelopment(app, other))[0]).toMatchObject({ llm: { model: 'test-model' } });

  const [deleted] = await findDevelopment(app, other);
  await app.query('mutation ($id: ID!) { deleteAgent(id: $id) }', { id: deleted?.id }, { token: other });
  expect(await sync(data.folder, env)).toEqual({ code: 0, said: 'Development agents: 1 updated, 1 made.\n' });
  const [again] = await findDevelopment(app, other);
  expect(again).toMatchObject({ name: 'development', llm: { model: 'next-model', apiKeyHint: 'next' } });
  expect(again?.id).not.toBe(deleted?.id);

  // Where a server would refuse to start, nothing is taken away.
  for (const [variables, named] of [
    [{ TTS_PROVIDER: 'elevenlabs' }, 'TTS_API_URL is missing'],
    [{ STT_PROVIDER: 'whisper-live' }, 'STT_API_URL is missing'],
    [{ TTS_PROVIDER: 'demo' }, 'TTS_API_URL is missing'],
  ] as const) {
    const refused = await sync(data.folder, { ...env, ...variables });
    expect(refused).toEqual({ code: 1, said: expect.stringContaining(named) });
  }
  expect((await findDevelopment(app, acme))[0]?.tts).toMatchObject({ provider: 'openai', apiKeyHint: 'next' });

  const nobody = await sync(data.folder, env, ['--tenant', 'nobody']);
  expect(nobody).toMatchObject({ code: 1, said: expect.stringContaining('no tenant "nobody"') });
  const unknown = await sync(data.folder, env, ['--all']);
  expect(unknown).toMatchObject({
    code: 1,
    said: expect.stringMatching(/'--all'[\s\S]*Usage: npm run -s agents:sync/),
  });
  expect(unknown.said).not.toMatch(/^ {4}at /m);
  expect(one.said + nobody.said).not.toContain(env.OPENAI_API_KEY);
});

test.runIf(process.env.TEST_DATABASE_URL)(
  'agents:sync waits for whoever changes the agent, and the other way round',
  async () => {
    await using app = await startTestApp({ env: environment });
    const [made] = await findDevelopment(app, await app.token());
    const agentId = String(made?.id).slice(4);
    const { db, runs } = app.app;
    const providers = readEnvironmentProviders(readEnv(shared));
    let syncing: Promise<unknown> | undefined;
    await db.$transaction(
      async (tx) => {
        // As updateAgent does it.
        await tx.$queryRaw`SELECT id FROM agents WHERE id = ${agentId}::uuid FOR NO KEY UPDATE`;
        syncing = syncDevelopmentAgent({ db, keys: runs.agents.keys }, 'acme', providers);
        const countWaiting = async () => {
          const waiting = await db.$queryRaw<object[]>`
        SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
          return waiting.length;
        };
        await expect.poll(countWaiting, { timeout: 60_000 }).toBe(1);
        await tx.secret.deleteMany({ where: { agentId } });
      },
      { timeout: 240_000 },
    );
    expect(await syncing).toBe('updated');
    const [after] = await findDevelopment(app, await app.token());
    expect(after).toMatchObject({
      llm: { provider: 'openai', apiKeyHint: 'next' },
      tts: { apiKeyHint: 'next' },
    });
  },
);

test('Agents without a model of their own show the name of the environment’s, and not its address', async () => {
  await using app = await startTestApp();
  const read = async (at: TestApp) =>
    (await at.query('{ agents(first: 100) { edges { node { name llm { provider model apiUrl } } } } }')).data.agents
      .edges;
  const { host } = new URL(app.model.url);
  for (const { node } of await read(app)) {
    if (node.name === 'development') continue;
    expect(node.llm).toEqual({ provider: 'custom', model: 'test-model', apiUrl: null });
    expect(JSON.stringify(node)).not.toContain(host);
  }
  await using known = await startTestApp({ env: { OPENAI_BASE_URL: 'https://api.groq.com/openai/v1' } });
  for (const { node } of await read(known)) expect(node.llm).toMatchObject({ provider: 'groq', apiUrl: null });
});

test('agents:sync works on the embedded database, beside a running server and without one', {
  timeout: 240_000,
}, async () => {
  await using data = await createTestDataFolder();
  const updated = { code: 0, said: 'Development agents: 1 updated, 0 made.\n' };
  {
    await using server = await startServer(data.folder, {});
    const token = await server.token({ tenant: 'default' });
    const [made] = await findDevelopment(server, token);
    expect(made).toMatchObject({ llm: { provider: 'demo', apiKeyHint: null } });
    expect(await sync(data.folder, { OPENAI_BASE_URL: 'http://127.0.0.1:9/v1', MODEL: 'first' })).toEqual(updated);
    const [after] = await findDevelopment(server, token);
    expect(after).toMatchObject({ llm: { provider: 'custom', model: 'first', apiUrl: 'http://127.0.0.1:9/v1' } });
    await server.end('SIGTERM');
  }
  expect(await sync(data.folder, { OPENAI_BASE_URL: 'http://127.0.0.1:9/v1', MODEL: 'second' })).toEqual(updated);
  await using server = await startServer(data.folder, {});
  const [made] = await findDevelopment(server, await server.token({ tenant: 'default' }));
  expect(made).toMatchObject({ llm: { provider: 'custom', model: 'second' } });
});

test('A folder that is locked, with no database that listens yet, is reported as in use', async () => {
  await using data = await createTestDataFolder();
  const lock = await lockFolder(data.folder);
  const held = await sync(data.folder, {});
  expect(held).toMatchObject({ code: 1, said: expect.stringContaining('in use by another Switchboard process') });
  await lock.release();
});
