import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

/** Of one tenant: half of them shared, half of them alice's. */
const ofTenant = 1_000;
const ofOthers = 9_000;

let graph: Graph;
let alice: TestViewer;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
  await graph.viewer('bob');
  await graph.viewer('someone', 'elsewhere');
  const start = Date.parse('2026-01-01T00:00:00Z');
  const { db } = graph;
  const draft = (n: number) => ({ instructions: 'Hi.', toolNames: [], createdAt: new Date(start + n) });
  await db.agent.createMany({
    data: Array.from({ length: ofTenant }, (_, n) => ({
      tenantId: 'acme',
      ownerId: n % 2 ? 'alice' : null,
      name: `agent ${n}`,
      ...draft(n),
    })),
  });
  await db.agent.createMany({
    data: Array.from({ length: ofOthers }, (_, n) => ({
      ...(n % 2 ? { tenantId: 'elsewhere', ownerId: 'someone' } : { tenantId: 'acme', ownerId: 'bob' }),
      name: `other ${n}`,
      ...draft(n),
    })),
  });
  const keyed = await db.agent.findMany({ where: { ownerId: 'alice' }, select: { id: true } });
  await db.secret.createMany({
    data: keyed.map(({ id }) => ({
      tenantId: 'acme',
      agentId: id,
      name: 'llm',
      origin: 'https://a.example.com',
      hint: 'hint',
      kid: 'test',
      sealed: randomUUID(),
    })),
  });
  await db.agent.updateMany({
    where: { ownerId: 'alice' },
    data: { llm: { provider: 'custom', model: 'm', api: 'RESPONSES', apiUrl: 'https://a.example.com' } },
  });
  await db.$executeRaw`ANALYZE agents`;
}, 240_000);
afterAll(async () => graph[Symbol.asyncDispose]());

test('A list of 1,000 agents is paged at 50, each once, in a constant number of statements', {
  timeout: 240_000,
}, async () => {
  const document = `query ($after: String) { agents(first: 50, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    edges { node { name isShared tools { name } llm { model apiKeyHint keyDropped } tts { voice } stt { language } } }
  } }`;
  const names: string[] = [];
  const hints = new Set<string | null>();
  const costs = new Set<number>();
  let after: string | null = null;
  for (let page = 0; page < 25; page++) {
    const { data, errors, statements } = await graph.query(alice, document, { after });
    expect(errors).toEqual([]);
    costs.add(statements);
    // And the seeded ones and the development agent.
    expect(data.agents.totalCount).toBe(ofTenant + 6);
    for (const { node } of data.agents.edges) {
      names.push(node.name);
      hints.add(node.llm.apiKeyHint);
    }
    if (!data.agents.pageInfo.hasNextPage) break;
    after = data.agents.pageInfo.endCursor;
  }
  expect(names.slice(0, ofTenant)).toEqual(Array.from({ length: ofTenant }, (_, n) => `agent ${n}`));
  expect(names).toHaveLength(ofTenant + 6);
  expect(hints).toEqual(new Set([null, 'hint']));
  expect([...costs]).toEqual([3]);
});

test('A page of agents is found by the index', async () => {
  const plan = await graph.db.$queryRawUnsafe<{ 'QUERY PLAN': string }[]>(
    `EXPLAIN SELECT id, created_at FROM agents
     WHERE tenant_id = 'acme' AND deleted_at IS NULL AND (owner_id IS NULL OR owner_id = 'alice') AND (is_active OR false)
     ORDER BY created_at ASC, id ASC LIMIT 51`,
  );
  const text = plan.map((line) => line['QUERY PLAN']).join('\n');
  expect(text).toMatch(/Index (Only )?Scan/);
  expect(text).not.toContain('Seq Scan');
});
