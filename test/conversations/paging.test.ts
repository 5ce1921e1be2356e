import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

let graph: Graph;
let alice: TestViewer;

/** Ten conversations; several share a title and a moment, so that only the id tells them apart. */
const titles = ['b', 'a', 'C', 'b', 'ä', 'b', 'A', 'z', 'b', 'a'];

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
  for (const [index, title] of titles.entries()) {
    await graph.db.conversation.create({
      data: {
        tenantId: 'acme',
        userId: 'alice',
        title,
        createdAt: new Date(Date.UTC(2026, 0, 1 + Math.floor(index / 3))),
        updatedAt: new Date(Date.UTC(2026, 0, 9 - Math.floor(index / 4))),
      },
    });
  }
  await graph.db.user.updateMany({ where: { id: 'alice' }, data: { conversationCount: titles.length } });
});
afterAll(async () => graph[Symbol.asyncDispose]());

const document = `query ($first: Int, $after: String, $last: Int, $before: String, $orderBy: ConversationOrder, $search: String) {
  conversations(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy, search: $search) {
    totalCount
    edges { cursor node { id title } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`;

interface PageOfConversations {
  totalCount: number;
  edges: { cursor: string; node: { id: string; title: string } }[];
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null };
}

async function read(variables: Record<string, unknown>, viewer = alice): Promise<PageOfConversations> {
  const { data, errors } = await graph.query(viewer, document, variables);
  expect(errors).toEqual([]);
  return data.conversations;
}

const ids = (page: PageOfConversations) => page.edges.map((edge) => edge.node.id);

const orders = ['CREATED_AT', 'UPDATED_AT', 'TITLE'].flatMap((field) =>
  ['ASC', 'DESC'].map((direction) => ({ field, direction })),
);

describe.each(orders)('conversations by $field $direction', (orderBy) => {
  test('Pages of conversations, forwards and backwards, give the whole list once, and say if it ends', async () => {
    const whole = ids(await read({ orderBy, first: 100 }));
    expect(new Set(whole).size).toBe(titles.length);

    const forwards: string[] = [];
    let after: string | null = null;
    for (let more = true; more; ) {
      const page: PageOfConversations = await read({ orderBy, first: 3, after });
      expect(page.totalCount).toBe(titles.length);
      expect(page.pageInfo.hasPreviousPage).toBe(after !== null);
      forwards.push(...ids(page));
      more = page.pageInfo.hasNextPage;
      after = page.pageInfo.endCursor;
    }
    expect(forwards).toEqual(whole);

    const backwards: string[] = [];
    let before: string | null = null;
    for (let more = true; more; ) {
      const page: PageOfConversations = await read({ orderBy, last: 3, before });
      expect(page.pageInfo.hasNextPage).toBe(before !== null);
      backwards.unshift(...ids(page));
      more = page.pageInfo.hasPreviousPage;
      before = page.pageInfo.startCursor;
    }
    expect(backwards).toEqual(whole);
  });

  test('The order of conversations is that of the database', async () => {
    const column = { CREATED_AT: 'created_at', UPDATED_AT: 'updated_at', TITLE: 'title' }[orderBy.field];
    const rows = await graph.db.$queryRawUnsafe<{ id: string }[]>(
      `SELECT id FROM conversations WHERE user_id = 'alice' ORDER BY ${column} ${orderBy.direction}, id ${orderBy.direction}`,
    );
    expect(ids(await read({ orderBy, first: 100 }))).toEqual(rows.map((row) => `conv_${row.id}`));
  });

  test('first and last can select from a range between two cursors', async () => {
    const whole = await read({ orderBy, first: 100 });
    const cursor = (index: number) => whole.edges[index]?.cursor;
    const expected = ids(whole);
    const inner = { orderBy, after: cursor(1), before: cursor(7) };
    const start = await read({ ...inner, first: 2 });
    expect(ids(start)).toEqual(expected.slice(2, 4));
    expect(start.pageInfo).toMatchObject({ hasPreviousPage: true, hasNextPage: true });
    const end = await read({ ...inner, last: 2 });
    expect(ids(end)).toEqual(expected.slice(5, 7));
    expect(end.pageInfo).toMatchObject({ hasPreviousPage: true, hasNextPage: true });
    expect(ids(await read({ ...inner, first: 100 }))).toEqual(expected.slice(2, 7));
  });
});

test('The conversation that changed last comes first unless ordered otherwise', async () => {
  expect(ids(await read({}))).toEqual(ids(await read({ orderBy: { field: 'UPDATED_AT', direction: 'DESC' } })));
});

test('before alone selects the end of what comes before the cursor', async () => {
  const whole = await read({ first: 100 });
  expect(ids(await read({ before: whole.edges[4]?.cursor }))).toEqual(ids(whole).slice(0, 4));
});

test('An empty page and an empty list have no cursors', async () => {
  const none = await read({ first: 0 });
  expect(none.edges).toEqual([]);
  expect(none.pageInfo).toEqual({ hasNextPage: true, hasPreviousPage: false, startCursor: null, endCursor: null });
  const nobody = await graph.viewer('nobody');
  const empty = await read({}, nobody);
  expect(empty).toEqual({
    totalCount: 0,
    edges: [],
    pageInfo: { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null },
  });
  const whole = await read({ first: 100 });
  const beyond = await read({ first: 5, after: whole.pageInfo.endCursor });
  expect(beyond.edges).toEqual([]);
  expect(beyond.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
});

test('Rows that are created and deleted between two pages make no gap and no repeat', async () => {
  const zoe = await graph.viewer('zoe');
  const made = await graph.db.conversation.createManyAndReturn({
    data: Array.from({ length: 6 }, (_, index) => ({
      tenantId: 'acme',
      userId: 'zoe',
      title: `t${index}`,
      createdAt: new Date(Date.UTC(2026, 0, 1, index)),
    })),
  });
  const orderBy = { field: 'CREATED_AT', direction: 'ASC' };
  const first = await read({ orderBy, first: 3 }, zoe);
  expect(first.edges.map((edge) => edge.node.title)).toEqual(['t0', 't1', 't2']);
  // The row that the cursor stands on goes, one comes before it and one behind it.
  await graph.db.conversation.delete({ where: { id: made[2]?.id ?? '' } });
  await graph.db.conversation.createMany({
    data: [
      { tenantId: 'acme', userId: 'zoe', title: 'earlier', createdAt: new Date(Date.UTC(2025, 0, 1)) },
      { tenantId: 'acme', userId: 'zoe', title: 'between', createdAt: new Date(Date.UTC(2026, 0, 1, 3, 30)) },
    ],
  });
  const rest = await read({ orderBy, first: 10, after: first.pageInfo.endCursor }, zoe);
  expect(rest.edges.map((edge) => edge.node.title)).toEqual(['t3', 'between', 't4', 't5']);
  expect(rest.pageInfo).toMatchObject({ hasPreviousPage: true, hasNextPage: false });
});

describe('search in conversations', () => {
  beforeAll(async () => {
    const sam = await graph.viewer('sam');
    for (const title of [
      '100% sure',
      '100 percent',
      'under_score',
      'underscore',
      'back\\slash',
      'UPPER case',
      'Ünïcode',
    ]) {
      const { errors } = await graph.query(
        sam,
        'mutation ($title: String!) { createConversation(input: { title: $title }) { id } }',
        { title },
      );
      expect(errors).toEqual([]);
    }
  });

  test.each([
    ['100', ['100 percent', '100% sure']],
    ['0%', ['100% sure']],
    ['r_s', ['under_score']],
    ['k\\s', ['back\\slash']],
    ['%', ['100% sure']],
    ['upper CASE', ['UPPER case']],
    ['ÜNÏ', ['Ünïcode']],
    ['no such', []],
  ])('A search in %s finds %j, and wildcards are ordinary letters', async (search, expected) => {
    const sam = await graph.viewer('sam');
    const page = await read({ search }, sam);
    expect(page.edges.map((edge) => edge.node.title).sort()).toEqual(expected);
    expect(page.totalCount).toBe(expected.length);
    const one = await read({ search, first: 1 }, sam);
    expect(one.edges).toHaveLength(Math.min(1, expected.length));
    expect(one.pageInfo.hasNextPage).toBe(expected.length > 1);
  });

  test.each([[''], ['x'.repeat(201)], ['a\u0000'], ['\udc00']])('A search refuses %j', async (search) => {
    const { errors } = await graph.query(alice, document, { search });
    expect(errors).toEqual([expect.objectContaining({ code: 'BAD_USER_INPUT', path: ['search'] })]);
  });
});

describe('wrong page arguments', () => {
  test.each([
    [{ first: 1, last: 1 }, ['last']],
    [{ first: -1 }, ['first']],
    [{ first: 101 }, ['first']],
    [{ last: -1 }, ['last']],
    [{ last: 101 }, ['last']],
    [{ after: 'nonsense' }, ['after']],
    [{ after: '' }, ['after']],
    [{ before: Buffer.from('[]').toString('base64url') }, ['before']],
    [{ after: Buffer.from('["conversations:UPDATED_AT:DESC",["x","y"]]').toString('base64url') }, ['after']],
    [{ after: 'x'.repeat(5000) }, ['after']],
  ])('The page arguments %j are refused by name', async (variables, path) => {
    const { errors } = await graph.query(alice, document, variables);
    expect(errors).toEqual([expect.objectContaining({ code: 'BAD_USER_INPUT', path })]);
  });

  test('A cursor is valid for its own list and order only', async () => {
    const { edges } = await read({ orderBy: { field: 'TITLE', direction: 'ASC' } });
    for (const orderBy of [
      { field: 'TITLE', direction: 'DESC' },
      { field: 'CREATED_AT', direction: 'ASC' },
    ]) {
      const { errors } = await graph.query(alice, document, { orderBy, after: edges[0]?.cursor });
      expect(errors).toEqual([expect.objectContaining({ code: 'BAD_USER_INPUT', path: ['after'] })]);
    }
    const agents = await graph.query(alice, 'query ($after: String) { agents(after: $after) { totalCount } }', {
      after: edges[0]?.cursor,
    });
    expect(agents.errors).toEqual([expect.objectContaining({ code: 'BAD_USER_INPUT', path: ['after'] })]);
  });
});

test('totalCount costs no statement of its own, but with a search', async () => {
  const without = await graph.query(alice, '{ conversations { edges { cursor } } }');
  const along = await graph.query(alice, '{ conversations { totalCount edges { cursor } } }');
  expect([without.statements, along.statements]).toEqual([1, 1]);
  const found = await graph.query(alice, '{ conversations(search: "a") { totalCount } }');
  expect(found.statements).toBe(2);
});
