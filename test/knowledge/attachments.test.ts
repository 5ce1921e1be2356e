import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openChat, openSocketClient } from '../support/chat.ts';
import { addProject } from '../support/projects.ts';
import { openBase } from './support.ts';

let server: Server;
let origin = '';

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === '/docs/menu')
      response.writeHead(200, { 'content-type': 'text/plain' }).end('Soup is on Mondays.');
    else if (request.url === '/docs/notes')
      response.writeHead(200, { 'content-type': 'application/octet-stream' }).end('# Tea\n\nIt is green.');
    else response.writeHead(404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  origin = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const app = shareApp(async () => ({
  env: { MODEL_ALLOWED_HOSTS: `${new URL(origin).host}/docs`, RATE_LIMIT_KNOWLEDGE: '0' },
}));

const startRun = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';
const createMessage = 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }';
const list = `query ($id: ID!) { knowledgeBase(id: $id) { documents(first: 50) { edges { node { id title status error url } } } } }`;

/** An admin with a base and a conversation in a tenant of their own. */
async function open() {
  const claims = { tenant: randomUUID(), sub: 'ada', roles: ['admin'] };
  const base = await openBase(app, claims);
  const chat = await openChat(app, {}, claims);
  const attach = (path: string, more = {}) => {
    const url = path.includes(':') ? path : `${origin}/docs/${path}`;
    return { name: 'The menu', type: 'text/plain', url, size: 20, knowledgeBaseId: base.baseId, ...more };
  };
  const documents = async (id = base.baseId) =>
    (await chat.ask(list, { id })).knowledgeBase.documents.edges.map(({ node }: { node: unknown }) => node);
  const send = async (document: string, input: object, token = chat.token) => {
    const whole = { conversationId: chat.conversationId, content: 'See this', ...input };
    const { data, errors } = await app.query(document, { input: whole }, { token });
    return { data, errors: errors.map(({ message, extensions }) => `${extensions.code} ${message}`) };
  };
  return { claims, base, chat, attach, documents, send };
}

test('A turn adds an attachment to the base that it names, once for its key, and it is indexed', async () => {
  const { base, chat, attach, documents } = await open();
  const input = { idempotencyKey: 'one', attachments: [attach('menu'), { ...attach('menu'), knowledgeBaseId: null }] };
  app.model.add({ text: 'Thanks.' });
  const events = await chat.readToEnd('Keep this', input);
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  // A client that comes back attaches.
  const again = await chat.readToEnd('Keep this', input);
  expect(again.at(-1)?.runId).toBe(events.at(-1)?.runId);
  const added = await documents();
  expect(added).toMatchObject([{ title: 'The menu', url: `${origin}/docs/menu` }]);
  expect(await base.settle(added[0].id)).toMatchObject({ status: 'READY', mediaType: 'text/plain' });
  expect(await base.texts(added[0].id)).toEqual([{ headings: [], text: 'Soup is on Mondays.' }]);
  // Another key is another message. It waits, and its document does not.
  app.model.add({ text: 'Slowly.' }, { text: 'Again.' });
  const first = chat.say('Wait');
  const queued = chat.say('Keep this', { ...input, idempotencyKey: 'two', ifBusy: 'ENQUEUE' });
  await Promise.all([first.rest(), queued.rest()]);
  expect(await documents()).toHaveLength(2);
});

test('Ten requests at once with one key start one turn, and add one document; so do those of createMessage', async () => {
  const { attach, documents, send } = await open();
  const attachments = [attach('menu')];
  app.model.add({ text: 'Thanks.' });
  const ten = Array.from({ length: 10 });
  const turns = await Promise.all(ten.map(() => send(startRun, { idempotencyKey: 'turn', attachments })));
  expect(new Set(turns.map(({ data, errors }) => data?.startRun?.id ?? errors)).size).toBe(1);
  expect(await documents()).toHaveLength(1);
  const message = { role: 'USER', idempotencyKey: 'message', attachments };
  const messages = await Promise.all(ten.map(() => send(createMessage, message)));
  expect(new Set(messages.map(({ data, errors }) => data?.createMessage?.id ?? errors)).size).toBe(1);
  expect(await documents()).toHaveLength(2);
});

test('A document that cannot be read is FAILED with its reason and the turn goes on, and one is read as what it is', async () => {
  const { base, chat, attach, documents } = await open();
  app.model.add({ text: 'Thanks.' });
  const events = await chat.readToEnd('Keep this', {
    attachments: [attach('absent', { type: 'application/octet-stream' })],
  });
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  const [{ id }] = await documents();
  expect(await base.settle(id)).toMatchObject({ status: 'FAILED', error: expect.stringContaining('status 404') });
  // What the client says of it counts if its server does not know.
  app.model.add({ text: 'Thanks.' });
  await chat.readToEnd('And this', { attachments: [attach('notes', { type: 'text/markdown' })] });
  const [, { id: notes }] = await documents();
  expect(await base.settle(notes)).toMatchObject({ status: 'READY' });
  expect(await base.texts(notes)).toEqual([{ headings: ['Tea'], text: 'It is green.' }]);
});

test('What cannot become a document, or may not, is refused by its field, and nothing is written', async () => {
  const { claims, attach, documents, send } = await open();
  const { db } = app.app;
  const { tenant: tenantId } = claims;
  const project = await addProject(db, randomUUID(), { bob: 'VIEWER', carol: 'EDITOR' }, tenantId);
  const row = await db.knowledgeBase.create({ data: { tenantId, projectId: project.slice('prj_'.length), name: 'P' } });
  const ofProject = { knowledgeBaseId: `kb_${row.id}` };
  const stranger = await openBase(app, { tenant: randomUUID() });
  const refused: readonly [object, RegExp][] = [
    [attach('http://10.0.0.1/x'), /^BAD_USER_INPUT input\.attachments\.0\.url is private/],
    [attach('menu', { type: 'image/png' }), /^BAD_USER_INPUT input\.attachments\.0\.type must be text\/plain/],
    [attach('menu', { name: ' ' }), /^BAD_USER_INPUT input\.attachments\.0\.name must not be blank/],
    [attach('menu', { knowledgeBaseId: 'kb_1' }), /^BAD_USER_INPUT input\.attachments\.0\.knowledgeBaseId/],
    [attach('menu', { knowledgeBaseId: `kb_${randomUUID()}` }), /^NOT_FOUND/],
    [attach('menu', { knowledgeBaseId: stranger.baseId }), /^FORBIDDEN/],
  ];
  for (const [attachment, says] of refused) {
    const attachments = [attachment];
    for (const { errors } of [
      await send(startRun, { idempotencyKey: randomUUID(), attachments }),
      await send(createMessage, { role: 'USER', attachments }),
    ])
      expect(errors).toEqual([expect.stringMatching(says)]);
  }
  // The rights are those of the viewer: only admins change the tenant's bases, only editors those of a project.
  for (const [sub, attachment, says] of [
    ['bob', attach('menu'), /^FORBIDDEN Only an admin/],
    ['bob', attach('menu', ofProject), /^FORBIDDEN .*EDITOR/],
    ['carol', attach('menu', ofProject), null],
  ] as const) {
    const user = await openSocketClient(app, { tenant: tenantId, sub });
    const conversationId = await user.createConversation({});
    const input = { conversationId, role: 'USER', attachments: [attachment] };
    const { errors } = await send(createMessage, input, user.token);
    expect(errors).toEqual(says === null ? [] : [expect.stringMatching(says)]);
  }
  expect(await documents()).toEqual([]);
  expect(await documents(ofProject.knowledgeBaseId)).toHaveLength(1);
  expect(await db.message.count({ where: { tenantId } })).toBe(1);
  expect(await db.run.count({ where: { tenantId } })).toBe(0);
});

test('A conversation of a project adds to its bases and to those of the tenant, and to those of no other project', async () => {
  const { claims, attach, documents, send, chat } = await open();
  const { db } = app.app;
  const { tenant: tenantId } = claims;
  const bases = await Promise.all(
    ['own', 'other'].map(async (key) => {
      const projectId = (await addProject(db, key, { ada: 'OWNER' }, tenantId)).slice('prj_'.length);
      return `kb_${(await db.knowledgeBase.create({ data: { tenantId, projectId, name: key } })).id}`;
    }),
  );
  const [own = '', other = ''] = bases;
  const conversationId = await chat.createConversation({ projectId: 'own' });
  const attachments = [attach('menu', { knowledgeBaseId: own }), attach('menu', { knowledgeBaseId: other })];
  const refusal =
    'BAD_USER_INPUT input.attachments.1.knowledgeBaseId must name a knowledge base of the project of the conversation, or one that belongs to no project.';
  for (const { errors } of [
    await send(startRun, { conversationId, idempotencyKey: randomUUID(), attachments }),
    await send(createMessage, { conversationId, role: 'USER', attachments }),
  ])
    expect(errors).toEqual([refusal]);
  expect(await documents(own)).toEqual([]);
  const allowed = {
    conversationId,
    role: 'USER',
    attachments: [attach('menu', { knowledgeBaseId: own }), attach('menu')],
  };
  expect((await send(createMessage, allowed)).errors).toEqual([]);
  expect(await documents(own)).toHaveLength(1);
  expect(await documents()).toHaveLength(1);
  expect(await documents(other)).toEqual([]);
});

test('A conversation of no project adds to the bases of projects whose editor its user is, in a turn as well', async () => {
  const { claims, documents, attach } = await open();
  const { db } = app.app;
  const { tenant: tenantId } = claims;
  const addBase = async (key: string, role: 'VIEWER' | 'EDITOR') => {
    const projectId = (await addProject(db, key, { carol: role }, tenantId)).slice('prj_'.length);
    return `kb_${(await db.knowledgeBase.create({ data: { tenantId, projectId, name: key } })).id}`;
  };
  const [one, two] = [await addBase('one', 'EDITOR'), await addBase('two', 'EDITOR')];
  const readOnly = await addBase('three', 'VIEWER');
  const carol = await openChat(app, {}, { tenant: tenantId, sub: 'carol' });
  const input = { conversationId: carol.conversationId, content: 'Keep this' };
  const refused = { ...input, idempotencyKey: 'no', attachments: [attach('menu', { knowledgeBaseId: readOnly })] };
  const { errors } = await app.query(startRun, { input: refused }, { token: carol.token });
  expect(errors.map(({ extensions }) => extensions.code)).toEqual(['FORBIDDEN']);
  app.model.add({ text: 'Thanks.' });
  const attachments = [one, two].map((knowledgeBaseId) => attach('menu', { knowledgeBaseId }));
  expect((await carol.readToEnd('Keep this', { attachments })).at(-1)?.__typename).toBe('RunCompleted');
  for (const id of [one, two])
    await expect.poll(() => documents(id), { timeout: 60_000 }).toMatchObject([{ title: 'The menu', status: 'READY' }]);
  expect(await documents(readOnly)).toEqual([]);
});

test('A message that guardrails block adds no document', async () => {
  const { attach, documents, send, chat } = await open();
  const conversationId = await chat.createConversation('guarded');
  const input = { conversationId, content: 'My password is hunter2', attachments: [attach('menu')] };
  const { errors } = await send(createMessage, { ...input, role: 'USER' });
  expect(errors).toEqual([]);
  const turn = await chat.chatTurn('ws', input).rest();
  expect(turn.at(-1)?.__typename).toBe('RunFailed');
  expect(await documents()).toEqual([]);
});
