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

describe('archived and pinned conversations', () => {
  const update = `mutation ($id: ID!, $input: UpdateConversationInput!) {
    updateConversation(id: $id, input: $input) { id isArchived isPinned title updatedAt } }`;
  const document = `query ($isArchived: Boolean = false, $isPinned: Boolean, $projectId: ID, $first: Int, $after: String, $orderBy: ConversationOrder) {
    conversations(isArchived: $isArchived, isPinned: $isPinned, projectId: $projectId, first: $first, after: $after, orderBy: $orderBy) {
      totalCount edges { cursor node { id title isArchived isPinned lastMessage { preview } } } pageInfo { hasNextPage endCursor } } }`;
  // The same with what only resolvers read.
  const resolved = document.replace('isPinned lastMessage', 'isPinned scenario { key } lastMessage');
  let kim: TestViewer;
  const made: { id: string; updatedAt: string }[] = [];

  const change = async (index: number, input: Record<string, unknown>, viewer = kim) => {
    const answer = await graph.query(viewer, update, { id: made[index]?.id, input });
    return { code: answer.errors[0]?.code, conversation: answer.data?.updateConversation };
  };
  const list = async (variables: Record<string, unknown> = {}) => {
    const answers = [];
    for (const source of [document, resolved]) {
      const { data, errors, statements } = await graph.query(kim, source, variables);
      expect(errors).toEqual([]);
      const { edges, totalCount } = data.conversations as PageOfConversations;
      answers.push({ titles: edges.map(({ node }) => node.title), totalCount, statements });
    }
    expect(answers[1]).toMatchObject({ titles: answers[0]?.titles, totalCount: answers[0]?.totalCount });
    const { statements = 0, ...found } = answers[0] ?? {};
    return { ...found, statements };
  };

  beforeAll(async () => {
    kim = await graph.viewer('kim');
    for (let index = 0; index < 6; index += 1) {
      const { data } = await graph.query(
        kim,
        'mutation ($title: String!) { createConversation(input: { title: $title }) { id updatedAt } }',
        { title: `c${index}` },
      );
      made.push(data.createConversation);
    }
  });

  test('To archive and to pin change nothing else, and null undoes it', async () => {
    expect(await change(0, { isArchived: true, isPinned: true })).toEqual({
      code: undefined,
      conversation: { id: made[0]?.id, title: 'c0', isArchived: true, isPinned: true, updatedAt: made[0]?.updatedAt },
    });
    expect((await change(0, { isArchived: null, isPinned: null })).conversation).toMatchObject({
      isArchived: false,
      isPinned: false,
      updatedAt: made[0]?.updatedAt,
    });
    expect((await change(0, { isPinned: 'yes' })).code).toBe('BAD_USER_INPUT');
    expect((await change(0, { isArchived: true }, alice)).code).toBe('FORBIDDEN');
    expect((await list()).titles).toHaveLength(6);
  });

  test('Lists leave archived conversations out unless they ask for them, and totalCount counts what they list', async () => {
    await change(1, { isArchived: true });
    await change(2, { isArchived: true, isPinned: true });
    await change(2, { isArchived: true });
    await change(3, { isPinned: true });
    const one = { statements: 1 };
    expect(await list()).toMatchObject({ titles: ['c5', 'c4', 'c3', 'c0'], totalCount: 4, ...one });
    expect(await list({ isArchived: true })).toMatchObject({ titles: ['c2', 'c1'], totalCount: 2, ...one });
    expect(await list({ isArchived: null })).toMatchObject({
      titles: ['c5', 'c4', 'c3', 'c2', 'c1', 'c0'],
      totalCount: 6,
      ...one,
    });
    expect(await list({ isPinned: true })).toMatchObject({ titles: ['c3'], totalCount: 1 });
    expect(await list({ isPinned: false })).toMatchObject({ titles: ['c5', 'c4', 'c0'], totalCount: 3 });
    expect(await list({ isPinned: true, isArchived: null })).toMatchObject({ titles: ['c3', 'c2'], totalCount: 2 });
    const { data } = await graph.query(kim, '{ conversations { edges { node { title } } } }');
    expect(data.conversations.edges).toHaveLength(4);
  });

  test('Pages of both together give each once, in each order', async () => {
    for (const orderBy of orders) {
      const titles: string[] = [];
      let after: string | null = null;
      for (let more = true; more; ) {
        const { data } = await graph.query(kim, document, { isArchived: null, first: 2, after, orderBy });
        titles.push(...data.conversations.edges.map(({ node }: { node: { title: string } }) => node.title));
        more = data.conversations.pageInfo.hasNextPage;
        after = data.conversations.pageInfo.endCursor;
      }
      const sorted = ['c0', 'c1', 'c2', 'c3', 'c4', 'c5'];
      expect(titles).toEqual(orderBy.direction === 'ASC' ? sorted : sorted.toReversed());
    }
  });

  test('The count of archived conversations follows those that are deleted', async () => {
    const remove = 'mutation ($id: ID!) { deleteConversation(id: $id) }';
    for (const index of [1, 5]) await graph.query(kim, remove, { id: made[index]?.id });
    expect(await list({ isArchived: true })).toMatchObject({ titles: ['c2'], totalCount: 1 });
    expect(await list()).toMatchObject({ titles: ['c4', 'c3', 'c0'], totalCount: 3 });
  });
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
