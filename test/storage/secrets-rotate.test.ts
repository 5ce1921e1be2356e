import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDatabase } from '../../src/database/client.ts';
import { findRunningPostgres } from '../../src/database/embedded/folder.ts';
import type { Prisma } from '../../src/generated/prisma/client.ts';
import { KeyRing } from '../../src/secrets/key-ring.ts';
import { rotateSecrets } from '../../src/secrets/rotate.ts';
import { openSecret, putSecret } from '../../src/secrets/stored-secrets.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openChat, openSocketClient } from '../support/chat.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';
import { startServer } from '../support/server.ts';

const [oldKey, newKey] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const oldRing = new KeyRing(new Map([['old', oldKey]]));
const bothRing = new KeyRing(new Map([...[['new', newKey] as const], ...[['old', oldKey] as const]]));
const newRing = new KeyRing(new Map([['new', newKey]]));
const write = (kid: string, key: Buffer) => `${kid}:${key.toString('base64')}`;
const origin = 'https://api.example.com';

/** Agents of acme, each with a key for its model, sealed with a ring. @returns the keys by the agents' row ids */
async function addAgents(db: ReturnType<typeof openDatabase>['db'], ring: KeyRing, count: number) {
  await db.tenant.createMany({ data: [{ id: 'acme' }], skipDuplicates: true });
  const values = new Map<string, string>();
  const agents: Prisma.AgentCreateManyInput[] = [];
  const secrets: Prisma.SecretCreateManyInput[] = [];
  for (let n = 0; n < count; n++) {
    const id = randomUUID();
    const value = `sk-${n}-${randomUUID()}`;
    values.set(id, value);
    agents.push({ id, tenantId: 'acme', name: `keyed ${id}`, instructions: 'Hi.' });
    const sealed = await ring.seal(value, { owner: `agent:${id}`, name: 'llm', origin });
    secrets.push({ tenantId: 'acme', agentId: id, name: 'llm', origin, hint: value.slice(-4), ...sealed });
  }
  await db.agent.createMany({ data: agents });
  await db.secret.createMany({ data: secrets });
  return values;
}

test('10,000 keys are rotated while keys are changed and turns go on; none is lost', { timeout: 180_000 }, async () => {
  await using database = await createTestDatabase();
  await using app = await startTestApp({
    databaseUrl: database.url,
    env: { ENCRYPTION_KEYS: `${write('new', newKey)},${write('old', oldKey)}` },
  });
  const alice = await openSocketClient(app, 'alice');
  const admin = await app.token({ sub: 'root', roles: ['admin'] });
  const expected = await addAgents(app.app.db, oldRing, 10_000);
  const conversationId = await alice.createConversation();
  const ids = [...expected.keys()];

  await using rotating = openDatabase({ url: database.url, poolSize: 2 });
  let over = false;
  const rotation = rotateSecrets(rotating.db, bothRing).finally(() => {
    over = true;
  });
  /** Keys that are changed, removed and read all over the list while it is rotated, and turns. */
  const load = (async () => {
    const took: number[] = [];
    for (let n = 0; !over || n < 30; n++) {
      const id = ids[(n * 331) % ids.length] ?? '';
      const value = `sk-changed-${n}-${randomUUID()}`;
      const apiKey = n % 5 === 4 ? '' : value;
      const { errors } = await app.query(
        `mutation ($id: ID!, $llm: LlmProviderConfigInput) { updateAgent(id: $id, input: { llm: $llm }) { id } }`,
        { id: `agt_${id}`, llm: { provider: 'custom', model: 'm', apiUrl: origin, apiKey } },
        { token: admin },
      );
      expect(errors).toEqual([]);
      if (apiKey === '') expected.delete(id);
      else expected.set(id, value);
      app.model.add({ text: 'Yes.' });
      const started = performance.now();
      const input = { conversationId, content: 'Hello', idempotencyKey: randomUUID() };
      expect((await alice.ask(documents.sendMessage, { input })).sendMessage.status).toBe('COMPLETED');
      took.push(performance.now() - started);
    }
    return took.length;
  })();
  const [{ rotated, overtaken, unreadable }, turns] = await Promise.all([rotation, load]);
  expect(unreadable).toEqual([]);
  expect(turns).toBeGreaterThanOrEqual(30);
  expect(rotated + overtaken).toBeGreaterThan(9_900);

  const rows = await app.app.db.secret.findMany({ where: { tenantId: 'acme', name: 'llm', origin } });
  expect(rows.filter((row) => row.kid !== 'new')).toEqual([]);
  const found = new Map<string | null, string>();
  for (const row of rows) found.set(row.agentId, await openSecret(newRing, row));
  expect(found).toEqual(expected);
});

test.runIf(process.env.TEST_DATABASE_URL)('Rotation does not block somebody who changes several keys', async () => {
  await using database = await createTestDatabase();
  await using opened = openDatabase({ url: database.url, poolSize: 3 });
  const { db } = opened;
  await addAgents(db, oldRing, 2);
  const [one, two] = (await db.secret.findMany({ orderBy: { id: 'asc' } })).map(({ id }) => id);
  // Whichever of the two the rotation would come to first: it holds the other one as little as this one.
  for (const [first, second] of [
    [one, two],
    [two, one],
  ]) {
    await rotateSecrets(db, new KeyRing(new Map([...[['old', oldKey] as const], ...[['new', newKey] as const]])));
    const tried = Promise.withResolvers<void>();
    let rotation: ReturnType<typeof rotateSecrets> | undefined;
    await db.$transaction(async (tx) => {
      await tx.$queryRaw`UPDATE secrets SET hint = 'held' WHERE id = ${first}::uuid`;
      rotation = rotateSecrets(db, bothRing, () => tried.resolve());
      const waits = async () => {
        const waiting = await opened.db.$queryRaw<object[]>`
          SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
        return waiting.length > 0;
      };
      // Not for a row that somebody holds: the other one is done meanwhile.
      const stuck = expect.poll(waits, { timeout: 60_000 }).toBe(true);
      expect(
        await Promise.race([
          tried.promise.then(() => 'went on'),
          stuck.then(
            () => 'waits',
            () => 'neither',
          ),
        ]),
      ).toBe('went on');
      await tx.$queryRaw`UPDATE secrets SET hint = 'held' WHERE id = ${second}::uuid`;
    });
    expect(await rotation).toEqual({ rotated: 2, overtaken: 0, unreadable: [] });
  }
});

test('Rotation overwrites nothing that was changed after it was read', async () => {
  await using database = await createTestDatabase();
  await using opened = openDatabase({ url: database.url, poolSize: 2 });
  const { db } = opened;
  const [[agentId = ''] = []] = [...(await addAgents(db, oldRing, 1))];
  const owner = { tenantId: 'acme', agentId };
  const changing = new KeyRing(
    new Map([
      ['new', newKey],
      ['old', oldKey],
    ]),
  );
  const seal = changing.seal.bind(changing);
  let changed = false;
  // Between reading and writing: somebody with the old ring stores another key in the same row.
  changing.seal = async (...args) => {
    const sealed = await seal(...args);
    if (!changed) {
      changed = true;
      const other = await oldRing.seal('sk-other', { owner: `agent:${agentId}`, name: 'llm', origin });
      await db.secret.updateMany({ where: { agentId }, data: other });
    }
    return sealed;
  };
  const first = await rotateSecrets(db, changing);
  expect(first).toMatchObject({ rotated: 1, overtaken: 1, unreadable: [] });
  const row = await db.secret.findFirstOrThrow({ where: { agentId } });
  expect([row.kid, await openSecret(newRing, row)]).toEqual(['new', 'sk-other']);

  // And one that is deleted and made anew.
  await putSecret(db, oldRing, owner, { name: 'llm', origin, value: 'sk-third' });
  changed = false;
  changing.seal = async (...args) => {
    const sealed = await seal(...args);
    if (!changed) {
      changed = true;
      await putSecret(db, newRing, owner, { name: 'llm', origin, value: 'sk-fourth' });
    }
    return sealed;
  };
  expect(await rotateSecrets(db, changing)).toMatchObject({ rotated: 0, overtaken: 1 });
  expect(await openSecret(newRing, await db.secret.findFirstOrThrow({ where: { agentId } }))).toBe('sk-fourth');
});

test('Rotation opens secrets of the current key as well, all of them', async () => {
  await using database = await createTestDatabase();
  await using opened = openDatabase({ url: database.url, poolSize: 2 });
  const { db } = opened;
  await addAgents(db, newRing, 450);
  const same = new KeyRing(new Map([['new', Buffer.alloc(32, 3)]]));
  const foreign = await addAgents(db, same, 2);
  await addAgents(db, oldRing, 3);
  const lost = await db.secret.findMany({ where: { agentId: { in: [...foreign.keys()] } }, select: { id: true } });
  const { rotated, unreadable } = await rotateSecrets(db, bothRing);
  expect(rotated).toBe(3);
  expect([...unreadable].sort()).toEqual(lost.map(({ id }) => id).sort());
});

test('A secret that cannot be opened stays as it is, and is named; the rest is rotated, once', async () => {
  await using database = await createTestDatabase();
  await using opened = openDatabase({ url: database.url, poolSize: 2 });
  const { db } = opened;
  await addAgents(db, oldRing, 450);
  const foreign = new KeyRing(new Map([['lost', Buffer.alloc(32, 3)]]));
  await addAgents(db, foreign, 3);
  const [tampered] = await db.secret.findMany({ where: { kid: 'old' }, orderBy: { id: 'asc' }, skip: 205, take: 1 });
  await db.secret.update({ where: { id: tampered?.id ?? '' }, data: { origin: 'https://evil.example' } });
  const lost = await db.secret.findMany({ where: { OR: [{ kid: 'lost' }, { id: tampered?.id ?? '' }] } });

  const progress: number[] = [];
  const first = await rotateSecrets(db, bothRing, (rotated) => progress.push(rotated));
  expect(first).toMatchObject({ rotated: 449, overtaken: 0 });
  expect([...first.unreadable].sort()).toEqual(lost.map(({ id }) => id).sort());
  expect(progress.at(-1)).toBe(449);
  expect(progress.length).toBeGreaterThan(1);
  expect(await db.secret.findMany({ where: { id: { in: [...first.unreadable] } } })).toEqual(lost);
  const again = await rotateSecrets(db, bothRing);
  expect(again).toMatchObject({ rotated: 0, overtaken: 0 });
  expect(again.unreadable).toHaveLength(4);
});

/** Runs a script of the repository as an operator does. */
async function run(script: string, folder: string, env: Record<string, string>, args: string[] = []) {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../scripts', script), ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, DATA_DIR: folder, ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk));
  await once(child, 'close');
  return { code: child.exitCode, said };
}

test('npm run keys:rotate prints counts, and fails where some cannot be opened', { timeout: 240_000 }, async () => {
  await using data = await createTestDataFolder();
  await using database = await createTestDatabase();
  await using opened = openDatabase({ url: database.url, poolSize: 2 });
  const expected = await addAgents(opened.db, oldRing, 5);
  const env = (written: string) => ({ DATABASE_URL: database.url, ENCRYPTION_KEYS: written });
  const missing = await run('keys-rotate.ts', data.folder, env(write('new', newKey)));
  expect(missing).toMatchObject({ code: 1, said: expect.stringMatching(/^0 rotated.*"new".\s+5 cannot be opened/) });
  const done = await run('keys-rotate.ts', data.folder, env(`${write('new', newKey)},${write('old', oldKey)}`));
  expect(done).toEqual({ code: 0, said: '5 rotated to the key "new".\n' });
  for (const row of await opened.db.secret.findMany()) {
    expect(await openSecret(newRing, row)).toBe(expected.get(row.agentId ?? ''));
  }
  expect(missing.said + done.said).not.toContain(newKey.toString('base64'));
  // Another key under the name of the current one: nothing is to be rotated, and nothing can be opened.
  const mistaken = await run('keys-rotate.ts', data.folder, env(write('new', Buffer.alloc(32, 9))));
  expect(mistaken).toMatchObject({ code: 1, said: expect.stringMatching(/^0 rotated.*"new".\s+5 cannot be opened/) });

  // The embedded database, where no server holds its folder.
  const embedded = await run('keys-rotate.ts', data.folder, { ENCRYPTION_KEYS: write('new', newKey) });
  expect(embedded).toEqual({ code: 0, said: '0 rotated to the key "new".\n' });
  const wrong = await run('keys-rotate.ts', data.folder, env('nonsense'));
  expect(wrong).toMatchObject({ code: 1, said: expect.stringContaining('ENCRYPTION_KEYS') });
  // What is wrong is said, without where in the source that was found.
  const twice = await run('keys-rotate.ts', data.folder, env(`${write('new', newKey)},${write('new', oldKey)}`));
  expect(twice).toMatchObject({
    code: 1,
    said: expect.stringContaining('ENCRYPTION_KEYS has two keys with the same kid'),
  });
  const unknown = await run('keys-rotate.ts', data.folder, env(write('new', newKey)), ['--fast']);
  expect(unknown).toMatchObject({
    code: 1,
    said: expect.stringMatching(/'--fast'[\s\S]*Usage: npm run -s keys:rotate\n$/),
  });
  for (const { said } of [twice, unknown]) expect(said).not.toMatch(/^ {4}at /m);
});

test('keys:rotate works beside a running server that has the embedded database open, in the midst of turns', {
  timeout: 120_000,
}, async () => {
  await using data = await createTestDataFolder();
  const env = { ENCRYPTION_KEYS: `${write('new', newKey)},${write('old', oldKey)}` };
  await using server = await startServer(data.folder, env);
  const { conversationId, ...alice } = await openChat(server, 'assistant', { sub: 'alice' });
  const url = await findRunningPostgres(data.folder);
  if (url === null) throw new Error('It listens nowhere.');
  await using opened = openDatabase({ url, poolSize: 1 });
  const expected = await addAgents(opened.db, oldRing, 1_000);
  let over = false;
  const rotation = run('keys-rotate.ts', data.folder, env).finally(() => {
    over = true;
  });
  let turns = 0;
  while (!over || turns === 0) {
    const sent = await alice.ask(documents.sendMessage, {
      input: { conversationId, content: 'Hello', idempotencyKey: randomUUID() },
    });
    expect(sent.sendMessage.status).toBe('COMPLETED');
    turns += 1;
  }
  expect(await rotation).toMatchObject({ code: 0, said: expect.stringContaining('1000 rotated to the key "new".\n') });
  const rows = await opened.db.secret.findMany({ where: { tenantId: 'acme' } });
  const found = new Map<string | null, string>();
  for (const row of rows) found.set(row.agentId, await openSecret(newRing, row));
  for (const [agentId, value] of expected) expect(found.get(agentId)).toBe(value);
  await server.end('SIGTERM');
});
