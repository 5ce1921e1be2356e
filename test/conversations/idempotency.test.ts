import { describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';

const app = shareApp();

const createConversation =
  'mutation ($input: CreateConversationInput) { it: createConversation(input: $input) { id title } }';
const createMessage = 'mutation ($input: CreateMessageInput!) { it: createMessage(input: $input) { id content } }';

const create = (document: string, input: object, token?: string) =>
  app.query(document, { input }, token === undefined ? {} : { token });
const startConversation = async (): Promise<string> => (await create(createConversation, {})).data.it.id;

describe('An idempotency key of createConversation', () => {
  test('Ten concurrent requests with the same key create one conversation and count it once.', async () => {
    const token = await app.token({ sub: 'carol' });
    const input = { title: 'Once', idempotencyKey: 'k' };
    const answers = await Promise.all(Array.from({ length: 10 }, () => create(createConversation, input, token)));
    expect(answers.flatMap(({ errors }) => errors)).toEqual([]);
    expect(new Set(answers.map(({ data }) => data.it.id)).size).toBe(1);
    const list = await app.query('{ conversations { totalCount edges { node { title } } } }', {}, { token });
    expect(list.data.conversations).toEqual({ totalCount: 1, edges: [{ node: { title: 'Once' } }] });
  });

  test('The same key with another input is CONFLICT; for another user it is another key.', async () => {
    const first = await create(createConversation, { title: 'One', idempotencyKey: 'shared' });
    expect(first.errors).toEqual([]);
    const conflict = await create(createConversation, { title: 'Two', idempotencyKey: 'shared' });
    expect(conflict.errors).toMatchObject([{ extensions: { code: 'CONFLICT' } }]);
    const other = await create(
      createConversation,
      { title: 'Two', idempotencyKey: 'shared' },
      await app.token({ sub: 'bob' }),
    );
    expect(other.errors).toEqual([]);
    expect(other.data.it.id).not.toBe(first.data.it.id);
  });

  test.each(['', 'x'.repeat(256)])('A key of %j is refused.', async (idempotencyKey) => {
    const { errors } = await create(createConversation, { idempotencyKey });
    expect(errors).toMatchObject([
      { message: expect.stringContaining('input.idempotencyKey'), extensions: { code: 'BAD_USER_INPUT' } },
    ]);
  });
});

describe('An idempotency key of createMessage', () => {
  test('Ten concurrent requests with the same key create one message.', async () => {
    const conversationId = await startConversation();
    const input = { conversationId, role: 'USER', content: 'Once', idempotencyKey: 'k' };
    const answers = await Promise.all(Array.from({ length: 10 }, () => create(createMessage, input)));
    expect(answers.flatMap(({ errors }) => errors)).toEqual([]);
    expect(new Set(answers.map(({ data }) => data.it.id)).size).toBe(1);
    const read = await app.query(
      'query ($id: ID!) { conversation(id: $id) { messageCount messages { edges { node { content } } } } }',
      { id: conversationId },
    );
    expect(read.data.conversation).toEqual({ messageCount: 1, messages: { edges: [{ node: { content: 'Once' } }] } });
  });

  test('The same key with another input is CONFLICT; in another conversation it is another key.', async () => {
    const [conversationId, otherId] = [await startConversation(), await startConversation()];
    const input = { conversationId, role: 'USER', content: 'One', idempotencyKey: 'k' };
    expect((await create(createMessage, input)).errors).toEqual([]);
    const conflict = await create(createMessage, { ...input, content: 'Two' });
    expect(conflict.errors).toMatchObject([{ extensions: { code: 'CONFLICT' } }]);
    expect((await create(createMessage, { ...input, conversationId: otherId })).errors).toEqual([]);
  });

  test('The key of another user’s message does not lead to it.', async () => {
    const conversationId = await startConversation();
    const input = { conversationId, role: 'USER', content: 'Mine', idempotencyKey: 'k' };
    expect((await create(createMessage, input)).errors).toEqual([]);
    const { errors } = await create(createMessage, input, await app.token({ sub: 'bob' }));
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });
});
