import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';

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

test('Lists that are asked for whole are bounded by what they have, not by what their cost supposes', async () => {
  await using app = await startTestApp({
    env: { MAX_ANSWER_BYTES: '100000' },
    steps: [{ text: 'One.' }, { text: 'Two.' }],
  });
  const chat = await openChat(app);
  for (const key of ['one', 'two']) {
    const input = { conversationId: chat.conversationId, content: 'Go', idempotencyKey: key };
    await chat.ask(documents.sendMessage, { input });
  }
  const { db } = app.app;
  const runs = await db.run.findMany();
  const { agentId } = await db.message.findFirstOrThrow({ where: { agentId: { not: null } } });
  if (agentId === null) throw new Error('No agent has answered.');
  for (const { id: runId, tenantId, conversationId } of runs) {
    const rows = Array.from({ length: 150 }, (_none, step) => ({ tenantId, runId, step, callId: `call ${step}` }));
    await db.handoff.createMany({
      data: rows.slice(0, 100).map((row) => ({ ...row, fromAgentId: agentId, toAgentId: agentId, at: new Date() })),
    });
    await db.toolCall.createMany({
      data: rows.map((row) => ({
        ...row,
        conversationId,
        index: 0,
        name: 'x',
        arguments: '{}',
        status: 'SUCCEEDED',
        agentId,
      })),
    });
  }
  const ask = async (fields: string, count: number) => {
    const selections = runs.slice(0, count).map(({ id }, index) => `r${index}: run(id: "run_${id}") { ${fields} }`);
    const { errors } = await app.query(`{ ${selections.join(' ')} }`, {}, chat);
    return errors[0]?.extensions.code ?? null;
  };
  // 512 bytes a row, of 100,000.
  expect([await ask('handoffs { toAgent { id } }', 1), await ask('toolCalls { name }', 1)]).toEqual([null, null]);
  expect(await ask('handoffs { toAgent { id } }', 2)).toBe('QUERY_TOO_COMPLEX');
  expect(await ask('toolCalls { name }', 2)).toBe('QUERY_TOO_COMPLEX');
  expect(await ask('toolCalls(first: 10) { name }', 2)).toBeNull();
});
