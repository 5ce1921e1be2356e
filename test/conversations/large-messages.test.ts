import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';

const page = `query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  conversation(id: $id) {
    messages(first: $first, after: $after, last: $last, before: $before) {
      edges { node { content } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}`;
const create = 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }';

test('Messages larger than an answer are read page by page in both directions, wherever small ones are between them', async () => {
  await using app = await startTestApp({ env: { MAX_ANSWER_BYTES: '100000' } });
  const { data } = await app.query('mutation { createConversation { id } }');
  const id = data.createConversation.id;
  // Two bytes a character.
  const contents = ['small 1', 'é'.repeat(90_000), 'ö'.repeat(80_000), 'small 2', 'ü'.repeat(70_000), 'small 3'];
  for (const content of contents) {
    const input = { conversationId: id, role: 'USER', content };
    expect((await app.query(create, { input })).errors).toEqual([]);
  }
  const forwards: string[] = [];
  for (let [after, more] = [null, true]; more; ) {
    const { data, errors } = await app.query(page, { id, first: 10, after });
    expect(errors).toEqual([]);
    const { edges, pageInfo } = data.conversation.messages;
    forwards.push(...edges.map((edge: { node: { content: string } }) => edge.node.content));
    [after, more] = [pageInfo.endCursor, pageInfo.hasNextPage];
  }
  expect(forwards.map((content) => content.slice(0, 7))).toEqual(contents.map((content) => content.slice(0, 7)));
  const backwards: string[] = [];
  for (let [before, more] = [null, true]; more; ) {
    const { data, errors } = await app.query(page, { id, last: 10, before });
    expect(errors).toEqual([]);
    const { edges, pageInfo } = data.conversation.messages;
    backwards.unshift(...edges.map((edge: { node: { content: string } }) => edge.node.content));
    [before, more] = [pageInfo.startCursor, pageInfo.hasPreviousPage];
  }
  expect(backwards).toEqual(forwards);
});
