import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedTenant } from '../../src/tenants/seed.ts';
import { readSeed } from '../../src/tenants/seed-file.ts';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

let graph: Graph;
let alice: TestViewer;
let bob: TestViewer;
let stranger: TestViewer;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
  bob = await graph.viewer('bob');
  stranger = await graph.viewer('alice', 'elsewhere');
});
afterAll(async () => graph[Symbol.asyncDispose]());

async function ask(viewer: TestViewer, document: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await graph.query(viewer, document, variables);
  expect(errors).toEqual([]);
  return data;
}

const names = (connection: { edges: { node: { name: string } }[] }) => connection.edges.map((edge) => edge.node.name);

describe('agents', () => {
  test('Every new tenant has the agents of the seed, in the order of the file, and one of the environment', async () => {
    const document = '{ agents { totalCount edges { node { name isShared isActive isDefault } } } }';
    for (const viewer of [bob, stranger]) {
      const { agents } = await ask(viewer, document);
      const seeded = ['assistant', 'supervisor', 'billing', 'orders', 'human_escalation'];
      expect(names(agents)).toEqual([...seeded, 'development']);
      expect(agents.totalCount).toBe(6);
      expect(agents.edges[0].node).toMatchObject({ isShared: true, isActive: true, isDefault: true });
    }
  });

  test('A viewer sees the shared agents and their own, and the inactive ones on demand', async () => {
    const rows = await graph.db.agent.createManyAndReturn({
      data: [
        { tenantId: 'acme', ownerId: 'alice', name: 'hers', instructions: 'Hi.' },
        { tenantId: 'acme', ownerId: 'alice', name: 'off', instructions: 'Hi.', isActive: false },
        { tenantId: 'acme', ownerId: 'alice', name: 'gone', instructions: 'Hi.', deletedAt: new Date() },
        { tenantId: 'acme', ownerId: 'bob', name: 'his', instructions: 'Hi.' },
      ],
    });
    const [hers, off, gone, his] = rows.map((row) => `agt_${row.id}`);
    const list = async (viewer: TestViewer, args = '') =>
      (await ask(viewer, `{ agents${args} { totalCount edges { node { name } } } }`)).agents;
    expect(names(await list(alice))).toContain('hers');
    expect(names(await list(alice))).not.toContain('off');
    expect((await list(alice)).totalCount).toBe(7);
    expect(names(await list(alice, '(includeInactive: true)'))).toContain('off');
    expect(names(await list(alice, '(includeInactive: true)'))).not.toContain('gone');
    expect((await list(alice, '(includeInactive: true)')).totalCount).toBe(8);
    expect(names(await list(bob))).not.toContain('hers');

    const one = 'query ($id: ID!) { agent(id: $id) { name isShared isActive } }';
    expect((await ask(alice, one, { id: hers })).agent).toEqual({ name: 'hers', isShared: false, isActive: true });
    expect((await ask(alice, one, { id: off })).agent).toMatchObject({ isActive: false });
    const code = async (id: unknown) => (await graph.query(alice, one, { id })).errors[0]?.code;
    expect(await code(his)).toBe('FORBIDDEN');
    expect(await code(gone)).toBe('NOT_FOUND');
    expect(await code(`agt_${randomUUID()}`)).toBe('NOT_FOUND');
    expect(await code(`scn_${randomUUID()}`)).toBe('BAD_USER_INPUT');
    const { agents } = await ask(stranger, '{ agents { edges { node { id } } } }');
    expect(await code(agents.edges[0].node.id)).toBe('FORBIDDEN');
    const node = await graph.query(alice, 'query ($id: ID!) { node(id: $id) { ... on Agent { name } } }', { id: his });
    expect(node.errors[0]?.code).toBe('FORBIDDEN');
    expect(
      (await ask(alice, 'query ($id: ID!) { node(id: $id) { ... on Agent { name } } }', { id: hers })).node,
    ).toEqual({
      name: 'hers',
    });
  });

  test('Agents are paged forwards and backwards', async () => {
    const forwards = await ask(
      bob,
      '{ agents(first: 2) { pageInfo { hasNextPage endCursor } edges { node { name } } } }',
    );
    expect(names(forwards.agents)).toEqual(['assistant', 'supervisor']);
    const next = await ask(
      bob,
      'query ($after: String) { agents(first: 2, after: $after) { edges { node { name } } } }',
      {
        after: forwards.agents.pageInfo.endCursor,
      },
    );
    expect(names(next.agents)).toEqual(['billing', 'orders']);
    const back = await ask(
      bob,
      '{ agents(last: 1) { pageInfo { hasPreviousPage hasNextPage } edges { node { name } } } }',
    );
    expect(back.agents.pageInfo).toEqual({ hasPreviousPage: true, hasNextPage: false });
  });

  test('currentAgent is the viewer’s default, else the tenant’s, else the development agent', async () => {
    const carol = await graph.viewer('carol');
    expect((await ask(carol, '{ currentAgent { name } }')).currentAgent).toEqual({ name: 'assistant' });
    await graph.db.agent.create({
      data: { tenantId: 'acme', ownerId: 'carol', name: 'carols', instructions: 'Hi.', isDefault: true },
    });
    expect((await ask(carol, '{ currentAgent { name } }')).currentAgent).toEqual({ name: 'carols' });
    const lone = await graph.viewer('lone', 'bare');
    await graph.db.agent.updateMany({ where: { tenantId: 'bare' }, data: { isDefault: false } });
    expect((await ask(lone, '{ currentAgent { name } }')).currentAgent).toEqual({ name: 'development' });
    await graph.db.agent.updateMany({ where: { tenantId: 'bare', isDevelopment: true }, data: { isActive: false } });
    expect((await graph.query(lone, '{ currentAgent { name } }')).errors[0]?.code).toBe('NOT_FOUND');
  });

  test('The provider of an agent is its own, or the environment’s', async () => {
    const fields =
      'llm { provider model apiUrl api completionsPath contextTokens apiKeyHint options } tts { voice } stt { language }';
    const { currentAgent } = await ask(alice, `{ currentAgent { ${fields} } }`);
    expect(currentAgent).toMatchObject({ llm: { model: 'test-model', apiKeyHint: null }, tts: null, stt: null });
    const row = await graph.db.agent.create({
      data: {
        tenantId: 'acme',
        ownerId: 'alice',
        name: 'configured',
        instructions: 'Hi.',
        llm: {
          provider: 'groq',
          model: 'llama',
          api: 'CHAT_COMPLETIONS',
          apiUrl: 'https://api.test/v1',
          options: { a: 1 },
        },
        tts: { provider: 'x', voice: 'alto' },
        stt: { provider: 'x', language: 'de' },
      },
    });
    const { agent } = await ask(alice, `query ($id: ID!) { agent(id: $id) { ${fields} } }`, { id: `agt_${row.id}` });
    expect(agent).toEqual({
      llm: {
        provider: 'groq',
        model: 'llama',
        apiUrl: 'https://api.test/v1',
        api: 'CHAT_COMPLETIONS',
        completionsPath: null,
        contextTokens: null,
        apiKeyHint: null,
        options: { a: 1 },
      },
      tts: { voice: 'alto' },
      stt: { language: 'de' },
    });
  });
});

describe('scenarios', () => {
  const fields = `id key name isActive version guardrails { name } rootAgent { name }
    agents { isRoot agent { name } handoffs { description toAgent { name } } }`;

  test('A scenario lists its root first and its handoffs in order', async () => {
    const { scenario } = await ask(alice, `{ scenario(key: "support") { ${fields} } }`);
    expect(scenario).toMatchObject({ key: 'support', isActive: true, version: 1, guardrails: [] });
    expect(scenario.rootAgent).toEqual({ name: 'supervisor' });
    const graphOf = scenario.agents.map(
      (member: { isRoot: boolean; agent: { name: string }; handoffs: { toAgent: { name: string } }[] }) => [
        member.agent.name,
        member.isRoot,
        member.handoffs.map((edge) => edge.toAgent.name),
      ],
    );
    expect(graphOf).toEqual([
      ['supervisor', true, ['billing', 'orders', 'human_escalation']],
      ['billing', false, ['orders', 'human_escalation', 'supervisor']],
      ['orders', false, ['billing', 'human_escalation', 'supervisor']],
      ['human_escalation', false, ['supervisor']],
    ]);
    expect((await ask(alice, 'query ($id: ID!) { scenario(id: $id) { key } }', { id: scenario.id })).scenario).toEqual({
      key: 'support',
    });
  });

  test('Scenarios are listed from the oldest on', async () => {
    const { scenarios } = await ask(alice, `{ scenarios { totalCount edges { node { ${fields} } } } }`);
    expect(scenarios.totalCount).toBe(4);
    expect(scenarios.edges.map((edge: { node: { key: string } }) => edge.node.key)).toEqual([
      'assistant',
      'support',
      'guarded',
      'orchestrated',
    ]);
  });

  test('Scenarios cost the same number of statements with 20 agents', async () => {
    const document = `query ($key: String!) { scenario(key: $key) { ${fields} } }`;
    const small = await graph.query(alice, document, { key: 'support' });
    const scenario = await graph.db.scenario.create({ data: { tenantId: 'acme', key: 'large', name: 'Large' } });
    const agents = await graph.db.agent.createManyAndReturn({
      data: Array.from({ length: 20 }, (_, index) => ({
        tenantId: 'acme',
        name: `large_${index}`,
        instructions: 'Hi.',
      })),
    });
    await graph.db.scenarioAgent.createMany({
      data: agents.map((agent, position) => ({
        tenantId: 'acme',
        scenarioId: scenario.id,
        agentId: agent.id,
        isRoot: position === 0,
        position,
      })),
    });
    await graph.db.handoffEdge.createMany({
      data: agents.flatMap((from, index) =>
        agents
          .filter((to) => to.id !== from.id)
          .map((to, place) => ({
            scenarioId: scenario.id,
            fromAgentId: from.id,
            toAgentId: to.id,
            position: index + place,
          })),
      ),
    });
    const large = await graph.query(alice, document, { key: 'large' });
    expect(large.errors).toEqual([]);
    expect(large.data.scenario.agents).toHaveLength(20);
    expect(large.data.scenario.agents[3].handoffs).toHaveLength(19);
    expect(large.statements).toBe(small.statements);
    expect(large.statements).toBeLessThanOrEqual(3);
  });

  test('A scenario is named by exactly one of id and key, in the viewer’s own tenant', async () => {
    const code = async (args: string) => (await graph.query(alice, `{ scenario${args} { key } }`)).errors[0];
    expect(await code('')).toMatchObject({ code: 'BAD_USER_INPUT' });
    const { scenario } = await ask(stranger, '{ scenario(key: "support") { id } }');
    expect(await code(`(id: "${scenario.id}", key: "support")`)).toMatchObject({ code: 'BAD_USER_INPUT' });
    expect(await code(`(id: "${scenario.id}")`)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await code(`(id: "scn_${randomUUID()}")`)).toMatchObject({ code: 'NOT_FOUND' });
    expect(await code('(key: "nope")')).toMatchObject({ code: 'NOT_FOUND' });
    expect(await code('(key: "")')).toMatchObject({ code: 'BAD_USER_INPUT', path: ['key'] });
  });
});

describe('the seed', () => {
  async function withFile<T>(content: unknown, use: (file: string) => Promise<T>): Promise<T> {
    const folder = await mkdtemp(join(tmpdir(), 'switchboard-seed-'));
    const file = join(folder, 'seed.json');
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
    return use(file).finally(() => rm(folder, { recursive: true, force: true }));
  }

  test('The seed is loaded once, however many do it at the same time', async () => {
    const seed = await readSeed('prisma/seed.json');
    const done = await Promise.all(Array.from({ length: 6 }, () => seedTenant(graph.app.app, 'busy', seed)));
    expect(done.filter(Boolean)).toHaveLength(1);
    const where = { tenantId: 'busy' };
    expect(
      await Promise.all([
        graph.db.agent.count({ where }),
        graph.db.scenario.count({ where }),
        graph.db.order.count({ where }),
        graph.db.knowledgeBase.count({ where }),
        graph.db.knowledgeDocument.count({ where }),
      ]),
    ).toEqual([5, 4, 8, 1, 4]);
    expect(
      await graph.db.order.findUnique({ where: { tenantId_number: { tenantId: 'busy', number: '1042' } } }),
    ).toMatchObject({
      status: 'shipped',
    });
  });

  test('A seed that was replaced adds what is new and changes nothing that exists', async () => {
    const first = await readSeed('prisma/seed.json');
    await seedTenant(graph.app.app, 'edited', first);
    await graph.db.agent.updateMany({
      where: { tenantId: 'edited', name: 'billing' },
      data: { instructions: 'Edited.' },
    });
    const replaced = {
      agents: [
        { name: 'billing', instructions: 'From the file.' },
        { name: 'newcomer', instructions: 'Hi.', isDefault: true },
      ],
      scenarios: [
        {
          key: 'new',
          name: 'New',
          root: 'newcomer',
          agents: [{ agent: 'newcomer', handoffs: [{ to: 'billing' }] }, { agent: 'billing' }],
        },
      ],
    };
    const second = await withFile(replaced, readSeed);
    expect(await seedTenant(graph.app.app, 'edited', second)).toBe(true);
    expect(await seedTenant(graph.app.app, 'edited', second)).toBe(false);
    const agents = await graph.db.agent.findMany({ where: { tenantId: 'edited' } });
    expect(agents).toHaveLength(6);
    expect(agents.find((agent) => agent.name === 'billing')?.instructions).toBe('Edited.');
    expect(agents.filter((agent) => agent.isDefault).map((agent) => agent.name)).toEqual(['assistant']);
    expect(
      await graph.db.handoffEdge.count({ where: { from: { scenario: { tenantId: 'edited', key: 'new' } } } }),
    ).toBe(1);
  });

  const agents = [
    { name: 'a', instructions: 'A.' },
    { name: 'b', instructions: 'B.' },
  ];
  const scenario = {
    key: 's',
    name: 'S',
    root: 'a',
    agents: [{ agent: 'a', handoffs: [{ to: 'b' }] }, { agent: 'b' }],
  };
  test.each<[string, unknown, RegExp]>([
    ['no JSON', '{', /not JSON/],
    [
      'a document that does not exist',
      { agents, knowledgeBases: [{ name: 'k', documents: [{ title: 't', file: 'absent.md' }] }] },
      /knowledgeBases\.0\.documents\.0\.file: absent\.md cannot be read/,
    ],
    [
      'a base twice',
      { agents, knowledgeBases: [{ name: 'k' }, { name: 'k' }] },
      /knowledgeBases\.1\.name: "k" is duplicated/,
    ],
    ['an unknown field', { agents, scenario: [] }, /scenario/],
    ['an unknown field of an agent', { agents: [{ ...agents[0], model: 'x' }] }, /agents\.0.*model/],
    ['an agent without instructions', { agents: [{ name: 'a' }] }, /agents\.0\.instructions/],
    ['a name twice', { agents: [agents[0], agents[0]] }, /agents\.1\.name: "a" is duplicated/],
    [
      'two defaults',
      { agents: agents.map((agent) => ({ ...agent, isDefault: true })) },
      /agents\.1\.isDefault.*a is already/,
    ],
    [
      'a root outside',
      { agents, scenarios: [{ ...scenario, root: 'c' }] },
      /scenarios\.0\.root: "c" is not an agent of the scenario "s"/,
    ],
    [
      'a member that is no agent',
      { agents, scenarios: [{ ...scenario, agents: [{ agent: 'a' }, { agent: 'c' }] }] },
      /scenarios\.0\.agents\.1\.agent.*"c"/,
    ],
    [
      'a handoff to nobody',
      { agents, scenarios: [{ ...scenario, agents: [{ agent: 'a', handoffs: [{ to: 'b' }] }] }] },
      /handoffs\.0\.to: "a" hands off to "b"/,
    ],
    [
      'a handoff to itself',
      { agents, scenarios: [{ ...scenario, agents: [{ agent: 'a', handoffs: [{ to: 'a' }] }] }] },
      /"a" cannot hand off to itself/,
    ],
  ])('A seed with %s is refused, and the entry is named', async (_what, content, says) => {
    await expect(withFile(content, readSeed)).rejects.toThrow(says);
  });

  test('A seed file that does not exist is refused by name', async () => {
    await expect(readSeed('no/such/seed.json')).rejects.toThrow('no/such/seed.json');
  });
});
