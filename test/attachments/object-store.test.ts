import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { deleteObjects } from '../../src/attachments/delete-objects.ts';
import { readAttachmentBytes, readWholeAttachment } from '../../src/attachments/files.ts';
import { ObjectStore } from '../../src/attachments/object-store.ts';
import { deleteExpiredAttachments } from '../../src/attachments/runtime.ts';
import { parseStorageUrl, type StorageEnv } from '../../src/config/storage.ts';
import { eraseUser } from '../../src/retention/erase-user.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { type FakeS3, openFakeS3 } from '../support/fake-s3.ts';
import { serve, upload, uploadId } from './support.ts';

let s3: FakeS3;
let app: TestApp;
let env: StorageEnv;
let store: ObjectStore;

beforeAll(async () => {
  s3 = await openFakeS3();
  app = await startTestApp({ env: { RATE_LIMIT_UPLOADS: '0', STORAGE_URL: s3.storageUrl } });
  const parsed = parseStorageUrl(s3.storageUrl);
  if (parsed === null) throw new Error('STORAGE_URL cannot be read.');
  env = parsed;
  store = new ObjectStore(env);
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await s3?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  s3.mood = 'well';
});

const add = 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }';
const drop = 'mutation ($id: ID!) { deleteConversation(id: $id) }';
const pathOf = (id: string) => `/files/some/prefix/attachments/${id.slice(4)}`;
const logger = pino({ enabled: false });
const sweep = (signal = new AbortController().signal) => deleteObjects({ db: app.app.db, store, logger, signal });

async function fetchFile(id: string, token: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${app.url}/attachments/${id}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
  });
  return { status: response.status, body: Buffer.from(await response.arrayBuffer()) };
}

/** An upload in a message of a user of its own. */
async function attach(data: Uint8Array | string) {
  const tenant = randomUUID();
  const chat = await openChat(app, {}, { tenant, sub: 'owner' });
  const id = await uploadId(app, chat.token, data, { name: 'text.txt' });
  await chat.ask(add, {
    input: { conversationId: chat.conversationId, role: 'USER', content: 'Read', attachmentIds: [id] },
  });
  return { tenant, chat, id };
}

test('Uploads are objects of the store, are read whole and in ranges, and leave no pieces in the database', async () => {
  const text = 'Some text. '.repeat(60_000);
  const { chat, id } = await attach(text);
  expect(s3.objects.get(pathOf(id))?.toString()).toBe(text);
  expect(await app.app.db.attachmentPiece.count({ where: { attachmentId: id.slice(4) } })).toBe(0);
  expect(await fetchFile(id, chat.token)).toEqual({ status: 200, body: Buffer.from(text) });
  // As recordings are read, to be transcribed.
  const row = await app.app.db.attachment.findUniqueOrThrow({ where: { id: id.slice(4) } });
  expect(row.objectKey).toBe(`attachments/${row.id}`);
  expect((await readWholeAttachment({ db: app.app.db, store }, row)).toString()).toBe(text);
  const part = await fetchFile(id, chat.token, { range: 'bytes=5-300000' });
  expect([part.status, part.body.toString()]).toEqual([206, text.slice(5, 300_001)]);
});

test('Objects go with their conversation, their user, and the uploads that no message has taken', async () => {
  const [one, other, waiting] = [await attach('One'), await attach('Other'), await attach('Third')];
  const late = await uploadId(app, waiting.chat.token, 'Late');
  await one.chat.ask(drop, { id: one.chat.conversationId });
  await eraseUser(app.app.db, { tenantId: other.tenant, userId: 'owner' }, () => {});
  await app.app.db.attachment.update({ where: { id: late.slice(4) }, data: { expiresAt: new Date(0) } });
  await deleteExpiredAttachments(app.app.db);
  await sweep();
  expect([one.id, other.id, late, waiting.id].map((id) => s3.objects.has(pathOf(id)))).toEqual([
    false,
    false,
    true,
    true,
  ]);
  // What no message has taken may still be on its way: it is deleted a little later. (Stored times are rounded, also upwards.)
  await app.app.db
    .$executeRaw`UPDATE deleted_objects SET due_at = now() - interval '1 second' WHERE object_key LIKE ${`%${late.slice(4)}`}`;
  await sweep();
  expect(s3.objects.has(pathOf(late))).toBe(false);
  expect(await app.app.db.deletedObject.count()).toBe(0);
  expect((await fetchFile(waiting.id, waiting.chat.token)).status).toBe(200);
});

test('An upload that the store refuses is UNAVAILABLE, leaves no row, and nothing of it stays in the store', async () => {
  const token = await app.token({ tenant: 'refused' });
  s3.mood = 'failing';
  const { errors } = await upload(app, token, 'A text');
  expect(errors).toMatchObject([
    { message: expect.stringContaining('The store of files does not work now'), extensions: { code: 'UNAVAILABLE' } },
  ]);
  expect(JSON.stringify(errors)).not.toMatch(/secret|AKID|some\/prefix/);
  expect(await app.app.db.attachment.count({ where: { tenantId: 'refused' } })).toBe(0);
  expect(await app.app.db.attachmentTenantBytes.findUnique({ where: { tenantId: 'refused' } })).toMatchObject({
    bytes: 0n,
  });
  // Perhaps it has arrived all the same.
  expect(await app.app.db.deletedObject.count()).toBe(1);
  await app.app.db.deletedObject.deleteMany();
});

test('A store that does not answer, stops or sends too little is given up in time', async () => {
  const { id } = await attach('Some text. '.repeat(30_000));
  const key = `attachments/${id.slice(4)}`;
  const hasty = new ObjectStore(env, { answerMs: 200, silenceMs: 200 });
  const read = () => buffer(hasty.read(key, 0, 299_999));
  const unavailable = { code: 'UNAVAILABLE' };
  s3.mood = 'hanging';
  await expect(read()).rejects.toMatchObject(unavailable);
  await expect(hasty.put('attachments/new', new Uint8Array([1]))).rejects.toMatchObject(unavailable);
  await expect(hasty.delete(key, new AbortController().signal)).rejects.toMatchObject(unavailable);
  s3.mood = 'stopping';
  await expect(read()).rejects.toMatchObject(unavailable);
  s3.mood = 'cutting';
  await expect(read()).rejects.toMatchObject(unavailable);
  s3.mood = 'well';
  expect((await buffer(store.read(key, 0, 299_999))).length).toBe(300_000);
});

test('A file whose object is lost is NOT_FOUND, one of a store that fails is UNAVAILABLE, and nothing of either is sent', async () => {
  const { chat, id } = await attach('A text');
  s3.mood = 'failing';
  expect((await fetchFile(id, chat.token)).status).toBe(503);
  s3.mood = 'well';
  s3.objects.delete(pathOf(id));
  const { status, body } = await fetchFile(id, chat.token);
  expect([status, body.toString()]).toEqual([404, expect.stringContaining('is missing in the store of files')]);
});

test('What cannot be deleted is tried again later, and what does not exist is deleted', async () => {
  const { chat, id } = await attach('A text');
  await chat.ask(drop, { id: chat.conversationId });
  s3.mood = 'failing';
  await sweep();
  const [row] = await app.app.db.deletedObject.findMany();
  expect(row).toMatchObject({ objectKey: `attachments/${id.slice(4)}`, attempts: 1 });
  expect(row?.dueAt.getTime()).toBeGreaterThan(Date.now());
  s3.mood = 'well';
  // Not before its time.
  await sweep();
  expect(s3.objects.has(pathOf(id))).toBe(true);
  await app.app.db.$executeRaw`UPDATE deleted_objects SET due_at = now() - interval '1 second'`;
  // Two at the same time do not harm each other.
  await Promise.all([sweep(), sweep()]);
  expect(s3.objects.has(pathOf(id))).toBe(false);
  expect(await app.app.db.deletedObject.count()).toBe(0);
  await app.app.db.deletedObject.create({
    data: { tenantId: 'acme', objectKey: 'attachments/gone', dueAt: new Date(0) },
  });
  await sweep();
  expect(await app.app.db.deletedObject.count()).toBe(0);
});

test('What is not signed with the right key is refused by the store, and the client is not told its answer', async () => {
  const wrong = new ObjectStore({ ...env, secretAccessKey: 'another' });
  const refused = wrong.put('attachments/forged', new Uint8Array([1]));
  await expect(refused).rejects.toMatchObject({
    ...{ code: 'UNAVAILABLE', message: expect.not.stringContaining('SignatureDoesNotMatch') },
    cause: { message: expect.stringContaining('SignatureDoesNotMatch') },
  });
  expect(s3.objects.has('/files/some/prefix/attachments/forged')).toBe(false);
});

test('A file in a store that was taken out of the configuration is UNAVAILABLE', async () => {
  const bytes = readAttachmentBytes(
    { db: app.app.db, store: null },
    { id: randomUUID(), objectKey: 'attachments/1' },
    0,
    1,
  );
  await expect(buffer(bytes)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('STORAGE_URL'),
  });
});

test('STORAGE_URL names a host, a bucket and keys, and nothing else', () => {
  expect(parseStorageUrl('s3://key:s%2Fcret@s3.eu-central-1.amazonaws.com/my-bucket?region=eu-central-1')).toEqual({
    ...{ origin: 'https://s3.eu-central-1.amazonaws.com', bucket: 'my-bucket', prefix: '' },
    ...{ region: 'eu-central-1', accessKeyId: 'key', secretAccessKey: 's/cret' },
  });
  for (const wrong of [
    'https://key:secret@host/bucket',
    's3://host/bucket',
    's3://key@host/bucket',
    's3://key:secret@host',
    's3://key:secret@host/Bucket',
    's3://key:secret@host/bucket?regoin=eu',
    's3://key:secret@host/bucket?tls=no',
    's3://key:%zz@host/bucket',
  ])
    expect([wrong, parseStorageUrl(wrong)]).toEqual([wrong, null]);
});

test('Whoever leaves before the store has sent the first piece leaves no answer of the store open', async () => {
  const objects = new Map<string, Buffer>();
  const waiting: (() => void)[] = [];
  let open = 0;
  using slow = await serve(async (request, response) => {
    const { method, url = '' } = request;
    if (method === 'PUT') {
      objects.set(url, await buffer(request));
      response.end();
      return;
    }
    open += 1;
    response.on('close', () => {
      open -= 1;
    });
    await new Promise<void>((resolve) => waiting.push(resolve));
    response.writeHead(206, { 'content-length': objects.get(url)?.length }).end(objects.get(url));
  });
  const STORAGE_URL = `s3://id:secret@127.0.0.1:${slow.port}/bucket?tls=false`;
  await using other = await startTestApp({ env: { RATE_LIMIT_UPLOADS: '0', STORAGE_URL } });
  const chat = await openChat(other, {}, { tenant: randomUUID(), sub: 'owner' });
  const id = await uploadId(other, chat.token, 'Some text. '.repeat(1_000_000), { name: 'text.txt' });
  const { hostname, port, host } = new URL(other.url);
  const sockets = Array.from({ length: 4 }, () => {
    const socket = connect(Number(port), hostname).on('error', () => {});
    const headers = [`GET /attachments/${id} HTTP/1.1`, `Host: ${host}`, `Authorization: Bearer ${chat.token}`];
    socket.write(`${headers.join('\r\n')}\r\n\r\n`);
    return socket;
  });
  await expect.poll(() => waiting.length).toBe(4);
  for (const socket of sockets) socket.destroy();
  // The server hears of it in the meantime.
  await sleep(300);
  for (const send of waiting) send();
  await expect.poll(() => open).toBe(0);
});
