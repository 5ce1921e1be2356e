import { afterAll, beforeAll, expect, test } from 'vitest';
import { readMessagePages } from '../../src/conversations/message-page.ts';
import { readConversation } from '../../src/conversations/read.ts';
import { makePreview } from '../../src/conversations/text.ts';
import { AnswerBudget } from '../../src/limits/answer-budget.ts';
import { type Graph, openAnswers, openGraph, type TestViewer } from '../support/app.ts';

let graph: Graph;
let alice: TestViewer;
beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
});
afterAll(() => graph[Symbol.asyncDispose]());

const family = '👩‍👩‍👧‍👦';
/** What the last messages hold, the newest conversation first. */
const contents = [
  'Short.',
  'word '.repeat(200),
  `${' \n'.repeat(400)}The text comes late.`,
  ' '.repeat(300) + 'x'.repeat(300),
  family.repeat(150),
  `${family.repeat(10)} ${'é'.repeat(500)}`,
  '\u{1F600}'.repeat(401),
  'x'.repeat(400),
  'x'.repeat(401),
];

async function say(viewer: TestViewer, content: string) {
  const begun = await graph.query(viewer, 'mutation { createConversation { id } }');
  const conversationId: string = begun.data.createConversation.id;
  const document = 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }';
  for (const text of ['An earlier one.', content]) {
    const { errors } = await graph.query(viewer, document, { input: { conversationId, role: 'USER', content: text } });
    expect(errors).toEqual([]);
  }
}

beforeAll(async () => {
  for (const content of contents.toReversed()) await say(alice, content);
  await say(await graph.viewer('bob'), 'Of somebody else.');
  await graph.query(alice, 'mutation { createConversation { id } }');
});

const list = (selection: string) => `{ conversations(first: 50) { totalCount edges { node { ${selection} } } } }`;

test('A list of conversations with the count of all, of their messages and their previews takes one statement', async () => {
  const { data, errors, statements } = await graph.query(alice, list('id title messageCount lastMessage { preview }'));
  expect(errors).toEqual([]);
  expect(data.conversations.totalCount).toBe(contents.length + 1);
  // One more has to be looked at as a whole: its beginning is blank.
  expect(statements).toBe(2);
  const [empty, ...others] = data.conversations.edges.map(({ node }: { node: unknown }) => node);
  expect(empty).toMatchObject({ messageCount: 0, lastMessage: null });
  expect(others.map(({ lastMessage }: { lastMessage: { preview: string } }) => lastMessage.preview)).toEqual(
    contents.map((content) => makePreview(content, 100)),
  );
  await graph.query(alice, 'mutation { createConversation { id } }');
  const short = 'query { conversations(first: 3) { totalCount edges { node { title lastMessage { preview } } } } }';
  expect((await graph.query(alice, short)).statements).toBe(1);
});

test('Creating a conversation takes one statement, and so does reading it with a page of its messages', async () => {
  const created = await graph.query(await graph.viewer('carol'), 'mutation { createConversation { id } }');
  expect(created.statements).toBe(1);
  const { id } = created.data.createConversation;
  const document =
    'query ($id: ID!) { conversation(id: $id) { title messages(last: 100) { edges { node { content } } } } }';
  const carol = await graph.viewer('carol');
  expect((await graph.query(carol, document, { id })).statements).toBe(1);
  const input = { conversationId: id, role: 'USER', content: 'One.' };
  await graph.query(carol, 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }', { input });
  expect((await graph.query(carol, document, { id })).statements).toBe(1);
});

test('A document that selects the last message twice, or in fragments, gets all that it selects', async () => {
  const selection = 'a: lastMessage { preview } ...F ... on Conversation { lastMessage { role } }';
  const fragment = 'fragment F on Conversation { lastMessage { content attachments { name } } }';
  const { data, errors } = await graph.query(alice, `${list(selection)} ${fragment}`);
  expect(errors).toEqual([]);
  const nodes = data.conversations.edges.map(({ node }: { node: unknown }) => node).slice(-contents.length);
  expect(nodes).toEqual(
    contents.map((content) => ({
      a: { preview: makePreview(content, 100) },
      lastMessage: { content, attachments: [], role: 'USER' },
    })),
  );
});

test('What the list reads of a last message is what the message itself says', async () => {
  const fields = 'id role status finishReason preview source position createdAt agent { name }';
  const { data } = await graph.query(alice, list(`lastMessage { ${fields} }`));
  const messages = data.conversations.edges.flatMap(({ node }: { node: { lastMessage: { id: string } | null } }) =>
    node.lastMessage === null ? [] : [node.lastMessage],
  );
  expect(messages).toHaveLength(contents.length);
  for (const message of messages) {
    const own = await graph.query(alice, `query ($id: ID!) { message(id: $id) { ${fields} } }`, { id: message.id });
    expect(own.data.message).toEqual(message);
  }
});

test('The rows that statements by hand read are those of Prisma', async () => {
  const { db } = graph;
  const row = await db.conversation.findFirstOrThrow({ where: { userId: 'alice', messageCount: 2 } });
  const conversation = await readConversation(alice, db, `conv_${row.id}`);
  expect(conversation).toEqual(row);
  const answer = new AnswerBudget(openAnswers(), alice);
  const [page] = await readMessagePages(alice, { db, answer }, {}, [conversation], {});
  const rows = await db.message.findMany({ where: { conversationId: row.id }, orderBy: { position: 'asc' } });
  expect(page?.edges.map(({ node }) => node)).toEqual(rows.map((message) => ({ ...message, fits: true })));
});
