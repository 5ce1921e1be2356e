import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openChat, openSocketClient, type SocketClient } from '../support/chat.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import { addProject } from '../support/projects.ts';

const app = shareApp({ env: { PUBLIC_URL: 'https://chat.example.com/' } });

const share = `mutation ($input: ShareConversationInput!) { shareConversation(input: $input) {
  token url share { withTools expiresAt upTo { id } } } }`;
const shared = `query ($token: String!) { sharedConversation(token: $token) { title messages {
  totalCount edges { node { role content agentName attachments { name knowledgeBaseId } toolCalls { name arguments result } } } } } }`;
const add = 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }';

/** Sends a body without a token, over HTTP. */
async function send(body: unknown, init: RequestInit = {}) {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  });
  const { data, errors = [] } = JSON.parse(await response.text());
  return { status: response.status, data, code: errors[0]?.extensions.code, message: errors[0]?.message };
}
const read = async (token: string) => (await send({ query: shared, variables: { token } })).data.sharedConversation;
const texts = async (token: string): Promise<string[]> =>
  (await read(token)).messages.edges.map(({ node }: { node: { content: string } }) => node.content);
const say = async (
  chat: SocketClient & { conversationId: string },
  content: string,
  more: Record<string, unknown> = {},
): Promise<string> => {
  const input = { conversationId: chat.conversationId, role: 'USER', content, ...more };
  return (await chat.ask(add, { input })).createMessage.id;
};
const open = async (chat: SocketClient & { conversationId: string }, more: Record<string, unknown> = {}) =>
  (await chat.ask(share, { input: { conversationId: chat.conversationId, ...more } })).shareConversation;

test('A stranger reads what is shared up to its message, and what tools got only if the owner says so', async () => {
  const chat = await openChat(app, {}, { tenant: 'sh-reads' });
  await say(chat, 'One?', {
    attachments: [{ name: 'a.txt', type: 'text/plain', url: 'https://files.example.com/a.txt', size: 1 }],
  });
  const toolCalls = [{ callId: 'c', name: 'lookup', arguments: '{"secret":1}', result: { secret: 2 } }];
  const upTo = await say(chat, 'Two.', { role: 'ASSISTANT', toolCalls });
  await say(chat, 'You are an internal tool.', { role: 'SYSTEM' });
  const first = await open(chat);
  expect(first.url).toBe(`https://chat.example.com/shared/${first.token}`);
  expect(first.token).toMatch(/^[\w-]{43}$/);
  await say(chat, 'Said later');
  expect(await read(first.token)).toEqual({
    title: 'One?',
    messages: {
      totalCount: 2,
      edges: [
        {
          node: {
            ...{ role: 'USER', content: 'One?', agentName: null, toolCalls: [] },
            attachments: [{ name: 'a.txt', knowledgeBaseId: null }],
          },
        },
        {
          node: {
            ...{ role: 'ASSISTANT', content: 'Two.', agentName: null, attachments: [] },
            toolCalls: [{ name: 'lookup', arguments: null, result: null }],
          },
        },
      ],
    },
  });
  // A new link replaces the old one.
  const second = await open(chat, { upToMessageId: upTo, withTools: true });
  expect(await read(first.token)).toBeNull();
  const { messages } = await read(second.token);
  expect(messages.edges[1].node.toolCalls).toEqual([
    { name: 'lookup', arguments: '{"secret":1}', result: { secret: 2 } },
  ]);
  expect(second.share).toEqual({ withTools: true, expiresAt: null, upTo: { id: upTo } });
  // The token is stored nowhere.
  expect(await dumpDatabase(app.app.runs)).not.toContain(second.token);
  expect(JSON.stringify(app.logs)).not.toContain(second.token);
});

test('A link is dead when it is guessed, expired, revoked, or its conversation is deleted; what is blocked is not shown', async () => {
  const { db } = app.app;
  const chat = await openChat(app, {}, { tenant: 'sh-dead' });
  const id = await say(chat, 'Hello');
  await say(chat, 'Hm');
  const { token } = await open(chat, { expiresAt: new Date(Date.now() + 3_600_000).toISOString() });
  const guesses = [`${token.slice(0, -1)}${token.endsWith('A') ? 'E' : 'A'}`, '', 'x', `${token} `, "' OR true --"];
  for (const guess of guesses) expect(await read(guess), guess).toBeNull();
  expect(await texts(token)).toEqual(['Hello', 'Hm']);
  await db.message.updateMany({ where: { tenantId: 'sh-dead', content: 'Hello' }, data: { status: 'BLOCKED' } });
  expect(await texts(token)).toEqual(['Hm']);
  await db.conversationShare.updateMany({ where: { tenantId: 'sh-dead' }, data: { expiresAt: new Date(0) } });
  expect(await read(token)).toBeNull();
  const own = 'query ($id: ID!) { conversation(id: $id) { share { withTools upTo { content } } } }';
  expect((await chat.ask(own, { id: chat.conversationId })).conversation.share).toBeNull();
  const revoked = await open(chat);
  expect((await chat.ask(own, { id: chat.conversationId })).conversation.share.upTo.content).toBe('Hm');
  const unshare = 'mutation ($id: ID!) { unshareConversation(id: $id) { id share { withTools } } }';
  for (const _again of [1, 2])
    expect((await chat.ask(unshare, { id: chat.conversationId })).unshareConversation.share).toBeNull();
  expect(await read(revoked.token)).toBeNull();
  const deleted = await open(chat);
  await chat.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: chat.conversationId });
  expect(await read(deleted.token)).toBeNull();
  expect(await db.conversationShare.count({ where: { tenantId: 'sh-dead' } })).toBe(0);
  expect(id).toMatch(/^msg_/);
});

test('Only the owner shares, what exists, until later; of a project only as long as they are a member', async () => {
  const { db } = app.app;
  const chat = await openChat(app, {}, { tenant: 'sh-own', sub: 'ann' });
  const empty = { input: { conversationId: chat.conversationId } };
  const codeOf = async (client: SocketClient, input: Record<string, unknown>) =>
    (await app.query(share, { input }, { token: client.token })).errors[0]?.extensions.code;
  expect(await codeOf(chat, empty.input)).toBe('CONFLICT');
  await say(chat, 'Hello');
  const other = await openChat(app, {}, { tenant: 'sh-own', sub: 'ann' });
  const elsewhere = await say(other, 'Elsewhere');
  for (const [input, code] of [
    [{ upToMessageId: elsewhere }, 'BAD_USER_INPUT'],
    [{ upToMessageId: 'msg_1' }, 'BAD_USER_INPUT'],
    [{ upToMessageId: elsewhere.replace(/.{4}$/, '0000') }, 'NOT_FOUND'],
    [{ expiresAt: '2020-01-01T00:00:00Z' }, 'BAD_USER_INPUT'],
    [{ conversationId: 'conv_1' }, 'BAD_USER_INPUT'],
  ] as const)
    expect(await codeOf(chat, { ...empty.input, ...input }), JSON.stringify(input)).toBe(code);
  for (const claims of [
    { tenant: 'sh-own', sub: 'bob' },
    { tenant: 'sh-else', sub: 'ann' },
  ])
    expect(await codeOf(await openSocketClient(app, claims), empty.input)).toBe('FORBIDDEN');
  expect(await db.conversationShare.count({ where: { tenantId: 'sh-own' } })).toBe(0);
  await addProject(db, 'zoo', { ann: 'EDITOR', keeper: 'OWNER' }, 'sh-own');
  const inside = await openChat(app, { projectId: 'zoo' }, { tenant: 'sh-own', sub: 'ann' });
  await say(inside, 'Of the zoo');
  const { token } = await open(inside);
  expect(await texts(token)).toEqual(['Of the zoo']);
  await inside.ask('{ viewer { userId } }');
  await db.projectMember.deleteMany({ where: { tenantId: 'sh-own', userId: 'ann' } });
  expect(await read(token)).toBeNull();
});

test('A link shows its branch, whichever the owner chooses later', async () => {
  const chat = await openChat(app, {}, { tenant: 'sh-branch' });
  app.model.add({ text: 'First answer.' });
  await chat.readToEnd('First?');
  const { token } = await open(chat);
  const { conversation } = await chat.ask(
    'query ($id: ID!) { conversation(id: $id) { messages { edges { node { id } } } } }',
    { id: chat.conversationId },
  );
  app.model.add({ text: 'A private answer.' });
  await chat.readToEnd('Private?', { editMessageId: conversation.messages.edges[0].node.id });
  expect(await texts(token)).toEqual(['First?', 'First answer.']);
});

test('Pages of a shared conversation have no gap and no repeat, in both directions', async () => {
  const chat = await openChat(app, {}, { tenant: 'sh-pages' });
  for (let n = 0; n < 5; n++) await say(chat, `Message ${n}`);
  const { token } = await open(chat);
  const page = `query ($token: String!, $first: Int, $after: String, $last: Int, $before: String) { sharedConversation(token: $token) {
    messages(first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { content } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`;
  const get = async (variables: Record<string, unknown>) =>
    (await send({ query: page, variables: { token, ...variables } })).data.sharedConversation.messages;
  const contents = ({ edges }: { edges: { node: { content: string } }[] }) => edges.map(({ node }) => node.content);
  const one = await get({ first: 2 });
  const two = await get({ first: 10, after: one.pageInfo.endCursor });
  expect([...contents(one), ...contents(two)]).toEqual([0, 1, 2, 3, 4].map((n) => `Message ${n}`));
  expect([one.pageInfo.hasNextPage, two.pageInfo.hasNextPage, two.pageInfo.hasPreviousPage]).toEqual([
    true,
    false,
    true,
  ]);
  const last = await get({ last: 2 });
  expect(contents(last)).toEqual(['Message 3', 'Message 4']);
  expect(contents(await get({ last: 2, before: last.pageInfo.startCursor }))).toEqual(['Message 1', 'Message 2']);
});

test('Without a token, nothing but one small document with this root field is executed, and it leads to nothing else', async () => {
  const chat = await openChat(app, {}, { tenant: 'sh-attack' });
  await say(chat, 'Hello');
  const { token } = await open(chat);
  const variables = { token };
  const field = `sharedConversation(token: ${JSON.stringify(token)})`;
  const refused: unknown[] = [
    { query: '{ viewer { userId } }' },
    { query: `{ ${field} { title } viewer { userId } }` },
    { query: `{ viewer { userId } ${field} { title } }` },
    { query: `{ it: ${field} { title } }` },
    { query: `{ sharedConversation: viewer { userId } }` },
    { query: `{ ${field} { title } ${field} { createdAt } }` },
    { query: `{ ${field} { title } __schema { types { name } } }` },
    { query: `{ ${field} { __schema { types { name } } } }` },
    { query: `{ __typename ${field} { title } }` },
    { query: `query A { ${field} { title } } query B { viewer { userId } }`, operationName: 'B' },
    { query: `query { ...F } fragment F on Query { ${field} { title } }` },
    { query: `query { ... on Query { ${field} { title } } }` },
    { query: `{ ${field} { ...F } } fragment F on SharedConversation { title }` },
    { query: `{ ${field} @include(if: true) { title } }` },
    { query: `mutation { ${field} { title } }` },
    { query: `subscription { ${field} { title } }` },
    { query: `# ${'sharedConversation'}\n{ viewer { userId } }` },
    { query: shared, variables, documentId: 'x' },
    { query: shared, variables, extensions: { persistedQuery: { version: 1, sha256Hash: 'x' } } },
    [{ query: shared, variables }],
    { query: `${shared} #${'x'.repeat(5_000)}`, variables },
    { query: `{ ${field} { ${'title '.repeat(400)} } }` },
    { query: `{ ${field} { ${'{'.repeat(300)} } }` },
    'sharedConversation',
    '{"query": "sharedConversation',
  ];
  for (const body of refused) {
    expect(await send(body), JSON.stringify(body).slice(0, 100)).toMatchObject({
      status: 401,
      code: 'UNAUTHENTICATED',
    });
  }
  const url = `${app.url}/graphql?query=${encodeURIComponent(shared)}&variables=${encodeURIComponent(JSON.stringify(variables))}`;
  expect((await fetch(url)).status).toBe(405);
  expect((await send({ query: shared, variables }, { headers: { 'content-type': 'text/plain' } })).status).toBe(401);
  const bad = { 'content-type': 'application/json', authorization: 'Bearer x' };
  expect((await send({ query: shared, variables }, { headers: bad })).status).toBe(401);
  // What client libraries add changes nothing.
  const extensions = { clientLibrary: { name: 'a client', version: '1' }, cost: true };
  expect(await send({ query: shared, variables, extensions, operationName: null })).toMatchObject({ status: 200 });
  for (const path of ['conversation { id }', 'messages { edges { node { conversation { id } } } }', 'userId']) {
    expect((await send({ query: `{ ${field} { ${path} } }` })).status, path).toBe(400);
  }
  // Errors give no hints at what else there is.
  for (const query of [
    `{ ${field} { titel } }`,
    'query ($token: Strin) { sharedConversation(token: $token) { title } }',
  ]) {
    const { status, message } = await send({ query, variables });
    expect({ status, hint: message.includes('Did you mean') }, query).toEqual({ status: 400, hint: false });
  }
  // Over sockets, it needs a token, as everything does; with one, it is a field like any other.
  expect((await chat.ask(shared, variables)).sharedConversation.title).toBe('Hello');
});

test('A stranger reads only so often, and is told when again', async () => {
  const statuses: number[] = [];
  for (let n = 0; n < 70; n++) statuses.push((await send({ query: shared, variables: { token: `${n}` } })).status);
  expect(statuses).toContain(429);
  // Whoever has a token is not held up by it.
  expect((await app.query(shared, { token: 'x' })).data).toEqual({ sharedConversation: null });
});
