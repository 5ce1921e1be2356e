import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { createTestDatabase } from '../support/database/database.ts';

// Whole servers start and stop here, next to other tests: this is room, not an expectation.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

interface Member {
  readonly name: string;
  readonly instructions: string;
  readonly tools?: readonly string[];
}

/** A folder for SCENARIOS_DIR, and a database that outlives its servers. */
async function openFolder() {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createTestDatabase());
  const path = await mkdtemp(join(tmpdir(), 'switchboard-scenarios-'));
  opening.defer(() => rm(path, { recursive: true, force: true }));
  const opened = opening.move();
  return {
    path,
    write: (name: string, key: string, agent: Member, more: Record<string, unknown> = {}) =>
      writeFile(
        join(path, name),
        JSON.stringify({ version: 1, ...more, scenario: { key, name: key, root: agent.name }, agents: [agent] }),
      ),
    start: () => startTestApp({ databaseUrl: database.url, env: { SCENARIOS_DIR: path } }),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const guide: Member = { name: 'guide', instructions: 'You are the guide.' };

/** The scenarios of a tenant, as its users see them: by key, with the instructions of the root. */
async function readTenant(app: TestApp, tenant: string): Promise<Record<string, string>> {
  const document = '{ scenarios(first: 100) { edges { node { key version rootAgent { instructions } } } } }';
  const { data, errors } = await app.query(document, {}, { token: await app.token({ tenant }) });
  expect(errors).toEqual([]);
  return Object.fromEntries(
    data.scenarios.edges.map(
      ({ node }: { node: { key: string; version: number; rootAgent: { instructions: string } } }) => [
        node.key,
        `${node.version} ${node.rootAgent.instructions}`,
      ],
    ),
  );
}

test('Tenants that exist get the files at the start, others when they are first seen', async () => {
  await using folder = await openFolder();
  {
    await using before = await folder.start();
    expect(await readTenant(before, 'old')).not.toHaveProperty('tour');
  }
  await folder.write('tour.json', 'tour', guide);
  await folder.write('acme.yaml', 'visit', { name: 'host', instructions: 'You are the host.' }, { tenant: 'acme' });
  await folder.write('notes.txt', 'ignored', guide);
  await using app = await folder.start();
  expect(await app.app.db.scenario.count({ where: { tenantId: 'old', key: 'tour' } })).toBe(1);
  expect(await app.app.db.tenant.count({ where: { id: 'acme' } })).toBe(0);
  const [old, fresh, acme] = await Promise.all(['old', 'new', 'acme'].map((tenant) => readTenant(app, tenant)));
  for (const tenant of [old, fresh, acme]) {
    expect(tenant).toMatchObject({ tour: '1 You are the guide.', support: expect.stringMatching(/^1 /) });
  }
  expect(acme).toMatchObject({ visit: '1 You are the host.' });
  expect(old).not.toHaveProperty('visit');
  expect(fresh).not.toHaveProperty('visit');
  expect(acme).not.toHaveProperty('ignored');
  // Many at once who are the first of their tenant: it has everything once.
  await Promise.all(
    Array.from({ length: 8 }, async (_, n) =>
      app.query('{ viewer { userId } }', {}, { token: await app.token({ sub: `u${n}`, tenant: 'crowd' }) }),
    ),
  );
  expect(await app.app.db.scenario.count({ where: { tenantId: 'crowd', key: 'tour' } })).toBe(1);
});

test('A file that has changed is applied; one that has not leaves the edits that were made since', async () => {
  await using folder = await openFolder();
  await folder.write('tour.json', 'tour', guide);
  const edit = `mutation ($id: ID!, $input: ScenarioInput!) { updateScenario(id: $id, input: $input) { version } }`;
  {
    await using app = await folder.start();
    const token = await app.token({ roles: ['admin'] });
    const { data } = await app.query('{ scenario(key: "tour") { id rootAgent { id } } }', {}, { token });
    const { id, rootAgent } = data.scenario;
    const input = {
      key: 'tour',
      name: 'Edited',
      rootAgentId: rootAgent.id,
      agents: [{ agentId: rootAgent.id, handoffs: [] }],
    };
    expect((await app.query(edit, { id, input }, { token })).data.updateScenario).toEqual({ version: 2 });
  }
  const nameOf = async (app: TestApp) => (await app.query('{ scenario(key: "tour") { name version } }')).data.scenario;
  {
    await using app = await folder.start();
    expect(await nameOf(app)).toEqual({ name: 'Edited', version: 2 });
    expect(app.logs.filter(({ msg }) => msg === 'scenario file loaded')).toEqual([]);
  }
  await folder.write('tour.json', 'tour', { ...guide, instructions: 'You are the new guide.', tools: ['not_there'] });
  await using app = await folder.start();
  expect(await nameOf(app)).toEqual({ name: 'tour', version: 3 });
  expect(await readTenant(app, 'acme')).toMatchObject({ tour: '3 You are the new guide.' });
  expect(app.logs).toContainEqual(
    expect.objectContaining({
      msg: 'scenario file loaded',
      tenantId: 'acme',
      key: 'tour',
      change: 'updated',
      version: 3,
    }),
  );
  expect(app.logs).toContainEqual(
    expect.objectContaining({ msg: expect.stringContaining('tools'), tenantId: 'acme', missingTools: ['not_there'] }),
  );
});

test('A scenario that was renamed does not come back, whether or not another file does; neither do edits of it go', async () => {
  await using folder = await openFolder();
  await folder.write('tour.json', 'tour', guide);
  {
    await using app = await folder.start();
    const token = await app.token({ roles: ['admin'] });
    const { data } = await app.query('{ scenario(key: "tour") { id rootAgent { id } } }', {}, { token });
    const { id, rootAgent } = data.scenario;
    const agents = [{ agentId: rootAgent.id, handoffs: [] }];
    const input = { key: 'walk', name: 'Walk', rootAgentId: rootAgent.id, agents };
    const rename = 'mutation ($id: ID!, $input: ScenarioInput!) { updateScenario(id: $id, input: $input) { version } }';
    expect((await app.query(rename, { id, input }, { token })).errors).toEqual([]);
  }
  {
    await using app = await folder.start();
    const found = await readTenant(app, 'acme');
    expect(found).toMatchObject({ walk: '2 You are the guide.' });
    expect(found).not.toHaveProperty('tour');
  }
  await folder.write('visit.json', 'visit', { name: 'host', instructions: 'You are the host.' });
  await using app = await folder.start();
  const found = await readTenant(app, 'acme');
  expect(found).toMatchObject({ walk: '2 You are the guide.', visit: '1 You are the host.' });
  expect(found).not.toHaveProperty('tour');
});

test('Several servers that start at the same time load a folder once', async () => {
  await using folder = await openFolder();
  {
    await using app = await folder.start();
    await Promise.all(['a', 'b', 'c'].map((tenant) => readTenant(app, tenant)));
  }
  await folder.write('tour.json', 'tour', guide);
  await using servers = new AsyncDisposableStack();
  const apps = await Promise.all([1, 2, 3].map(() => folder.start()));
  for (const app of apps) servers.use(app);
  const [app] = apps;
  expect(await app?.app.db.scenario.findMany({ where: { key: 'tour' }, select: { version: true } })).toEqual(
    [1, 2, 3].map(() => ({ version: 1 })),
  );
  expect(await app?.app.db.agent.count({ where: { name: 'guide' } })).toBe(3);
  const loaded = apps.flatMap(({ logs }) => logs.filter(({ msg }) => msg === 'scenario file loaded'));
  expect(loaded.map(({ tenantId }) => tenantId).sort()).toEqual(['a', 'b', 'c']);
});

test('A file that is wrong stops the start; the message names it, the position and the problem', async () => {
  await using folder = await openFolder();
  await folder.write('a-good.json', 'good', guide);
  const refused = async () => {
    const error = await folder.start().then(
      async (app) => app[Symbol.asyncDispose](),
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof Error) || !(error.cause instanceof Error)) throw new Error('It started.');
    expect(error.name).toBe('StartError');
    expect(error.message).toContain(`SCENARIOS_DIR (${folder.path})`);
    return error.cause.message;
  };
  for (const [content, says] of [
    ['version: [', /b-bad\.yaml is invalid:\n {2}- .*line 1/],
    [
      '{"version": 1, "scenario": {"key": "k", "name": "n", "root": "x"}, "agents": []}',
      /b-bad\.yaml.*\n.*scenario\.root: "x"/,
    ],
    [
      JSON.stringify({ version: 1, scenario: { key: 'good', name: 'n', root: 'guide' }, agents: [guide] }),
      /b-bad\.yaml.*\n.*scenario\.key: "good" is also in .*a-good\.json/,
    ],
    [
      JSON.stringify({
        version: 1,
        scenario: { key: 'k', name: 'n', root: 'guide' },
        agents: [{ ...guide, instructions: 'Other.' }],
      }),
      /b-bad\.yaml.*\n.*agents\.0: "guide" is described differently in .*a-good\.json/,
    ],
    [
      JSON.stringify({
        version: 1,
        scenario: { key: 'k', name: 'n', root: 'x' },
        agents: [{ name: 'x', instructions: 'x', llm: { provider: 'nobody', model: 'x' } }],
      }),
      /b-bad\.yaml.*\n.*agents\.0\.llm\.provider must be one of/,
    ],
  ] as const) {
    await writeFile(join(folder.path, 'b-bad.yaml'), content);
    expect(await refused()).toMatch(says);
  }
  await rm(folder.path, { recursive: true });
  expect(await refused()).toMatch(/ENOENT/);
});

test('The examples can be loaded', async () => {
  await using app = await startTestApp({
    env: { SCENARIOS_DIR: join(import.meta.dirname, '../../examples/scenarios') },
  });
  expect(Object.keys(await readTenant(app, 'acme')).sort()).toEqual([
    'assistant',
    'guarded',
    'helpdesk',
    'interview',
    'orchestrated',
    'support',
  ]);
});
