import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makePreview, makeTitle } from '../../src/conversations/text.ts';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

let graph: Graph;
let alice: TestViewer;
let bob: TestViewer;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
  bob = await graph.viewer('bob');
});
afterAll(async () => graph[Symbol.asyncDispose]());

async function begin(viewer = alice, title?: string): Promise<string> {
  const { data, errors } = await graph.query(
    viewer,
    'mutation ($title: String) { createConversation(input: { title: $title }) { id } }',
    { title },
  );
  expect(errors).toEqual([]);
  return data.createConversation.id;
}

const create = `mutation ($input: CreateMessageInput!) {
  createMessage(input: $input) {
    id role status content preview source createdAt agent { name }
    attachments { name type url size knowledgeBaseId }
    conversation { id title messageCount lastMessage { id } }
  }
}`;

async function say(conversationId: string, content: string, more: Record<string, unknown> = {}) {
  const { data, errors } = await graph.query(alice, create, {
    input: { conversationId, role: 'USER', content, ...more },
  });
  expect(errors).toEqual([]);
  return data.createMessage;
}

describe('createMessage', () => {
  test('createMessage adds to the end, and the conversation’s fields follow', async () => {
    const conversationId = await begin();
    const first = await say(conversationId, 'Where is my order 1042?');
    expect(first).toMatchObject({
      role: 'USER',
      status: 'COMPLETE',
      content: 'Where is my order 1042?',
      preview: 'Where is my order 1042?',
      source: 'CHAT',
      agent: null,
      attachments: [],
      conversation: {
        id: conversationId,
        title: 'Where is my order 1042?',
        messageCount: 1,
        lastMessage: { id: first.id },
      },
    });
    const second = await say(conversationId, 'On its way.', { role: 'ASSISTANT' });
    expect(second).toMatchObject({
      source: 'IMPORT',
      conversation: { title: 'Where is my order 1042?', messageCount: 2, lastMessage: { id: second.id } },
    });
  });

  test('createMessage stores attachments as they are', async () => {
    const attachment = { name: 'Rechnung ü.pdf', type: 'application/pdf', url: 'https://files.test/a.pdf', size: 0 };
    const message = await say(await begin(), 'See this', {
      attachments: [attachment, { ...attachment, knowledgeBaseId: null }],
    });
    expect(message.attachments).toEqual([
      { ...attachment, knowledgeBaseId: null },
      { ...attachment, knowledgeBaseId: null },
    ]);
  });

  test('createMessage stores a routing decision and finished tool calls', async () => {
    const agents = await graph.query(alice, '{ agents { edges { node { id name } } } }');
    const { id } = agents.data.agents.edges[0].node;
    const message = await say(await begin(), 'Done', {
      role: 'ASSISTANT',
      routingDecision: {
        rootAgent: id,
        selectedAgents: [id],
        selectedTools: ['x'],
        confidence: 0.5,
        reasoning: 'because',
      },
      toolCalls: [
        { callId: 'call_1', name: 'lookup_order', arguments: '{"orderNumber":"1042"}', result: { status: 'shipped' } },
        { callId: 'call_2', name: 'lookup_order', arguments: 'not JSON', error: 'bad arguments' },
      ],
    });
    const row = id.slice('agt_'.length);
    const stored = await graph.db.message.findUnique({
      where: { id: message.id.slice('msg_'.length) },
      include: { toolCalls: { orderBy: { index: 'asc' } } },
    });
    expect(stored?.routingDecision).toEqual({
      rootAgentId: row,
      selectedAgentIds: [row],
      selectedTools: ['x'],
      confidence: 0.5,
      reasoning: 'because',
      alternatives: [],
    });
    expect(stored?.toolCalls).toMatchObject([
      { callId: 'call_1', index: 0, result: { status: 'shipped' }, status: 'SUCCEEDED', error: null },
      { callId: 'call_2', index: 1, arguments: 'not JSON', result: null, status: 'FAILED', error: 'bad arguments' },
    ]);
  });

  test('createMessage links a run of the same conversation, and no other', async () => {
    const conversationId = await begin();
    const other = await begin();
    const message = await say(conversationId, 'Hi');
    const run = await graph.db.run.create({
      data: {
        tenantId: 'acme',
        userId: 'alice',
        conversationId: conversationId.slice('conv_'.length),
        number: 1,
        status: 'COMPLETED',
        idempotencyKey: 'k',
        payloadHash: 'h',
        input: {},
        userMessageId: message.id.slice('msg_'.length),
      },
    });
    const runId = `run_${run.id}`;
    expect(await say(conversationId, 'Ho', { role: 'ASSISTANT', runId })).toMatchObject({ source: 'CHAT' });
    const code = async (viewer: TestViewer, input: Record<string, unknown>) =>
      (await graph.query(viewer, create, { input: { role: 'USER', content: 'x', ...input } })).errors[0];
    expect(await code(alice, { conversationId: other, runId })).toMatchObject({
      code: 'BAD_USER_INPUT',
      path: ['input', 'runId'],
    });
    expect(await code(alice, { conversationId, runId: `run_${randomUUID()}` })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await code(bob, { conversationId: await begin(bob), runId })).toMatchObject({ code: 'FORBIDDEN' });
  });

  const attachment = { name: 'a', type: 'image/png', url: 'https://x.test/', size: 1 };
  test.each<[string, Record<string, unknown>, (string | number)[]]>([
    ['empty content', { content: '' }, ['content']],
    ['100,001 characters', { content: 'x'.repeat(100_001) }, ['content']],
    ['U+0000', { content: 'a\u0000b' }, ['content']],
    ['a lone surrogate', { content: 'a\udc00' }, ['content']],
    ['21 attachments', { attachments: Array.from({ length: 21 }, () => attachment) }, ['attachments']],
    ['a javascript: URL', { attachments: [{ ...attachment, url: 'javascript:alert(1)' }] }, ['attachments', 0, 'url']],
    ['no URL', { attachments: [attachment, { ...attachment, url: 'a.png' }] }, ['attachments', 1, 'url']],
    ['a negative size', { attachments: [{ ...attachment, size: -1 }] }, ['attachments', 0, 'size']],
    ['a nameless file', { attachments: [{ ...attachment, name: '' }] }, ['attachments', 0, 'name']],
    [
      'a tool call without its id',
      { role: 'ASSISTANT', toolCalls: [{ name: 'n', arguments: '' }] },
      ['toolCalls', 0, 'callId'],
    ],
    [
      'an open tool call',
      { role: 'ASSISTANT', toolCalls: [{ callId: 'c', name: 'n', arguments: '', status: 'RUNNING' }] },
      ['toolCalls', 0, 'status'],
    ],
    [
      'the same call twice',
      {
        role: 'ASSISTANT',
        toolCalls: [
          { callId: 'c', name: 'n', arguments: '' },
          { callId: 'c', name: 'n', arguments: '' },
        ],
      },
      ['toolCalls', 1, 'callId'],
    ],
    ...[
      ['U+0000 in a result', 'a\u0000b'],
      ['a lone surrogate in a result', ['\ud800']],
      ['a lone surrogate in a key of a result', { '\ud800': 1 }],
      ['a result of 200 kB', 'x'.repeat(200_000)],
      ['a result nested 300 deep', JSON.parse('['.repeat(300) + ']'.repeat(300))],
    ].map(
      ([what, result]) =>
        [
          String(what),
          { role: 'ASSISTANT', toolCalls: [{ callId: 'c', name: 'n', arguments: '', result }] },
          ['toolCalls', 0, 'result'],
        ] satisfies [string, Record<string, unknown>, (string | number)[]],
    ),
    ['tool calls of a user', { toolCalls: [{ callId: 'c', name: 'n', arguments: '' }] }, ['toolCalls']],
    ['a decision without a reason', { routingDecision: { confidence: 1 } }, ['routingDecision', 'reasoning']],
    ['a confidence of 2', { routingDecision: { confidence: 2, reasoning: '' } }, ['routingDecision', 'confidence']],
    [
      'an agent that is none',
      { routingDecision: { confidence: 1, reasoning: '', selectedAgents: ['x'] } },
      ['routingDecision', 'selectedAgents', 0],
    ],
  ])('createMessage refuses %s, names it and writes nothing', async (_what, input, path) => {
    const conversationId = await begin();
    const { data, errors } = await graph.query(alice, create, {
      input: { conversationId, role: 'USER', content: 'x', ...input },
    });
    expect(data).toBeNull();
    expect(errors).toEqual([expect.objectContaining({ code: 'BAD_USER_INPUT', path: ['input', ...path] })]);
    const row = conversationId.slice('conv_'.length);
    expect(await graph.db.message.count({ where: { conversationId: row } })).toBe(0);
    expect((await graph.db.conversation.findUnique({ where: { id: row } }))?.messageCount).toBe(0);
  });

  test('createMessage accepts 100,000 characters, counted as characters', async () => {
    const content = '😀'.repeat(100_000);
    expect((await say(await begin(), content)).content).toBe(content);
  });

  test('createMessage is refused in a conversation of somebody else and in one that does not exist', async () => {
    const conversationId = await begin();
    const code = async (viewer: TestViewer, id: string) =>
      (await graph.query(viewer, create, { input: { conversationId: id, role: 'USER', content: 'x' } })).errors[0]
        ?.code;
    expect(await code(bob, conversationId)).toBe('FORBIDDEN');
    expect(await code(await graph.viewer('alice', 'elsewhere'), conversationId)).toBe('FORBIDDEN');
    expect(await code(alice, `conv_${randomUUID()}`)).toBe('NOT_FOUND');
    expect(await code(alice, 'x')).toBe('BAD_USER_INPUT');
  });

  test('50 calls of createMessage at the same time take positions without gaps', async () => {
    const conversationId = await begin();
    await Promise.all(Array.from({ length: 50 }, (_, index) => say(conversationId, `Message ${index}`)));
    const rows = await graph.db.message.findMany({
      where: { conversationId: conversationId.slice('conv_'.length) },
      orderBy: { position: 'asc' },
      select: { position: true },
    });
    expect(rows.map((row) => row.position)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
  });

  test('createMessage takes five statements: who guards the conversation, BEGIN, the position, the row, COMMIT', async () => {
    const conversationId = await begin();
    const { statements } = await graph.query(
      alice,
      'mutation ($id: ID!) { createMessage(input: { conversationId: $id, role: USER, content: "x" }) { id } }',
      { id: conversationId },
    );
    expect(statements).toBe(5);
  });
});

describe('a message', () => {
  const document = `query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $order: OrderDirection) {
    conversation(id: $id) {
      messages(first: $first, after: $after, last: $last, before: $before, order: $order) {
        totalCount edges { cursor node { content } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }`;
  interface MessagePage {
    totalCount: number;
    edges: { cursor: string; node: { content: string } }[];
    pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null };
  }
  let id: string;
  const read = async (variables: Record<string, unknown>): Promise<MessagePage> => {
    const { data, errors } = await graph.query(alice, document, { id, ...variables });
    expect(errors).toEqual([]);
    return data.conversation.messages;
  };
  const contents = (page: MessagePage) => page.edges.map((edge) => edge.node.content);

  beforeAll(async () => {
    id = await begin();
    for (let index = 1; index <= 7; index += 1) await say(id, `m${index}`);
  });

  test.each(['ASC', 'DESC'])('Messages are paged forwards and backwards, %s', async (order) => {
    const whole = contents(await read({ order }));
    expect(whole).toEqual(order === 'ASC' ? whole.toSorted() : whole.toSorted().reverse());
    const forwards: string[] = [];
    let after: string | null = null;
    for (let more = true; more; ) {
      const page: MessagePage = await read({ order, first: 3, after });
      expect(page).toMatchObject({ totalCount: 7, pageInfo: { hasPreviousPage: after !== null } });
      forwards.push(...contents(page));
      more = page.pageInfo.hasNextPage;
      after = page.pageInfo.endCursor;
    }
    expect(forwards).toEqual(whole);
    const backwards: string[] = [];
    let before: string | null = null;
    for (let more = true; more; ) {
      const page: MessagePage = await read({ order, last: 3, before });
      expect(page.pageInfo.hasNextPage).toBe(before !== null);
      backwards.unshift(...contents(page));
      more = page.pageInfo.hasPreviousPage;
      before = page.pageInfo.startCursor;
    }
    expect(backwards).toEqual(whole);
  });

  test('A page of small messages takes one statement, with its conversation', async () => {
    const { statements } = await graph.query(alice, document, { id, first: 3 });
    expect(statements).toBe(1);
  });

  test('Pages of messages of many conversations take at most two more statements: one with the sizes and the small ones, one for the long ones', async () => {
    const { data, errors, statements } = await graph.query(
      alice,
      '{ conversations(first: 20) { edges { node { messages(first: 2) { totalCount pageInfo { hasNextPage } edges { node { content agent { name } } } } } } } }',
    );
    expect(errors).toEqual([]);
    expect(data.conversations.edges.length).toBeGreaterThan(5);
    expect(statements).toBe(2 + 2);
  });

  test('A page of messages has at most 500, and refuses the cursors of other lists', async () => {
    expect(contents(await read({ first: 500 }))).toHaveLength(7);
    const other = await begin();
    await say(other, 'x');
    const foreign = (await graph.query(alice, document, { id: other })).data.conversation.messages.edges[0].cursor;
    const own = (await read({ first: 1 })).edges[0]?.cursor;
    for (const [variables, path] of [
      [{ first: 501 }, ['first']],
      [{ first: 1, last: 1 }, ['last']],
      [{ after: 'x' }, ['after']],
      [{ after: foreign }, ['after']],
      [{ after: own, order: 'DESC' }, ['after']],
    ] as const) {
      const { errors } = await graph.query(alice, document, { id, ...variables });
      expect(errors).toEqual([expect.objectContaining({ code: 'BAD_USER_INPUT', path })]);
    }
  });
});

describe('message', () => {
  const document = 'query ($id: ID!) { message(id: $id) { id content conversation { title } } }';

  test('A message is read by its owner alone', async () => {
    const { id } = await say(await begin(alice, 'T'), 'secret');
    expect((await graph.query(alice, document, { id })).data.message).toEqual({
      id,
      content: 'secret',
      conversation: { title: 'T' },
    });
    for (const viewer of [bob, await graph.viewer('alice', 'elsewhere')]) {
      const { data, errors } = await graph.query(viewer, document, { id });
      expect(data).toEqual({ message: null });
      expect(errors[0]?.code).toBe('FORBIDDEN');
    }
    expect((await graph.query(alice, document, { id: `msg_${randomUUID()}` })).errors[0]?.code).toBe('NOT_FOUND');
    expect((await graph.query(alice, document, { id: `conv_${randomUUID()}` })).errors[0]?.code).toBe('BAD_USER_INPUT');
  });

  test('A message has a preview of any length from 1 to 1,000', async () => {
    const { id } = await say(await begin(), 'word '.repeat(400));
    const preview = async (length: number) =>
      graph.query(alice, 'query ($id: ID!, $length: Int) { message(id: $id) { preview(length: $length) } }', {
        id,
        length,
      });
    expect((await preview(9)).data.message.preview).toBe('word wor…');
    expect((await preview(1_000)).data.message.preview).toHaveLength(1_000);
    for (const length of [0, -1, 1_001]) {
      expect((await preview(length)).errors).toEqual([
        expect.objectContaining({ code: 'BAD_USER_INPUT', path: ['length'] }),
      ]);
    }
  });
});

describe('titles and previews', () => {
  test.each([
    ['Hello there', 'Hello there'],
    ['  Hello \n\n there\t', 'Hello there'],
    ['', 'New conversation'],
    [' \n ', 'New conversation'],
    ['\u0007\u001b', 'New conversation'],
    [`${'word '.repeat(12)}end`, `${'word '.repeat(12).trimEnd().slice(0, 59)}…`],
    ['x'.repeat(61), `${'x'.repeat(59)}…`],
    ['x'.repeat(60), 'x'.repeat(60)],
  ])('A conversation that begins with %j is titled %j', (content, title) => {
    expect(makeTitle(content)).toBe(title);
  });

  test('Titles and previews never split what a person sees as one character, and fit the column', () => {
    const family = '👩‍👩‍👧‍👦';
    for (const content of [
      family.repeat(100),
      '😀'.repeat(100),
      'é'.normalize('NFD').repeat(100),
      `a${'\u0301'.repeat(500)} b`,
    ]) {
      const title = makeTitle(content);
      expect(title.isWellFormed()).toBe(true);
      expect([...title].length).toBeGreaterThan(0);
      expect([...title].length).toBeLessThanOrEqual(200);
    }
    expect(makeTitle(family.repeat(100))).toBe(`${family.repeat(28)}…`);
    expect(makePreview(family.repeat(5), 3)).toBe(`${family.repeat(2)}…`);
    expect(makePreview(family.repeat(3), 3)).toBe(family.repeat(3));
    expect(makePreview('ab', 1)).toBe('…');
    // Made of the beginning alone, or of all: the same text either way.
    expect(makePreview(`${' '.repeat(5_000)}a${' '.repeat(5_000)}b`, 10)).toBe('a b');
    expect(makePreview(`e${'\u0301'.repeat(2_000)}x`, 1)).toBe('…');
    expect(makePreview(`e${'\u0301'.repeat(2_000)}x`, 2)).toBe(`e${'\u0301'.repeat(2_000)}x`);
    expect(makePreview(`${'a'.repeat(9)}\u0301${'b'.repeat(100)}`, 9)).toBe(`${'a'.repeat(8)}…`);
    expect(makePreview(`${family.repeat(9)}${'b'.repeat(100)}`, 10)).toBe(`${family.repeat(9)}…`);
  });
});

test('A title from the input stays, and an untitled conversation waits for the first user message with text', async () => {
  const given = await begin(alice, 'Given');
  expect((await say(given, 'Hello')).conversation.title).toBe('Given');
  const open = await begin();
  expect((await say(open, 'I am an agent', { role: 'ASSISTANT' })).conversation.title).toBe('New conversation');
  expect((await say(open, ' \n ')).conversation.title).toBe('New conversation');
  expect((await say(open, 'Now then')).conversation.title).toBe('Now then');
  expect((await say(open, 'And more')).conversation.title).toBe('Now then');
});
