import { type ExecutionResult, execute, parse, validate } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatId } from '../../src/api/ids.ts';
import { schema } from '../../src/boot/schema.ts';
import { MessageStatus } from '../../src/generated/prisma/client.ts';
import { executePlain } from '../../src/graphql/plain-query.ts';
import { AnswerBytes } from '../../src/limits/answer-bytes.ts';
import { type Graph, openAnswers, openGraph } from '../support/app.ts';
import { makeTestContext } from '../support/context.ts';

// Lists and pages that are read without resolvers, compared with what graphql-js and the resolvers make of the same documents.

let graph: Graph;
/** Row ids: the conversation with messages, an empty one, and one of bob's. */
let [full, empty, other] = ['', '', ''];

/** Contents whose previews are found in each way: whole, of the beginning, and only in the whole content. */
const contents = [
  'short',
  'word '.repeat(300),
  ' \n'.repeat(700) + 'x'.repeat(300),
  '👩‍👩‍👧‍👦 é '.repeat(90),
  '"\u0001\\',
  '',
];

const statuses = Object.values(MessageStatus);

beforeAll(async () => {
  graph = await openGraph();
  for (const userId of ['alice', 'bob']) await graph.viewer(userId);
  const add = async (userId: string, title: string, hour: number, texts: readonly string[]) => {
    const at = new Date(Date.UTC(2026, 0, 1, hour, 0, 0, 120));
    const { id } = await graph.db.conversation.create({
      data: { tenantId: 'acme', userId, title, createdAt: at, updatedAt: at, messageCount: texts.length },
    });
    for (const [index, content] of texts.entries()) {
      await graph.db.message.create({
        data: {
          tenantId: 'acme',
          conversationId: id,
          position: index + 1,
          role: index % 2 === 0 ? 'USER' : 'ASSISTANT',
          status: statuses[(index + hour) % statuses.length] ?? 'COMPLETE',
          finishReason: index % 2 === 0 ? null : 'CANCELLED',
          content,
          createdAt: new Date(Date.UTC(2026, 0, 1, hour, 0, index, index * 7)),
        },
      });
    }
    return id;
  };
  full = await add(
    'alice',
    'Ä "full" one',
    9,
    Array.from({ length: 12 }, (_, index) => contents[index % contents.length] ?? ''),
  );
  empty = await add('alice', 'empty', 8, []);
  other = await add('bob', 'of bob', 7, ['hi']);
  for (const [index, content] of contents.entries()) await add('alice', `Conversation ${index}`, index, [content]);
  await graph.db.user.updateMany({ where: { id: 'alice' }, data: { conversationCount: contents.length + 2 } });
});
afterAll(async () => graph[Symbol.asyncDispose]());

type Variables = Readonly<Record<string, unknown>>;

function makeContext(userId: string | null = 'alice', answers = openAnswers()) {
  return makeTestContext(graph.app.app, userId === null ? null : { userId, tenantId: 'acme' }, { answers });
}

/** What the plain way makes of a document, as JSON; null: it leaves it to the executor. */
async function answerPlainly(source: string, variableValues: Variables = {}, context = makeContext()) {
  const document = parse(source);
  expect(validate(schema, document)).toEqual([]);
  const args = { schema, document, variableValues, contextValue: context };
  const first = await executePlain(args, context);
  // The second time, what was compiled is remembered.
  const again = await executePlain(args, context);
  expect(toText(again)).toBe(toText(first));
  return first && toText(first);
}

async function answerByTheBook(source: string, variableValues: Variables = {}, contextValue = makeContext()) {
  return toText(await execute({ schema, document: parse(source), variableValues, contextValue }));
}

/** In the order of the fields. The order of `data` and `errors` says nothing. */
function toText(result: ExecutionResult | null): string {
  return JSON.stringify({ data: result?.data, errors: result?.errors });
}

const ofConversation = '__typename id userId title messageCount isArchived isPinned createdAt updatedAt';
const ofLast = '__typename id role status finishReason preview source position createdAt';
const connectionOf = (node: string) =>
  `__typename totalCount pageInfo { __typename hasNextPage hasPreviousPage startCursor endCursor } edges { __typename cursor node { ${node} } }`;
const list = `{ conversations { ${connectionOf(`${ofConversation} lastMessage { ${ofLast} }`)} } }`;
const page = `query ($id: ID!, $first: Int, $last: Int, $after: String, $before: String, $order: OrderDirection) {
  conversation(id: $id) { ${ofConversation} messages(first: $first, last: $last, after: $after, before: $before, order: $order) {
    ${connectionOf(`${ofLast} content`)} } } }`;
const idOf = (row: string) => formatId('Conversation', row);

describe('documents of what rows hold', () => {
  test.each<[string, string, Variables?]>([
    ['every field of a list', list],
    ['one field', '{ conversations { totalCount } }'],
    ['no total and no messages', '{ conversations(first: 2) { edges { node { title } } } }'],
    [
      'a search',
      'query ($s: String) { conversations(search: $s) { totalCount edges { node { title } } } }',
      { s: 'CONV' },
    ],
    ['a search that finds nothing', '{ conversations(search: "zzz") { totalCount edges { node { id } } } }'],
    ['archived ones, of which there are none', `{ conversations(isArchived: true) { ${connectionOf('id')} } }`],
    [
      'all that are not pinned',
      `query ($a: Boolean) { conversations(isArchived: $a, isPinned: false) { ${connectionOf('id')} } }`,
      { a: null },
    ],
    ['an empty page', `{ conversations(first: 0) { ${connectionOf('id')} } }`],
    [
      'an order and the end of a list',
      `query ($o: ConversationOrder) { conversations(last: 3, orderBy: $o) { ${connectionOf('id title')} } }`,
      { o: { field: 'TITLE', direction: 'ASC' } },
    ],
    [
      'aliases',
      '{ a: conversations { n: totalCount e: edges { o: node { i: id j: id last: lastMessage { p: preview } lastMessage { role } } } } }',
    ],
    [
      'aliases that objects have',
      '{ constructor: conversations { toString: totalCount edges { hasOwnProperty: node { id } } } }',
    ],
    [
      'the same field twice',
      '{ conversations { totalCount totalCount edges { node { id } } } conversations { edges { node { id title } } } }',
    ],
    [
      'fragments',
      `{ ...Q } fragment Q on Query { conversations { edges { ...E node { ...N } } } } fragment E on ConversationEdge { cursor }
       fragment N on Node { id ... on Conversation { title lastMessage { ...M } } ... on Message { content } } fragment M on Message { role ... { status } }`,
    ],
  ])('A list is answered as the executor answers it: %s', async (_title, source, variables) => {
    expect(await answerPlainly(source, variables)).toBe(await answerByTheBook(source, variables));
  });

  test.each([true, false, null])('Directives apply: %s', async (i) => {
    const source = `query ($i: Boolean = true) { conversations { totalCount @skip(if: $i) edges { node { id @include(if: $i)
      ... @skip(if: $i) { title } ...F @include(if: $i) } } } } fragment F on Conversation { lastMessage { preview @skip(if: $i) role } }`;
    const plain = await answerPlainly(source, { i });
    // The executor reports the error.
    if (i === null) expect(plain).toBeNull();
    else expect(plain).toBe(await answerByTheBook(source, { i }));
  });

  test('A page of a conversation is answered as the executor answers it, in both directions and at each cursor', async () => {
    const whole = await graph.query(await graph.viewer('alice'), page, { id: idOf(full), first: 500 });
    const cursors: (string | null)[] = whole.data.conversation.messages.edges.map(
      ({ cursor }: { cursor: string }) => cursor,
    );
    const sizes = [{}, { first: 0 }, { first: 5 }, { last: 5 }, { last: 100 }];
    const ends = [
      {},
      { after: cursors[3] },
      { before: cursors[8] },
      { after: cursors[3], before: cursors[8] },
      { after: cursors.at(-1) },
    ];
    for (const order of ['ASC', 'DESC', undefined]) {
      for (const size of sizes) {
        for (const range of ends) {
          const variables = { id: idOf(full), order, ...size, ...range };
          expect(await answerPlainly(page, variables)).toBe(await answerByTheBook(page, variables));
        }
      }
    }
  });

  test('A conversation without messages, or without any asked for, is answered as the executor answers it', async () => {
    const alone = `query ($id: ID!) { c: conversation(id: $id) { ${ofConversation} } }`;
    for (const source of [page, alone]) {
      for (const row of [full, empty]) {
        expect(await answerPlainly(source, { id: idOf(row) })).toBe(await answerByTheBook(source, { id: idOf(row) }));
      }
    }
  });
});

describe('requests that fail', () => {
  const missing = '00000000-0000-4000-8000-00000000dead';
  test.each<[string, string, () => Variables]>([
    ['somebody else’s conversation', page, () => ({ id: idOf(other) })],
    ['a conversation that does not exist', page, () => ({ id: idOf(missing) })],
    ['a malformed id', page, () => ({ id: 'conv_1' })],
    ['a page that is too long', page, () => ({ id: idOf(full), first: 501 })],
    ['a page that is too long, of somebody else’s', page, () => ({ id: idOf(other), first: 501 })],
    ['both directions', page, () => ({ id: idOf(full), first: 1, last: 1 })],
    ['a cursor of another list', page, () => ({ id: idOf(full), after: 'nonsense' })],
    ['a list that is too long', '{ a: conversations(first: 101) { totalCount } }', () => ({})],
    ['a cursor of another order', '{ conversations(after: "x") { totalCount } }', () => ({})],
    ['a search for nothing', '{ conversations(search: "") { totalCount } }', () => ({})],
  ])('The error is that of the executor: %s', async (_title, source, variables) => {
    const plain = await answerPlainly(source, variables());
    expect(plain).toContain('"errors":[{');
    expect(plain).toBe(await answerByTheBook(source, variables()));
  });

  test('Variables that are wrong or absent, and viewers that are nobody, are left to the executor', async () => {
    expect(await answerPlainly(page, {})).toBeNull();
    expect(await answerPlainly(page, { id: idOf(full), first: 'many' })).toBeNull();
    expect(await answerPlainly(list, {}, makeContext(null))).toBeNull();
  });

  test('Nobody sees what is another user’s', async () => {
    expect(await answerPlainly(list, {}, makeContext('bob'))).toBe(await answerByTheBook(list, {}, makeContext('bob')));
    expect(await answerPlainly(list, {}, makeContext('bob'))).not.toContain('full');
  });

  test('An answer that repeats texts until it is too large is refused', async () => {
    const answers = () => new AnswerBytes({ operation: 20_000, user: 1e6, tenant: 1e6, process: 1e6 });
    const copies = Array.from({ length: 25 }, (_, index) => `c${index}: content`).join(' ');
    const source = `query ($id: ID!) { conversation(id: $id) { messages { edges { node { ${copies} } } } } }`;
    const plain = await answerPlainly(source, { id: idOf(full) }, makeContext('alice', answers()));
    expect(plain).toContain('The answer would have more than 20,000 bytes.');
    expect(plain).toContain('"data":{"conversation":null}');
  });
});

describe('what is left to the executor', () => {
  test.each([
    '{ viewer { userId } }',
    '{ conversations { totalCount } viewer { userId } }',
    '{ conversations { edges { node { messages { totalCount } } } } }',
    '{ conversations { edges { node { lastMessage { content } } } } }',
    '{ conversations { edges { node { lastMessage { preview(length: 5) } } } } }',
    '{ conversations { edges { node { lastMessage { agent { name } } } } } }',
    '{ conversations { edges { node { scenario { name } } } } }',
    '{ __proto__: conversations { totalCount } }',
    '{ conversations { __proto__: totalCount } }',
    '{ __typename }',
    'mutation { createConversation { id } }',
  ])('The executor answers %s', async (source) => {
    expect(await answerPlainly(source)).toBeNull();
  });

  test('Two pages of the messages of one conversation', async () => {
    const two =
      'query ($id: ID!) { conversation(id: $id) { messages { totalCount } b: messages(first: 1) { totalCount } } }';
    expect(await answerPlainly(two, { id: idOf(full) })).toBeNull();
  });
});

test('Documents that are made at random are answered as the executor answers them', async () => {
  let seed = 20261128;
  const roll = (sides: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * sides);
  };
  const leavesOf: Readonly<Record<string, readonly string[]>> = {
    Conversation: ofConversation.split(' '),
    Message: [...ofLast.split(' ').filter((name) => name !== 'preview'), 'preview'],
    PageInfo: ['hasNextPage', 'hasPreviousPage', 'startCursor', 'endCursor', '__typename'],
  };
  let aliases = 0;
  const wrap = (type: string, selection: string) =>
    [
      selection,
      `... on ${type} { ${selection} }`,
      `... @include(if: $yes) { ${selection} }`,
      `... @skip(if: $yes) { ${selection} }`,
    ][roll(4)] ?? '';
  const alias = () => (roll(3) === 0 ? `x${aliases++}: ` : '');
  const leaves = (type: string) => {
    const names = leavesOf[type] ?? [];
    const some = Array.from({ length: 1 + roll(4) }, () => `${alias()}${names[roll(names.length)]}`);
    return `__typename ${wrap(type, some.join(' '))}`;
  };
  const nodes = (type: string, more: string) =>
    `${alias()}edges { ${alias()}cursor ${wrap(`${type}Edge`, `node { ${leaves(type)} ${more} }`)} __typename } pageInfo { ${leaves('PageInfo')} } totalCount`;
  for (let count = 0; count < 60; count++) {
    const size = `${['first', 'last'][roll(2)]}: ${roll(9)}`;
    const source =
      roll(2) === 0
        ? `query ($id: ID, $yes: Boolean!) { u: conversations(${size}) { ${nodes('Conversation', `${alias()}lastMessage { ${leaves('Message')} }`)} } ...U } fragment U on Query { u: conversations(${size}) { __typename @skip(if: $yes) } } `
        : `query ($id: ID!, $yes: Boolean!) { conversation(id: $id) { ${leaves('Conversation')} messages(${size}) { ${nodes('Message', 'content')} } } }`;
    const used = source.includes('($id: ID, ') ? source.replace('$id: ID, ', '') : source;
    const variables = { id: idOf(full), yes: roll(2) === 0 };
    const plain = await answerPlainly(used, variables);
    expect(plain, used).toBe(await answerByTheBook(used, variables));
  }
});
