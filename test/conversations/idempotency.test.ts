import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { shareApp, startTestApp, type TestApp } from '../support/app.ts';
import { openNewUser } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';

const stack = new AsyncDisposableStack();
let databaseUrl = '';
const app = shareApp(async () => {
  databaseUrl = stack.use(await createTestDatabase()).url;
  return { databaseUrl };
});
afterAll(() => stack.disposeAsync());

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

describe('An id that the client chooses', () => {
  const freshId = () => `conv_${randomUUID()}`;
  const codes = ({ errors }: Awaited<ReturnType<typeof create>>) => errors.map(({ extensions }) => extensions.code);

  test('Ten concurrent requests with the same id create one conversation, which has the id', async () => {
    const token = await app.token({ sub: 'dave' });
    const input = { id: freshId(), title: 'Mine', scenarioKey: 'support' };
    const answers = await Promise.all(Array.from({ length: 10 }, () => create(createConversation, input, token)));
    expect(answers.flatMap(codes)).toEqual([]);
    expect(answers.map(({ data }) => data.it)).toEqual(answers.map(() => ({ id: input.id, title: 'Mine' })));
    const list = await app.query('{ conversations { totalCount } }', {}, { token });
    expect(list.data.conversations.totalCount).toBe(1);
  });

  test('The same id again is the conversation as it is now; another input is CONFLICT, and somebody else’s FORBIDDEN', async () => {
    const input = { id: freshId(), title: 'First' };
    expect(codes(await create(createConversation, input))).toEqual([]);
    const rename = 'mutation ($id: ID!) { updateConversation(id: $id, input: { title: "Renamed" }) { id } }';
    await app.query(rename, { id: input.id });
    expect((await create(createConversation, input)).data.it).toEqual({ id: input.id, title: 'Renamed' });
    expect(codes(await create(createConversation, { ...input, title: 'Other' }))).toEqual(['CONFLICT']);
    expect(codes(await create(createConversation, { ...input, idempotencyKey: 'k1' }))).toEqual([]);
    for (const claims of [{ sub: 'bob' }, { sub: 'alice', tenant: 'other' }])
      expect(codes(await create(createConversation, input, await app.token(claims)))).toEqual(['FORBIDDEN']);
    // A conversation whose id the server chose was created with no input of an id.
    expect(codes(await create(createConversation, { id: await startConversation() }))).toEqual(['CONFLICT']);
  });

  test('With a key as well, both name the same conversation', async () => {
    const [id, idempotencyKey] = [freshId(), randomUUID()];
    expect(codes(await create(createConversation, { id, idempotencyKey }))).toEqual([]);
    expect((await create(createConversation, { idempotencyKey })).data.it.id).toBe(id);
    expect((await create(createConversation, { id, idempotencyKey })).data.it.id).toBe(id);
    expect(codes(await create(createConversation, { id: freshId(), idempotencyKey }))).toEqual(['CONFLICT']);
  });

  test.each(['', 'conv_1', randomUUID(), `msg_${randomUUID()}`, `conv_${randomUUID().toUpperCase()}`])(
    'An id of %j is refused',
    async (id) => {
      const { errors } = await create(createConversation, { id });
      expect(errors).toMatchObject([
        { message: expect.stringContaining('input.id'), extensions: { code: 'BAD_USER_INPUT' } },
      ]);
    },
  );
});

describe('newConversation of a turn', () => {
  const send = `mutation ($input: ChatTurnInput!) { it: sendMessage(input: $input) {
    id status conversation { id title messageCount scenario { key } activeAgent { name } } } }`;
  const turn = (input: object = {}) => ({
    conversationId: `conv_${randomUUID()}`,
    content: 'Hello there',
    idempotencyKey: randomUUID(),
    newConversation: {},
    ...input,
  });
  const codes = ({ errors }: Awaited<ReturnType<typeof create>>) => errors.map(({ extensions }) => extensions.code);

  test('The stream of the first turn brings the conversation, the list of another client gets it once, and no other request is needed', async () => {
    const user = await openNewUser(app);
    const input = turn({ newConversation: { scenarioKey: 'support' } });
    app.model.add({ text: ['Hello', '!'] });
    const events = await user.chatTurn('ws', input).rest();
    expect(events.map(({ __typename }) => __typename)).toContain('MessageStarted');
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
    const { conversations } = await user.ask(
      '{ conversations { totalCount edges { node { id title messageCount scenario { key } } } } }',
    );
    const node = { id: input.conversationId, title: 'Hello there', messageCount: 2, scenario: { key: 'support' } };
    expect(conversations).toEqual({ totalCount: 1, edges: [{ node }] });
    const seen: unknown[] = [];
    const query = 'subscription { viewerEvents(after: 0) { __typename conversationId } }';
    for await (const { data } of app.ws(user.token).iterate<Record<string, { __typename: string }>>({ query })) {
      seen.push(data?.viewerEvents?.__typename);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(['ConversationCreated', 'ConversationUpdated', 'MessageAdded']);
    // The next turn goes on in it, with and without newConversation.
    app.model.add({ text: ['Again.'] }, { text: ['And again.'] });
    const { newConversation, ...next } = { ...input, idempotencyKey: randomUUID() };
    expect(codes(await create(send, next, user.token))).toEqual([]);
    const again = await create(send, { ...next, newConversation, idempotencyKey: randomUUID() }, user.token);
    expect(again.data.it.conversation).toMatchObject({ id: input.conversationId, messageCount: 6 });
  });

  test('Retries and races, also on two instances and with createConversation, create one conversation and one turn', async () => {
    await using other: TestApp = await startTestApp({ databaseUrl, env: { OPENAI_BASE_URL: app.model.url } });
    const sub = `racer-${randomUUID()}`;
    for (let round = 0; round < 3; round += 1) {
      const input = turn({ newConversation: { title: 'Race' } });
      const makes = { id: input.conversationId, title: 'Race' };
      app.model.add({ text: ['Once.'] });
      const answers = await Promise.all(
        [app, other].flatMap((instance) =>
          Array.from({ length: 4 }, async () => {
            const token = await instance.token({ sub });
            return Promise.all([
              instance.query(send, { input }, { token }),
              instance.query(createConversation, { input: makes }, { token }),
            ]);
          }),
        ),
      );
      expect(answers.flat().flatMap(codes)).toEqual([]);
      expect(new Set(answers.map(([sent]) => sent.data.it.id)).size).toBe(1);
      const read = await app.query(
        '{ conversations { totalCount edges { node { id messageCount runs { totalCount } } } } }',
        {},
        { token: await app.token({ sub }) },
      );
      expect(read.data.conversations.totalCount).toBe(round + 1);
      expect(read.data.conversations.edges[0].node).toEqual({
        id: input.conversationId,
        messageCount: 2,
        runs: { totalCount: 1 },
      });
    }
  });

  test('In a conversation that exists, the turn goes on if it is what the input says', async () => {
    const conversationId = (await create(createConversation, { scenarioKey: 'support', title: 'Old' })).data.it.id;
    app.model.add({ text: ['Yes.'] });
    const like = turn({ conversationId, newConversation: { id: conversationId, scenarioKey: 'support' } });
    expect(codes(await create(send, like))).toEqual([]);
    for (const newConversation of [{}, { scenarioKey: 'assistant' }, { scenarioKey: 'support', title: 'New' }])
      expect(codes(await create(send, turn({ conversationId, newConversation })))).toEqual(['CONFLICT']);
    expect(codes(await create(send, turn({ conversationId }), await app.token({ sub: 'bob' })))).toEqual(['FORBIDDEN']);
  });

  test('Wrong input names its field in newConversation, and nothing is written', async () => {
    const token = await app.token({ sub: `nobody-${randomUUID()}` });
    const wrong: [object, string, string][] = [
      [{ newConversation: { id: `conv_${randomUUID()}` } }, 'BAD_USER_INPUT', 'input.newConversation.id'],
      [{ newConversation: { title: '' } }, 'BAD_USER_INPUT', 'input.newConversation.title'],
      [{ newConversation: { agentId: 'agt_1' } }, 'BAD_USER_INPUT', 'input.newConversation.agentId'],
      [{ newConversation: { scenarioKey: 'nowhere' } }, 'NOT_FOUND', 'nowhere'],
      [{ newConversation: { projectId: 'nowhere' } }, 'NOT_FOUND', 'nowhere'],
      [{ after: 3 }, 'BAD_USER_INPUT', 'input.after'],
      [{ newConversation: null }, 'NOT_FOUND', 'conversation'],
    ];
    for (const [input, code, message] of wrong) {
      const { errors } = await create(send, turn(input), token);
      expect(errors).toMatchObject([{ message: expect.stringContaining(message), extensions: { code } }]);
    }
    const read = await app.query('{ conversations { totalCount } }', {}, { token });
    expect(read.data.conversations.totalCount).toBe(0);
  });
});
