import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Graph, openGraph, startTestApp, type TestViewer } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';

// Pages of messages that do not fit into one answer end early, and the list goes on behind them.

let graph: Graph;
let alice: TestViewer;
let conversation: string;

/** How many characters each message has: short ones and long ones, and one that fills an answer. */
const sizes = Array.from({ length: 40 }, (_, n) => (n === 25 ? 99_000 : n % 3 === 0 ? 30_000 : 10));

async function addMessages(id: string, lengths: readonly number[]): Promise<void> {
  const conversationId = id.slice('conv_'.length);
  await graph.db.message.createMany({
    data: lengths.map((length, index) => ({
      tenantId: 'acme',
      conversationId,
      position: index + 1,
      role: 'USER' as const,
      content: `${index + 1} `.padEnd(length, 'x'),
    })),
  });
  await graph.db.conversation.update({ where: { id: conversationId }, data: { messageCount: lengths.length } });
}

async function create(): Promise<string> {
  const { data } = await graph.query(alice, 'mutation { createConversation { id } }');
  return data.createConversation.id;
}

beforeAll(async () => {
  graph = await openGraph({ MAX_ANSWER_BYTES: '200000' });
  alice = await graph.viewer('alice');
  conversation = await create();
  await addMessages(conversation, sizes);
});
afterAll(() => graph[Symbol.asyncDispose]());

const document = `query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $order: OrderDirection) {
  conversation(id: $id) {
    messages(first: $first, after: $after, last: $last, before: $before, order: $order) {
      totalCount edges { cursor node { content } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}`;

async function read(variables: Record<string, unknown>) {
  const { data, errors } = await graph.query(alice, document, { id: conversation, ...variables });
  expect(errors).toEqual([]);
  const { edges, pageInfo, totalCount } = data.conversation.messages;
  expect(totalCount).toBe(sizes.length);
  expect(pageInfo.startCursor).toBe(edges[0].cursor);
  expect(pageInfo.endCursor).toBe(edges.at(-1).cursor);
  const numbers: number[] = edges.map(({ node }: { node: { content: string } }) => Number.parseInt(node.content, 10));
  return { numbers, pageInfo };
}

const all = sizes.map((_, index) => index + 1);

describe.each(['ASC', 'DESC'] as const)('a list of long messages, %s', (order) => {
  const expected = order === 'ASC' ? all : all.toReversed();

  test('Pages that are cut give the whole list once, forwards and backwards, and say where it goes on', async () => {
    const forwards: number[][] = [];
    let after: string | null = null;
    for (let more = true; more; ) {
      const { numbers, pageInfo } = await read({ first: 500, after, order });
      expect(pageInfo.hasPreviousPage).toBe(after !== null);
      forwards.push(numbers);
      more = pageInfo.hasNextPage;
      after = pageInfo.endCursor;
    }
    expect(forwards.flat()).toEqual(expected);
    expect(forwards.length).toBeGreaterThan(3);

    const backwards: number[][] = [];
    let before: string | null = null;
    for (let more = true; more; ) {
      const { numbers, pageInfo } = await read({ last: 500, before, order });
      expect(pageInfo.hasNextPage).toBe(before !== null);
      backwards.unshift(numbers);
      more = pageInfo.hasPreviousPage;
      before = pageInfo.startCursor;
    }
    expect(backwards.flat()).toEqual(expected);
    expect(backwards.length).toBeGreaterThan(3);
  });

  test('A page between two cursors is cut at its far end', async () => {
    const cursorOf = async (place: number) => (await read({ first: place, order, after: null })).pageInfo.endCursor;
    const after = await cursorOf(2);
    const first = await read({ first: 30, after, order });
    expect(first.numbers).toEqual(expected.slice(2, 2 + first.numbers.length));
    expect(first.numbers.length).toBeLessThan(30);
    expect(first.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: true });
    const last = await read({ last: 30, after, order });
    expect(last.numbers).toEqual(expected.slice(-last.numbers.length));
    expect(last.numbers.length).toBeLessThan(30);
    expect(last.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
  });
});

test('Pages of messages of many conversations share what one answer may hold, and each has one message at least', async () => {
  const ids = await Promise.all([create(), create(), create()]);
  for (const id of ids) await addMessages(id, Array(10).fill(20_000));
  const { data, errors } = await graph.query(
    alice,
    `{ conversations(first: 3) { edges { node { id lastMessage { content }
      messages(first: 10) { edges { node { content } } pageInfo { hasNextPage endCursor } } } } } }`,
  );
  expect(errors).toEqual([]);
  const pages = data.conversations.edges.map(({ node }: { node: { messages: unknown } }) => node.messages);
  expect(pages.map(({ edges }: { edges: unknown[] }) => edges.length > 0 && edges.length < 10)).toEqual([
    true,
    true,
    true,
  ]);
  expect(pages.map(({ pageInfo }: { pageInfo: { hasNextPage: boolean } }) => pageInfo.hasNextPage)).toEqual([
    true,
    true,
    true,
  ]);
});

test('What cannot be cut is QUERY_TOO_COMPLEX, and the message says what to do', async () => {
  const ids = await Promise.all([create(), create(), create()]);
  for (const id of ids) await addMessages(id, [90_000]);
  const { data, errors } = await graph.query(
    alice,
    '{ conversations(first: 3) { edges { node { messages(first: 1) { edges { node { content } } } } } } }',
  );
  expect(data).toBeNull();
  expect(errors[0]).toMatchObject({
    code: 'QUERY_TOO_COMPLEX',
    message:
      'The answer would have more than 200,000 bytes. Ask for smaller pages, or for fewer objects in one operation.',
  });
  const { data: nodes, errors: ofNodes } = await graph.query(
    alice,
    `query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Conversation { lastMessage { content } } } }`,
    { ids },
  );
  // Two fit. The third is null, with its error.
  expect(nodes.nodes.map(({ lastMessage }: { lastMessage: unknown }) => lastMessage !== null).length).toBe(3);
  expect(ofNodes.every(({ code }) => code === 'QUERY_TOO_COMPLEX')).toBe(true);
});

test('An answer cannot be made larger by aliases', async () => {
  const aliases = Array.from({ length: 25 }, (_, n) => `a${n}: content`).join(' ');
  const { errors } = await graph.query(
    alice,
    `query ($id: ID!) { conversation(id: $id) { messages(first: 2) { edges { node { ${aliases} } } } } }`,
    { id: conversation },
  );
  expect(errors[0]?.code).toBe('QUERY_TOO_COMPLEX');
});

test('Characters that JSON escapes count as long as they are in the answer', async () => {
  const id = await create();
  await addMessages(id, [10]);
  await graph.db.message.updateMany({
    where: { conversationId: id.slice('conv_'.length) },
    data: { content: '\u0001'.repeat(50_000) },
  });
  const { errors } = await graph.query(alice, document, { id, first: 1 });
  expect(errors[0]?.code).toBe('QUERY_TOO_COMPLEX');
});

test('A mutation sees what the one before it in the same operation has added', async () => {
  const id = await create();
  const { data, errors } = await graph.query(
    alice,
    `mutation ($a: CreateMessageInput!, $b: CreateMessageInput!) {
      a: createMessage(input: $a) { ...Thread }
      b: createMessage(input: $b) { ...Thread }
    }
    fragment Thread on Message { conversation { messageCount lastMessage { content } messages { edges { node { content } } } } }`,
    {
      a: { conversationId: id, role: 'USER', content: 'one' },
      b: { conversationId: id, role: 'USER', content: 'two' },
    },
  );
  expect(errors).toEqual([]);
  expect(data.a.conversation).toMatchObject({ messageCount: 1, lastMessage: { content: 'one' } });
  expect(data.b.conversation).toMatchObject({
    messageCount: 2,
    lastMessage: { content: 'two' },
    messages: { edges: [{ node: { content: 'one' } }, { node: { content: 'two' } }] },
  });
});

test('Many objects that refer to the same conversation read its messages once', async () => {
  const id = await create();
  await addMessages(id, Array(60).fill(500));
  const { data, errors, statements } = await graph.query(
    alice,
    'query ($id: ID!) { conversation(id: $id) { messages(first: 60) { edges { node { conversation { lastMessage { content } } } } } } }',
    { id },
  );
  expect(errors).toEqual([]);
  expect(data.conversation.messages.edges).toHaveLength(60);
  expect(statements).toBe(3);
});

test('A message that is larger than an answer can be read on its own', async () => {
  const id = await create();
  await addMessages(id, [250_000]);
  const { data, errors } = await graph.query(alice, document, { id, first: 10 });
  expect(errors).toEqual([]);
  expect(data.conversation.messages.edges[0].node.content).toHaveLength(250_000);
});

test('A list of long agents is cut by its size, and goes on behind the cut', async () => {
  const agent = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
  for (let n = 0; n < 6; n += 1) {
    const input = { name: `long ${n}`, instructions: 'i'.repeat(60_000) };
    expect((await graph.query(alice, agent, { input })).errors).toEqual([]);
  }
  const names: string[] = [];
  let pages = 0;
  let after: string | null = null;
  for (let more = true; more; pages += 1) {
    const { data, errors } = await graph.query(
      alice,
      'query ($after: String) { agents(first: 100, after: $after) { edges { node { name instructions } } pageInfo { hasNextPage endCursor } } }',
      { after },
    );
    expect(errors).toEqual([]);
    names.push(...data.agents.edges.map(({ node }: { node: { name: string } }) => node.name));
    more = data.agents.pageInfo.hasNextPage;
    after = data.agents.pageInfo.endCursor;
  }
  expect(pages).toBe(2);
  expect(names.filter((name) => name.startsWith('long'))).toEqual(Array.from({ length: 6 }, (_, n) => `long ${n}`));
  expect(new Set(names).size).toBe(names.length);
});

describe('tool calls', () => {
  test('Tool calls are measured also where a fragment that others share selects the messages without them', async () => {
    const ids = await Promise.all([create(), create()]);
    for (const id of ids) await addMessages(id, Array(5).fill(10));
    const conversationId = ids[1]?.slice('conv_'.length) ?? '';
    const messages = await graph.db.message.findMany({ where: { conversationId } });
    await graph.db.toolCall.createMany({
      data: messages.map(({ id: messageId }) => ({
        ...{ tenantId: 'acme', conversationId, messageId, callId: 'c', step: 0, index: 0, name: 'lookup_order' },
        ...{ arguments: '{}', status: 'SUCCEEDED' as const, result: 'r'.repeat(60_000) },
      })),
    });
    const { data, errors } = await graph.query(
      alice,
      `query ($one: ID!, $other: ID!) {
        one: conversation(id: $one) { ...Texts }
        other: conversation(id: $other) { ...Texts messages { edges { node { toolCalls { result } } } pageInfo { hasNextPage } } }
      }
      fragment Texts on Conversation { messages { edges { node { content } } } }`,
      { one: ids[0], other: ids[1] },
    );
    expect(errors).toEqual([]);
    expect(data.one.messages.edges).toHaveLength(5);
    const { edges, pageInfo } = data.other.messages;
    expect(edges.length).toBeLessThan(4);
    expect(edges[0].node.toolCalls[0].result).toHaveLength(60_000);
    expect(pageInfo.hasNextPage).toBe(true);
  });

  test('Tool calls count into a page of messages, and a run can be read in parts', async () => {
    await using app = await startTestApp({ env: { MAX_ANSWER_BYTES: '200000' } });
    const chat = await openChat(app, 'support');
    const ask = (query: string, variables: Record<string, unknown>) =>
      app.query(query, variables, { token: chat.token });
    for (let turn = 0; turn < 4; turn += 1) {
      app.model.add(
        { text: 'Look.', calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }] },
        { text: 'Done.' },
      );
      const input = { conversationId: chat.conversationId, content: 'Go', idempotencyKey: `k${turn}` };
      expect((await ask(documents.sendMessage, { input })).errors).toEqual([]);
    }
    await app.app.db.toolCall.updateMany({ data: { result: { text: 'r'.repeat(60_000) } } });
    const page = `query ($id: ID!, $after: String) { conversation(id: $id) { messages(first: 100, after: $after) {
      edges { node { content toolCalls { id name result } } } pageInfo { hasNextPage endCursor } } } }`;
    const calls: unknown[] = [];
    let [after, pages]: [string | null, number] = [null, 0];
    for (let more = true; more; pages += 1) {
      const { data, errors } = await ask(page, { id: chat.conversationId, after });
      expect(errors).toEqual([]);
      const { edges, pageInfo } = data.conversation.messages;
      calls.push(...edges.flatMap(({ node }: { node: { toolCalls: unknown[] } }) => node.toolCalls));
      more = pageInfo.hasNextPage;
      after = pageInfo.endCursor;
    }
    expect(calls).toHaveLength(4);
    expect(pages).toBe(2);

    const runs = `query ($id: ID!, $first: Int) { conversation(id: $id) { runs(first: $first) { edges { node {
      toolCalls { result } messages { content } userMessage { content } } } } } }`;
    const tooLarge = await ask(runs, { id: chat.conversationId, first: 4 });
    expect(tooLarge.errors[0]).toMatchObject({ extensions: { code: 'QUERY_TOO_COMPLEX' } });
    const fits = await ask(runs, { id: chat.conversationId, first: 2 });
    expect(fits.errors).toEqual([]);
    expect(fits.data.conversation.runs.edges[0].node).toMatchObject({
      userMessage: { content: 'Go' },
      messages: [{ content: 'Look.' }, { content: 'Done.' }],
      toolCalls: [{ result: { text: expect.any(String) } }],
    });
    const part = `query ($id: ID!, $first: Int, $offset: Int) { conversation(id: $id) { runs(first: 1) { edges { node {
      messages(first: $first, offset: $offset) { content } toolCalls(first: $first, offset: $offset) { name } } } } } }`;
    const second = await ask(part, { id: chat.conversationId, first: 1, offset: 1 });
    expect(second.data.conversation.runs.edges[0].node).toEqual({ messages: [{ content: 'Done.' }], toolCalls: [] });
    const wrong = await ask(part, { id: chat.conversationId, first: 501, offset: 0 });
    expect(wrong.errors[0]).toMatchObject({
      message: 'first must be an integer from 0 to 500.',
      extensions: { code: 'BAD_USER_INPUT', path: ['first'] },
    });
  });
});

test('Whoever reads large pages faster than the limit is RATE_LIMITED, and small ones and other users are not', async () => {
  await using limited = await openGraph({ RATE_LIMIT_ANSWER_BYTES: '1000000/60' });
  const [fast, other] = [await limited.viewer('fast'), await limited.viewer('other')];
  const large = async (viewer: TestViewer) => {
    const { data } = await limited.query(viewer, 'mutation { createConversation { id } }');
    const id: string = data.createConversation.id;
    await limited.db.message.createMany({
      data: Array.from({ length: 12 }, (_none, index) => ({
        tenantId: 'acme',
        conversationId: id.slice('conv_'.length),
        position: index + 1,
        role: 'USER' as const,
        content: 'x'.repeat(90_000),
      })),
    });
    await limited.db.conversation.update({ where: { id: id.slice('conv_'.length) }, data: { messageCount: 12 } });
    return id;
  };
  const [mine, others] = [await large(fast), await large(other)];
  const page = `query ($id: ID!, $first: Int) {
    conversation(id: $id) { messages(first: $first) { edges { node { content } } } }
  }`;
  const ask = async (viewer: TestViewer, id: string, first: number) => {
    const { errors } = await limited.query(viewer, page, { id, first });
    return errors.map(({ code }) => code);
  };
  expect(await ask(fast, mine, 12)).toEqual([]);
  const { errors } = await limited.query(fast, page, { id: mine, first: 12 });
  expect(errors).toMatchObject([{ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) }]);
  expect(await ask(fast, mine, 1)).toEqual([]);
  expect(await ask(other, others, 12)).toEqual([]);
});
