import type { RequestListener } from 'node:http';
import { expect, test } from 'vitest';
import { storedAttachments } from '../../src/conversations/attachment.ts';
import { createBillingConversation, decide, refund } from '../approvals/decide.ts';
import { startTestApp } from '../support/app.ts';
import { openChat, openNewUser, openSocketClient } from '../support/chat.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';
import { pdf, picture, serve } from './support.ts';

const notices =
  'query ($id: ID!) { conversation(id: $id) { messages(first: 1) { edges { node { id attachments { id name url signedUrl notice } } } } } }';
const regenerate = (messageId: string) => ({ regenerateMessageId: messageId, content: null });

const answering =
  (answers: Readonly<Record<string, Buffer | string>>): RequestListener =>
  ({ url = '' }, response) => {
    const answer = answers[url];
    if (answer === undefined) response.writeHead(404).end();
    else response.end(answer);
  };

/** What lets the server of the files through the address guard, and has files read. */
const allow = ({ port }: { readonly port: number }) => ({
  ATTACHMENT_FETCH: 'true',
  MODEL_ALLOWED_HOSTS: `127.0.0.1:${port}/`,
});

const at = (url: string, name: string, type = 'application/octet-stream') => ({ name, type, url, size: 10 });

/** The user message that a request begins with. */
const saidIn = ({ body }: { readonly body: unknown }) => (body as { readonly input: readonly unknown[] }).input[0];

test.each(['responses', 'chat_completions'] as const)(
  'The model is given what a URL leads to, with the API %s',
  async (api) => {
    using files = await serve(
      answering({
        '/wide.png': await picture(3_000, 1_000),
        '/report.pdf': pdf('Forty two parcels'),
        '/page': '<!doctype html><title>Terms</title><p>Thirty days.</p>',
        '/notes.md': '# Open points',
      }),
    );
    await using app = await startTestApp({
      env: { ...allow(files), MODEL_API: api },
      steps: [{ text: 'I see.' }, { text: 'As I said.' }, { text: 'Again.' }],
    });
    const chat = await openChat(app, {});
    const attachments = [
      at(`${files.url}/wide.png`, 'wide.png', 'image/png'),
      at(`${files.url}/report.pdf`, 'report.pdf', 'application/pdf'),
      at(`${files.url}/page`, 'Terms', 'text/html'),
      at(`${files.url}/notes.md`, 'notes.md'),
    ];
    const events = await chat.readToEnd('Read these', { attachments });
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
    await chat.readToEnd('And?');
    const { conversation } = await chat.ask(notices, { id: chat.conversationId });
    const { node } = conversation.messages.edges[0];
    await chat.readToEnd('', regenerate(node.id));

    const messages = app.model.requests.map(({ body }) => {
      const { input, messages: sent } = body as { readonly input: unknown[]; readonly messages: { role: string }[] };
      return api === 'responses' ? input : sent.filter(({ role }) => role !== 'system');
    });
    const [first = []] = messages;
    const image = expect.stringMatching(/^data:image\/(jpeg|png);base64,/);
    expect(first).toEqual([
      {
        role: 'user',
        content: [
          expect.objectContaining({
            text: expect.stringMatching(
              /^Read these\n\[attachment: wide\.png.*Forty two parcels.*Thirty days\..*# Open points/s,
            ),
          }),
          api === 'responses'
            ? { type: 'input_image', image_url: image, detail: 'auto' }
            : { type: 'image_url', image_url: { url: image } },
        ],
      },
    ]);
    for (const later of messages.slice(1)) expect(later[0]).toEqual(first[0]);
    expect(files.visits.map(({ url }) => url).sort()).toEqual(['/notes.md', '/page', '/report.pdf', '/wide.png']);
    // To the user, they are what they were.
    expect(node.attachments).toEqual(
      attachments.map(({ name, url }) => ({ id: null, name, url, signedUrl: null, notice: null })),
    );

    // They take room, and go with their conversation.
    const owner = { tenantId: 'acme' };
    const sizes = await app.app.db.attachment.aggregate({ where: owner, _sum: { size: true }, _count: true });
    const room = await app.app.db.attachmentTenantBytes.findUniqueOrThrow({ where: owner });
    expect(sizes._count).toBe(4);
    expect(Number(room.bytes)).toBe(sizes._sum.size);
    expect(await app.app.db.attachment.count({ where: { ...owner, expiresAt: { not: null } } })).toBe(0);
    await chat.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: chat.conversationId });
    expect(await app.app.db.attachment.count({ where: owner })).toBe(0);
  },
);

test('What cannot be read is told to the model and the user, and the turn goes on', async () => {
  using files = await serve(
    answering({ '/note.txt': 'A note.', '/data.bin': Buffer.from('7f454c46020101000000', 'hex') }),
  );
  await using app = await startTestApp({ env: allow(files), steps: [{ text: 'I cannot.' }, { text: 'Still not.' }] });
  const chat = await openChat(app, {});
  const attachments = [
    at('http://10.0.0.1/keys.txt', 'keys.txt', 'text/plain'),
    at(`${files.url}/gone.txt`, 'gone.txt', 'text/plain'),
    at(`${files.url}/data.bin`, 'data.bin'),
    at(`${files.url}/note.txt`, 'photo.png', 'image/png'),
    ...Array.from({ length: 6 }, (_, index) => at(`${files.url}/note.txt`, `note-${index}.txt`)),
    at(`${files.url}/note.txt`, 'eleventh.txt'),
  ];
  const events = await chat.readToEnd('Read these', { attachments });
  expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
  const { conversation } = await chat.ask(notices, { id: chat.conversationId });
  const told = [
    expect.stringMatching(/^The file could not be read from its address\. The address.* is private or reserved/),
    'The file could not be read from its address. The address answered with the status 404.',
    'Models cannot read files of this type: they are told its name and type.',
    'The file could not be read from its address. The file must be what it says (image/png), and its content is something else.',
    ...Array.from({ length: 6 }, () => null),
    'The file was not read from its address: of one message, the first 10 addresses are read.',
  ];
  const shown = conversation.messages.edges[0].node.attachments.map(({ notice }: { notice: string | null }) => notice);
  expect(shown).toEqual(told);
  const [said] = app.model.requests[0]?.messages ?? [];
  const content = said && 'content' in said ? said.content : '';
  for (const name of ['keys.txt', 'gone.txt', 'data.bin', 'photo.png', 'eleventh.txt'])
    expect(content).toContain(`[${name}: its content is not given to you. `);
  for (const notice of shown.filter((text: string | null) => text !== null)) expect(content).toContain(notice);
  // A later turn is told the same, and asks nobody.
  const visits = files.visits.length;
  await chat.readToEnd('And?');
  expect(app.model.requests[1]?.messages[0]).toEqual(app.model.requests[0]?.messages[0]);
  expect(files.visits.length).toBe(visits);
});

test('A file that could not be read for a reason that passes is read by the next run of its message, and nothing else is noted', async () => {
  using files = await serve(answering({ '/note.txt': 'A note.' }));
  await using app = await startTestApp({ env: allow(files), steps: [{ text: 'Yes.' }, { text: 'Now I see.' }] });
  const chat = await openChat(app, {});
  const attachments = [at(`${files.url}/note.txt`, 'note.txt'), at(`${files.url}/gone.txt`, 'gone.txt')];
  await chat.readToEnd('Read this', { attachments });
  const { db } = app.app;
  const read = () => db.message.findFirstOrThrow({ where: { role: 'USER' } });
  const { id, attachments: noted } = await read();
  const fine = { name: 'note.txt', notice: null, fileId: expect.stringMatching(/^att_/) };
  const gone = { name: 'gone.txt', notice: expect.stringContaining('status 404') };
  expect(noted).toMatchObject([fine, gone]);
  expect(JSON.stringify(noted)).not.toContain('isPassing');
  const passing = { ...attachments[0], id: null, knowledgeBaseId: null, notice: 'Busy.', isPassing: true };
  // Earlier versions noted it of all.
  const earlier = { ...attachments[1], id: null, knowledgeBaseId: null, notice: 'Gone.', isPassing: false };
  await db.message.update({ where: { id }, data: { attachments: [passing, earlier] } });
  const visits = files.visits.length;
  await chat.readToEnd('', regenerate(`msg_${id}`));
  expect(files.visits.slice(visits).map(({ url }) => url)).toEqual(['/note.txt']);
  const after = (await read()).attachments;
  expect(after).toMatchObject([fine, { notice: 'Gone.' }]);
  expect(JSON.stringify(after)).not.toContain('"isPassing":true');
});

test('A file for which the user has no room is not kept, and said', async () => {
  using files = await serve(answering({ '/large.txt': 'x'.repeat(900_000), '/small.txt': 'x'.repeat(200_001) }));
  await using app = await startTestApp({
    env: { ...allow(files), ATTACHMENT_USER_MB: '1' },
    steps: Array.from({ length: 6 }, () => ({ text: 'Yes.' })),
  });
  const chat = await openChat(app, {});
  const attachments = [at(`${files.url}/large.txt`, 'large.txt')];
  // Of each, 200,000 characters are kept.
  for (let turn = 0; turn < 6; turn += 1) await chat.readToEnd('Read this', { attachments });
  const rows = await app.app.db.message.findMany({ where: { role: 'USER' }, orderBy: { position: 'asc' } });
  const told = rows.map((row) => storedAttachments.parse(row.attachments)[0]?.notice);
  expect(told.slice(0, 5)).toEqual(
    Array.from({ length: 5 }, () => 'Models are given the first 200,000 characters of its text.'),
  );
  expect(told[5]).toMatch(/^The file could not be read from its address\. The attachments of the user have 1 MB/);
  expect(await app.app.db.attachment.count()).toBe(5);
});

test('Where the operator has switched it off, nobody is asked', async () => {
  using files = await serve(answering({ '/note.txt': 'A note.' }));
  const env = { ...allow(files), ATTACHMENT_FETCH: 'false' };
  await using app = await startTestApp({ env, steps: [{ text: 'Yes.' }] });
  const chat = await openChat(app, {});
  const url = `${files.url}/note.txt`;
  await chat.readToEnd('Read this', { attachments: [at(url, 'note.txt', 'text/plain')] });
  const content = `Read this\n[attachment: note.txt (text/plain) ${url}]`;
  expect(app.model.requests[0]?.messages).toEqual([{ role: 'user', content }]);
  expect(files.visits).toEqual([]);
});

test('While a file is read, other turns of the user start', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  using files = await serve((_request, response) => void released.then(() => response.end('A note.')));
  await using app = await startTestApp({ env: allow(files), steps: [{ text: 'At once.' }, { text: 'Late.' }] });
  const user = await openNewUser(app);
  const [slow, quick] = [await user.createConversation({}), await user.createConversation({})];
  const attachments = [at(`${files.url}/note.txt`, 'note.txt')];
  const reading = user.chatTurn('ws', { conversationId: slow, content: 'Read this', attachments });
  await reading.until('RunStarted');
  await expect.poll(() => files.visits.length, { timeout: 60_000 }).toBe(1);
  const events = await user.chatTurn('ws', { conversationId: quick, content: 'Hello' }).rest();
  expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
  expect(app.model.requests).toHaveLength(1);
  release();
  expect((await reading.rest()).at(-1)).toMatchObject({ __typename: 'RunCompleted' });
  expect(app.model.requests[1]?.messages[0]).toMatchObject({ content: expect.stringContaining('A note.') });
});

test('A message that joins a run has its files read before the next step', async () => {
  using files = await serve(answering({ '/note.txt': 'A note.' }));
  const gate = createGate();
  const calls = [{ name: 'current_time', arguments: {} }];
  const steps = [{ text: ['Let me', ' look.'], afterTokens: 1, gate, calls }, { text: 'I see.' }];
  await using app = await startTestApp({ env: allow(files), steps });
  const chat = await openChat(app);
  const first = chat.say('first');
  await first.untilText('Let me');
  const attachments = [at(`${files.url}/note.txt`, 'note.txt'), at(`${files.url}/gone.txt`, 'gone.txt')];
  const joining = chat.say('Read this', { ifBusy: 'STEER', attachments }).rest();
  await expect.poll(() => app.app.db.run.count({ where: { status: 'QUEUED' } }), { timeout: 60_000 }).toBe(1);
  gate.open();
  expect((await first.rest()).at(-1)).toMatchObject({ __typename: 'RunCompleted' });
  await joining;
  const content = JSON.stringify(app.model.requests[1]?.messages.at(-1));
  expect(content).toContain('A note.');
  expect(content).toContain('gone.txt: its content is not given to you.');
  const joined = await app.app.db.message.findFirstOrThrow({ where: { content: 'Read this' } });
  expect(storedAttachments.parse(joined.attachments)).toMatchObject([
    { fileId: expect.stringMatching(/^att_/), notice: null },
    { notice: expect.stringContaining('status 404') },
  ]);
});

test('A turn that waited for an approval is told the same, though the address says something else by then', async () => {
  let asked = 0;
  using files = await serve((_request, response) => response.end(`Version ${++asked}.`));
  const steps = [{ text: 'I refund it.', calls: [refund('r1')] }, { text: 'It is refunded.' }];
  await using app = await startTestApp({ env: { ...allow(files), MODEL_API: 'responses' }, steps });
  const user = await openNewUser(app);
  const conversationId = await createBillingConversation(user);
  const attachments = [at(`${files.url}/note.txt`, 'note.txt'), at('http://10.0.0.1/', 'secret.txt')];
  const reader = user.chatTurn('ws', { conversationId, content: 'Refund 1042', attachments });
  await reader.until('ApprovalRequested');
  await decide(user, reader.events[0]?.runId ?? '', 'r1');
  await reader.rest();
  const [before, after] = app.model.requests.map(saidIn);
  expect(JSON.stringify(before)).toContain('Version 1.');
  expect(after).toEqual(before);
  expect(asked).toBe(1);
});

test('Whoever takes a turn over gives the model the same', { timeout: 240_000 }, async () => {
  let asked = 0;
  using files = await serve((_request, response) => response.end(`Version ${++asked}.`));
  await using data = await createTestDataFolder();
  await using model = await createScriptedModel([{ misbehave: 'hang' }, { text: 'Read.' }]);
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model', MODEL_API: 'responses', ...allow(files) };
  let conversationId = '';
  {
    await using server = await startServer(data.folder, env);
    const alice = await openSocketClient(server, 'alice');
    conversationId = await alice.createConversation({});
    const attachments = [at(`${files.url}/note.txt`, 'note.txt'), at('http://10.0.0.1/', 'secret.txt')];
    const turn = { content: 'Read this', idempotencyKey: 'once', conversationId, attachments };
    const started = alice.chatTurn('ws', turn);
    await model.received(1);
    await server.end('SIGKILL');
    await started.rest().catch(() => {});
  }
  await using server = await startServer(data.folder, env);
  const alice = await openSocketClient(server, 'alice');
  const { conversation } = await alice.ask(
    'query ($id: ID!) { conversation(id: $id) { runs(first: 1) { edges { node { id } } } } }',
    { id: conversationId },
  );
  const events = await alice.runEvents('ws', conversation.runs.edges[0].node.id).rest();
  expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
  const [before, after] = model.requests.map(saidIn);
  expect(JSON.stringify(before)).toContain('Version 1.');
  expect(after).toEqual(before);
  expect(asked).toBe(1);
});
