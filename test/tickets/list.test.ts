import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

let graph: Graph;
let alice: TestViewer;
const priorities = ['LOW', 'NORMAL', 'HIGH', 'URGENT'] as const;
const many = 60;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
  await graph.viewer('mallory', 'other');
  await graph.db.ticket.createMany({
    data: Array.from({ length: many }, (_, index) => ({
      tenantId: 'acme',
      number: index + 1,
      subject: index % 2 === 0 ? `Invoice of order ${1000 + index}` : `Refund it’s due ${index}`,
      body: index === 7 ? 'Call me: o\u2019brien@example.com or re-send \\ it.' : 'Some text.',
      status: index % 3 === 0 ? ('SOLVED' as const) : ('OPEN' as const),
      priority: priorities[index % 4] ?? 'LOW',
      assignee: index % 5 === 0 ? 'bob' : null,
      createdBy: 'alice',
      createdAt: new Date(1_700_000_000_000 + index * 1000),
      updatedAt: new Date(1_700_000_000_000 + ((index * 7) % many) * 1000),
    })),
  });
  await graph.db.ticket.create({
    data: { tenantId: 'other', number: 1, subject: 'Invoice', body: 'b', createdBy: 'mallory' },
  });
});
afterAll(() => graph[Symbol.asyncDispose]());

async function readAll(args: string, size: number): Promise<number[]> {
  const numbers: number[] = [];
  for (let after: string | null = null; ; ) {
    const cursor: string = after === null ? '' : `, after: "${after}"`;
    const document = `{ tickets(first: ${size}${cursor}${args}) { edges { node { number } } pageInfo { hasNextPage endCursor } } }`;
    const { data, errors } = await graph.query(alice, document);
    expect(errors).toEqual([]);
    numbers.push(...data.tickets.edges.map(({ node }: { node: { number: number } }) => node.number));
    if (!data.tickets.pageInfo.hasNextPage) return numbers;
    after = data.tickets.pageInfo.endCursor;
  }
}

const numbersBy = (key: (index: number) => number) =>
  Array.from({ length: many }, (_, index) => index)
    .sort((a, b) => key(a) - key(b))
    .map((index) => index + 1);

describe('the order', () => {
  test.each([
    ['CREATED_AT', (index: number) => index],
    ['UPDATED_AT', (index: number) => (index * 7) % many],
  ] as const)('Pages in the order of %s, both ways, have each ticket once', async (field, key) => {
    const ascending = numbersBy(key);
    expect(await readAll(`, orderBy: { field: ${field}, direction: ASC }`, 7)).toEqual(ascending);
    expect(await readAll(`, orderBy: { field: ${field}, direction: DESC }`, 25)).toEqual(ascending.toReversed());
  });

  test('Pages in the order of PRIORITY have each ticket once, the most urgent last or first', async () => {
    const found = await readAll(', orderBy: { field: PRIORITY, direction: ASC }', 11);
    expect(found.map((number) => (number - 1) % 4)).toEqual(found.map((_, index) => Math.floor(index / (many / 4))));
    expect(new Set(found).size).toBe(many);
    expect(await readAll(', orderBy: { field: PRIORITY, direction: DESC }', 50)).toEqual(found.toReversed());
  });

  test('The most recently updated come first by default, and a cursor of another order is refused', async () => {
    expect(await readAll('', 50)).toEqual(numbersBy((index) => (index * 7) % many).toReversed());
    const { data } = await graph.query(alice, '{ tickets(first: 1) { pageInfo { endCursor } } }');
    const after = data.tickets.pageInfo.endCursor;
    const document = `{ tickets(after: "${after}", orderBy: { field: PRIORITY, direction: ASC }) { totalCount } }`;
    expect((await graph.query(alice, document)).errors).toMatchObject([{ code: 'BAD_USER_INPUT', path: ['after'] }]);
  });
});

describe('the filter', () => {
  test.each([
    ['status: [SOLVED]', 20],
    ['status: [SOLVED, OPEN]', 60],
    ['status: [CLOSED]', 0],
    ['status: []', 0],
    ['priority: [HIGH, URGENT]', 30],
    ['assignee: "bob"', 12],
    ['assignee: "bo"', 0],
    ['status: [SOLVED], assignee: "bob"', 4],
    ['search: "invoice"', 30],
    ['search: "INVOI"', 30],
    ['search: "invoice 1004"', 1],
    ['search: "refund invoice"', 0],
    ['search: "42"', 1],
    ['search: "it’s"', 30],
    ['search: "o’brien@example.com"', 1],
    [`search: "re-sen"`, 1],
  ])('%s finds %i tickets', async (filter, count) => {
    const { data, errors } = await graph.query(
      alice,
      `{ tickets(filter: { ${filter} }) { totalCount edges { cursor } } }`,
    );
    expect(errors).toEqual([]);
    expect(data.tickets.totalCount).toBe(count);
    expect(data.tickets.edges).toHaveLength(Math.min(count, 50));
  });

  test.each(["' | !'", '\\', "a':* | 'b", 'invoice & !x', '((', '!!', '  ', '<->', '%_', ':*', "''''", '\\\\\\'])(
    'A search for %j finds nothing that it does not name, and does not fail',
    async (search) => {
      const document = 'query ($search: String!) { tickets(filter: { search: $search }) { totalCount } }';
      const { data, errors } = await graph.query(alice, document, { search });
      expect(errors).toEqual([]);
      expect(data.tickets.totalCount).toBe(0);
    },
  );

  test.each([
    ['{ search: "" }', ['filter', 'search']],
    [`{ search: "${'a'.repeat(201)}" }`, ['filter', 'search']],
    ['{ assignee: "" }', ['filter', 'assignee']],
    ['{ contactId: "x" }', ['filter', 'contactId']],
    ['{ conversationId: "x" }', ['filter', 'conversationId']],
    ['{ status: [OPEN, OPEN, OPEN, OPEN, OPEN] }', ['filter', 'status']],
  ])('The filter %s is refused by name', async (filter, path) => {
    const { errors } = await graph.query(alice, `{ tickets(filter: ${filter}) { totalCount } }`);
    expect(errors).toMatchObject([{ code: 'BAD_USER_INPUT', path }]);
  });
});

test('A list with everything takes the same number of statements, however many tickets it has', async () => {
  const document = (first: number) => `{ tickets(first: ${first}) { totalCount edges { node {
    id subject conversation { id } project { key } comments { body } history { field } createdByAgent { name }
  } } } }`;
  await graph.db.ticket.updateMany({ where: { tenantId: 'acme' }, data: { commentCount: 1, changeCount: 1 } });
  const counts = [];
  for (const first of [2, 20, 50]) counts.push((await graph.query(alice, document(first))).statements);
  expect(new Set(counts).size).toBe(1);
  expect(counts[0]).toBeLessThanOrEqual(7);
});

test('Each order walks its index, and a search uses that of the words', async () => {
  const explain = async (sql: string) =>
    graph.db.$transaction(async (tx) => {
      await tx.$executeRawUnsafe('SET LOCAL enable_seqscan = off');
      await tx.$executeRawUnsafe('SET LOCAL enable_sort = off');
      const rows = await tx.$queryRawUnsafe<Record<string, string>[]>(`EXPLAIN ${sql}`);
      return JSON.stringify(rows);
    });
  for (const column of ['created_at', 'updated_at', 'priority']) {
    const plan = await explain(`SELECT id FROM tickets WHERE tenant_id = 'acme' ORDER BY ${column}, id LIMIT 51`);
    expect(plan).toContain(`tickets_tenant_id_${column}_id_idx`);
    expect(plan).not.toContain('Sort');
  }
  const search = await explain("SELECT id FROM tickets WHERE tsv @@ to_tsquery('simple', '''invoice'':*')");
  expect(search).toContain('tickets_tsv_idx');
});
