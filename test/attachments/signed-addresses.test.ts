import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { signAddress } from '../../src/attachments/signed-address.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import { ConnectionShare } from '../../src/database/connection-share.ts';
import { ConcurrencyLimit } from '../../src/limits/concurrency-limit.ts';
import { KeyRing, parseKeyRing } from '../../src/secrets/key-ring.ts';
import { createFileRoute } from '../../src/server/http/files.ts';
import { shareApp, testKeys } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { picture, uploadId } from './support.ts';

const app = shareApp({ env: { RATE_LIMIT_UPLOADS: '0', ATTACHMENT_URL_SECONDS: '600' } });

const add = `mutation ($input: CreateMessageInput!) {
  createMessage(input: $input) { attachments { id url signedUrl } }
}`;

const bounds = (user: number) => ({ user, tenant: null, process: null });

/** The route of files with limits of its own. */
async function openRoute(
  owner: Viewer,
  limits: { readonly openOperations: number; readonly ofFile: number; readonly ofOwner: number },
) {
  const signedReads = {
    ofFile: new ConcurrencyLimit('readings', bounds(limits.ofFile), 1_000, 'per file'),
    ofOwner: new ConcurrencyLimit('readings', bounds(limits.ofOwner), 1_000, 'per owner'),
  };
  const serve = createFileRoute({
    ...{ db: app.app.db, store: null, keys: parseKeyRing(testKeys), verifyToken: async () => owner, signedReads },
    openOperations: new ConcurrencyLimit('open operations', bounds(limits.openOperations)),
  });
  const server = createServer((request, response) => void serve(request, response));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    return { status: response.status, body: await response.text() };
  };
  return { signedReads, get };
}

afterEach(() => void vi.useRealTimers());

/** An upload in a message, with the signed address of it. */
async function attach(data: Uint8Array | string, name: string, claims = {}) {
  const chat = await openChat(app, {}, { tenant: randomUUID(), ...claims });
  const id = await uploadId(app, chat.token, data, { name });
  const input = { conversationId: chat.conversationId, role: 'USER', content: 'Look', attachmentIds: [id] };
  const { createMessage } = await chat.ask(add, { input });
  const address: string = createMessage.attachments[0].signedUrl;
  return { chat, id, address };
}

const statusOf = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(app.url + path, init);
  await response.arrayBuffer();
  return response.status;
};

test('An image is fetched by its signed address without a token, with headers that let nothing in it run', async () => {
  const image = await picture(30, 20);
  const { id, address } = await attach(image, 'a photo\u2019s (1).png');
  expect(address).toMatch(new RegExp(`^/attachments/${id}\\?access=\\d+\\.test\\.[\\w-]{43}\\.[\\w-]{43}$`));
  const response = await fetch(app.url + address);
  expect(response.status).toBe(200);
  expect(Buffer.from(await response.arrayBuffer())).toEqual(image);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'image/png',
    'content-disposition': "inline; filename*=UTF-8''a%20photo%E2%80%99s%20%281%29.png",
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'cross-origin',
    'referrer-policy': 'no-referrer',
    'cache-control': expect.stringMatching(/^private, max-age=\d+$/),
  });
  const part = await fetch(app.url + address, { headers: { range: 'bytes=1-3' } });
  expect([part.status, await part.text()]).toEqual([206, 'PNG']);
  expect(await statusOf(address, { headers: { 'if-none-match': response.headers.get('etag') ?? '' } })).toBe(304);
  expect(await statusOf(address, { method: 'POST' })).toBe(405);
});

test('What a browser might run is stored by it, never shown', async () => {
  const { address } = await attach('<script>alert(1)</script>', 'page.html');
  const response = await fetch(app.url + address);
  await response.arrayBuffer();
  expect(response.headers.get('content-disposition')).toBe("attachment; filename*=UTF-8''page.html");
});

test('An address that was changed in any part, of another file, or by another key is refused', async () => {
  const one = await attach('One text', 'one.txt');
  const other = await attach('Another text', 'other.txt');
  const query = one.address.split('?')[1] ?? '';
  const [, expires = '', kid = '', owner = '', mac = ''] = /access=(\d+)\.(\w+)\.([\w-]+)\.([\w-]+)/.exec(query) ?? [];
  const at = (...parts: (string | number)[]) => `/attachments/${one.id}?access=${parts.join('.')}`;
  const otherMac = other.address.split('.').at(-1) ?? '';
  expect(await statusOf(at(expires, kid, owner, mac))).toBe(200);
  const refused = [
    `/attachments/${other.id}?${query}`,
    at(Number(expires) + 1, kid, owner, mac),
    at(`0${expires}`, 'none', owner, mac),
    at(expires, kid, mac, owner),
    at(expires, kid, other.address.split('.').at(-2) ?? '', mac),
    at(expires, kid, owner, otherMac),
    at(expires, kid, owner),
    at('', '', '', ''),
    `/attachments/${one.id}?access=`,
    `/attachments/att_${randomUUID()}?${query}`,
  ];
  for (const path of refused) expect([path, await statusOf(path)]).toEqual([path, 404]);
  // Twice, it is none at all; a token that is not valid is not ignored.
  expect(await statusOf(`/attachments/${one.id}?${query}&${query}`)).toBe(401);
  expect(await statusOf(one.address, { headers: { authorization: 'Bearer nothing' } })).toBe(401);
  expect(await statusOf(`/exports/exp_${randomUUID()}?${query}`)).toBe(401);
  const stolen = new KeyRing(new Map([['test', Buffer.alloc(32, 8)]]));
  const row = await app.app.db.attachment.findUniqueOrThrow({ where: { id: one.id.slice(4) } });
  const options = { now: Date.now(), urlMs: 600_000 };
  expect(await statusOf(signAddress(stolen, row, one.id, options))).toBe(404);
  // With the right key, but for somebody who is not the owner.
  const keys = parseKeyRing(testKeys);
  expect(await statusOf(signAddress(keys, row, one.id, options))).toBe(200);
  expect(await statusOf(signAddress(keys, { ...row, userId: 'mallory' }, one.id, options))).toBe(404);
});

test('An address expires in its time, and stays the same for half of it', async () => {
  const { id, address } = await attach('A text', 'one.txt');
  const expires = Number(/access=(\d+)/.exec(address)?.[1]) * 1_000;
  expect(expires).toBeGreaterThan(Date.now() + 290_000);
  expect(expires).toBeLessThanOrEqual(Date.now() + 600_000);
  const row = await app.app.db.attachment.findUniqueOrThrow({ where: { id: id.slice(4) } });
  const keys = parseKeyRing(testKeys);
  const begun = expires - 600_000;
  const sign = (now: number) => signAddress(keys, row, id, { now, urlMs: 600_000 });
  expect(sign(begun)).toBe(address);
  expect(sign(begun + 299_999)).toBe(address);
  expect(sign(begun + 300_000)).not.toBe(address);
  vi.useFakeTimers({ toFake: ['Date'], now: expires - 1 });
  expect(await statusOf(address)).toBe(200);
  vi.setSystemTime(expires);
  expect(await statusOf(address)).toBe(404);
});

test('Whoever reads a file by its signed address counts by the file, and takes nothing of what its owner may have open', async () => {
  const { chat, id, address } = await attach('A text', 'one.txt');
  const otherId = await uploadId(app, chat.token, 'Another text', { name: 'other.txt' });
  const row = id.slice('att_'.length);
  const { tenantId, userId } = await app.app.db.attachment.findUniqueOrThrow({ where: { id: row } });
  const owner = { tenantId, userId, roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const { signedReads, get } = await openRoute(owner, { openOperations: 0, ofFile: 1, ofOwner: 9 });
  expect(await get(address)).toEqual({ status: 200, body: 'A text' });
  expect((await get(`/attachments/${id}`, { authorization: 'Bearer x' })).status).toBe(429);
  // Somebody reads it.
  const reading = signedReads.ofFile.add({ tenantId, userId: row });
  const refused = await get(address);
  expect(refused.status).toBe(429);
  expect(refused.body).toContain('Too many readings at once: at most 1 per file.');
  const other = signAddress(parseKeyRing(testKeys), owner, otherId, { now: Date.now(), urlMs: 600_000 });
  expect(await get(other)).toEqual({ status: 200, body: 'Another text' });
  reading[Symbol.dispose]();
  expect((await get(address)).status).toBe(200);
  expect([signedReads.ofFile.size, signedReads.ofOwner.size]).toEqual([0, 0]);
});

test('The files of one owner are read so often at most, and those of another owner of the tenant are read meanwhile', async () => {
  const tenant = randomUUID();
  const [one, other] = [await attach('A text', 'one.txt', { tenant }), await attach('Other', 'o.txt', { tenant })];
  const where = { id: one.id.slice('att_'.length) };
  const { tenantId, userId } = await app.app.db.attachment.findUniqueOrThrow({ where });
  const owner = { tenantId, userId, roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const { signedReads, get } = await openRoute(owner, { openOperations: 9, ofFile: 9, ofOwner: 1 });
  // Somebody reads another file of theirs.
  const reading = signedReads.ofOwner.add(owner);
  const refused = await get(one.address);
  expect(refused.status).toBe(429);
  expect(refused.body).toContain('Too many readings at once: at most 1 per owner.');
  expect((await get(`/attachments/${one.id}`, { authorization: 'Bearer x' })).status).toBe(200);
  expect(await get(other.address)).toEqual({ status: 200, body: 'Other' });
  reading[Symbol.dispose]();
  expect(await get(one.address)).toEqual({ status: 200, body: 'A text' });
  expect([signedReads.ofFile.size, signedReads.ofOwner.size]).toEqual([0, 0]);
});

test('Strangers who read a file by its signed address take no connection of its owner’s share', async () => {
  const { id, address } = await attach('A text', 'one.txt');
  const where = { id: id.slice('att_'.length) };
  const { tenantId, userId } = await app.app.db.attachment.findUniqueOrThrow({ where });
  const owner = { tenantId, userId, roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const { get } = await openRoute(owner, { openOperations: 9, ofFile: 9, ofOwner: 9 });
  const enter = vi.spyOn(ConnectionShare.prototype, 'enter');
  onTestFinished(() => enter.mockRestore());
  /** Whose share the statements of a request take. */
  const usersOf = async (...request: Parameters<typeof get>) => {
    enter.mockClear();
    expect((await get(...request)).status).toBe(200);
    const owners = enter.mock.calls.flatMap(([by]) => (by?.tenantId === tenantId ? [by.userId] : []));
    return [...new Set(owners)];
  };
  expect(await usersOf(`/attachments/${id}`, { authorization: 'Bearer x' })).toEqual([userId]);
  expect(await usersOf(address)).toEqual([`signed addresses of ${userId}`]);
});

test('An address leads to nothing once its file was deleted', async () => {
  const { chat, address } = await attach('A text', 'one.txt');
  expect(await statusOf(address)).toBe(200);
  await chat.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: chat.conversationId });
  expect(await statusOf(address)).toBe(404);
});

test('Whoever reads a shared conversation gets no address, also with a token of another tenant', async () => {
  const { chat } = await attach('A text', 'one.txt');
  const share = 'mutation ($input: ShareConversationInput!) { shareConversation(input: $input) { token } }';
  const { shareConversation } = await chat.ask(share, { input: { conversationId: chat.conversationId } });
  const { token } = shareConversation;
  const read = `query ($token: String!) {
    sharedConversation(token: $token) { messages { edges { node { attachments { signedUrl } } } } }
  }`;
  const addressIn = (answer: {
    data: { sharedConversation: { messages: { edges: { node: { attachments: { signedUrl: string | null }[] } }[] } } };
  }) => answer.data.sharedConversation.messages.edges[0]?.node.attachments[0]?.signedUrl;
  expect(addressIn(await app.query(read, { token }, { token: null }))).toBeNull();
  const stranger = await app.token({ sub: 'stranger', tenant: 'elsewhere' });
  expect(addressIn(await app.query(read, { token }, { token: stranger }))).toBeNull();
});
