import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { deleteExpiredAttachments } from '../../src/attachments/runtime.ts';
import { eraseUser } from '../../src/retention/erase-user.ts';
import { shareApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { bomb, pdf, picture, upload, uploadId } from './support.ts';

const app = shareApp({ env: { RATE_LIMIT_UPLOADS: '0', ATTACHMENT_MAX_MB: '1', ATTACHMENT_USER_MB: '2' } });

const add =
  'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id attachments { id name url } } }';

/** A ZIP archive of one file. */
function zip(name: string, content: string): Buffer {
  const packed = deflateRawSync(content);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(20, 4);
  header.writeUInt16LE(8, 8);
  header.writeUInt32LE(packed.length, 18);
  header.writeUInt32LE(content.length, 22);
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, Buffer.from(name), packed]);
}

test('An upload is stored, and fetched by its owner alone', async () => {
  const [chat, other, stranger] = await Promise.all([
    openChat(app),
    app.token({ sub: 'other' }),
    app.token({ sub: 'stranger', tenant: 'elsewhere' }),
  ]);
  const image = await picture(40, 30);
  const { data, errors } = await upload(app, chat.token, image, { name: '/tmp/photo.png', type: 'image/png' });
  expect(errors).toEqual([]);
  const { id, url } = data.uploadAttachment;
  expect(data.uploadAttachment).toEqual({
    ...{ id: expect.stringMatching(/^att_/), name: 'photo.png', type: 'image/png' },
    ...{ url: `/attachments/${id}`, size: image.length },
  });
  const fetchAs = async (token: string | null, headers = {}) =>
    fetch(app.url + url, { headers: { ...(token !== null && { authorization: `Bearer ${token}` }), ...headers } });
  const whole = await fetchAs(chat.token);
  expect([whole.status, whole.headers.get('content-type')]).toEqual([200, 'image/png']);
  expect(whole.headers.get('content-disposition')).toBe('attachment');
  expect(Buffer.from(await whole.arrayBuffer())).toEqual(image);
  const part = await fetchAs(chat.token, { range: 'bytes=1-3' });
  expect([part.status, await part.text()]).toEqual([206, 'PNG']);
  expect((await fetchAs(other)).status).toBe(403);
  expect((await fetchAs(stranger)).status).toBe(403);
  expect((await fetch(`${app.url}/attachments/att_1`, { headers: { authorization: `Bearer ${other}` } })).status).toBe(
    404,
  );
  expect((await fetchAs(null)).status).toBe(401);
});

test('A message takes its uploads, and they go with its conversation', async () => {
  const chat = await openChat(app);
  const id = await uploadId(app, chat.token, 'Hello there.', { name: 'hello.md' });
  const input = { conversationId: chat.conversationId, role: 'USER', content: 'Read this', attachmentIds: [id] };
  const { createMessage } = await chat.ask(add, { input });
  expect(createMessage.attachments).toEqual([{ id, name: 'hello.md', url: `/attachments/${id}` }]);
  const count = () => app.app.db.attachment.count({ where: { id: id.slice(4) } });
  // It expires no more.
  await app.app.db.$executeRaw`UPDATE attachments SET created_at = now() - interval '1 year'`;
  await deleteExpiredAttachments(app.app.db);
  expect(await count()).toBe(1);
  await chat.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: chat.conversationId });
  expect(await count()).toBe(0);
  expect(await app.app.db.attachmentPiece.count({ where: { attachmentId: id.slice(4) } })).toBe(0);
});

test('Uploads that no message takes expire, and an erased user leaves none', async () => {
  const chat = await openChat(app, {}, { sub: 'erased-owner', tenant: 'erasing' });
  const [late, kept] = [await uploadId(app, chat.token, 'Late'), await uploadId(app, chat.token, 'Kept')];
  await app.app.db.attachment.update({ where: { id: late.slice(4) }, data: { expiresAt: new Date(0) } });
  const answer = await fetch(`${app.url}/attachments/${late}`, { headers: { authorization: `Bearer ${chat.token}` } });
  expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining('has expired')]);
  const input = { conversationId: chat.conversationId, role: 'USER', content: 'Read this', attachmentIds: [late] };
  const { errors } = await app.query(add, { input }, { token: chat.token });
  expect(errors).toMatchObject([
    { message: expect.stringContaining('has expired'), extensions: { code: 'NOT_FOUND' } },
  ]);
  await deleteExpiredAttachments(app.app.db);
  const ids = await app.app.db.attachment.findMany({ where: { tenantId: 'erasing' }, select: { id: true } });
  expect(ids).toEqual([{ id: kept.slice(4) }]);
  await eraseUser(app.app.db, { tenantId: 'erasing', userId: 'erased-owner' }, () => {});
  expect(await app.app.db.attachment.count({ where: { tenantId: 'erasing' } })).toBe(0);
});

test('What is not what it says, is broken or too large is refused by name, and nothing is written', async () => {
  const token = await app.token({ sub: 'bad', tenant: 'bad-files' });
  const png = await picture(300, 300, 'jpeg');
  const cases: [Uint8Array | string, { name?: string; type?: string }, string][] = [
    [zip('a.txt', 'Hello'), { name: 'photo.png', type: 'image/png' }, 'must be what it says (image/png)'],
    [
      zip('a.txt', 'Hello'),
      { name: 'photo.png' },
      'must be what it says (image/png), and its content is application/zip',
    ],
    [await picture(2, 2), { name: 'report.pdf' }, 'must be what it says (application/pdf)'],
    ['no sound', { name: 'voice.mp3' }, 'must be what it says (audio/mpeg), and its content is something else'],
    [await bomb(), { name: 'large.png' }, 'must have at most 50 megapixels, and it has 20000 × 20000 pixels'],
    [png.subarray(0, png.length / 2), { name: 'half.jpg' }, 'is an image that cannot be read'],
    ['%PDF-1.4\nnothing of a PDF', { name: 'broken.pdf' }, 'cannot be read'],
    [pdf('cut').subarray(0, 60), { name: 'cut.pdf' }, 'cannot be read'],
    [Buffer.alloc(500, 1), { name: 'binary' }, 'cannot be read. The file is not a text'],
    ['', {}, 'is empty'],
    ['x'.repeat(1_000_001), {}, 'must have at most 1 MB (ATTACHMENT_MAX_MB), and it has 1000001 bytes'],
  ];
  for (const [data, file, problem] of cases) {
    const { errors } = await upload(app, token, data, file);
    expect(errors).toMatchObject([
      { message: expect.stringContaining(problem), extensions: { code: 'BAD_USER_INPUT', path: ['file'] } },
    ]);
  }
  expect(await app.app.db.attachment.count({ where: { tenantId: 'bad-files' } })).toBe(0);
});

test('What a user stores is bounded, and what is refused leaves nothing behind', async () => {
  const token = await app.token({ sub: 'collector', tenant: 'full' });
  for (let index = 0; index < 2; index++) await uploadId(app, token, 'x'.repeat(1_000_000));
  const { errors } = await upload(app, token, 'one more');
  expect(errors).toMatchObject([
    { message: expect.stringContaining('ATTACHMENT_USER_MB'), extensions: { code: 'CONFLICT' } },
  ]);
  expect(await app.app.db.attachment.count({ where: { tenantId: 'full' } })).toBe(2);
});

test('A message names uploads of its user only, each once, and of no other conversation', async () => {
  const [chat, other, stranger] = await Promise.all([
    openChat(app),
    openChat(app),
    openChat(app, {}, { tenant: 'elsewhere' }),
  ]);
  const [own, others, foreign] = await Promise.all(
    [chat, other, stranger].map(({ token }) => uploadId(app, token, 'Some text')),
  );
  const send = async (attachmentIds: unknown[], conversationId = chat.conversationId) => {
    const turn = { conversationId, content: 'Read', idempotencyKey: crypto.randomUUID(), attachmentIds };
    const start = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';
    const message = { conversationId, role: 'USER', content: 'Read', attachmentIds };
    const answers = [
      await app.query(start, { input: turn }, { token: chat.token }),
      await app.query(add, { input: message }, { token: chat.token }),
    ];
    return answers.map(({ errors }) => errors[0]?.extensions.code);
  };
  const twice = (code: string) => [code, code];
  expect(await send([others])).toEqual(twice('FORBIDDEN'));
  expect(await send([foreign])).toEqual(twice('FORBIDDEN'));
  expect(await send([`att_${crypto.randomUUID()}`])).toEqual(twice('NOT_FOUND'));
  expect(await send(['att_1'])).toEqual(twice('BAD_USER_INPUT'));
  expect(await send([own, own])).toEqual(twice('BAD_USER_INPUT'));
  expect(await send(Array.from({ length: 21 }, () => own))).toEqual(twice('BAD_USER_INPUT'));
  expect(await app.app.db.message.count({ where: { conversationId: chat.conversationId.slice(5) } })).toBe(0);
  const elsewhere = await chat.createConversation();
  const input = { conversationId: elsewhere, role: 'USER', content: 'Mine', attachmentIds: [own] };
  await chat.ask(add, { input });
  expect(await send([own])).toEqual(twice('CONFLICT'));
});
