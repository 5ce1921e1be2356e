import type { RequestListener } from 'node:http';
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UnavailableError } from '../../src/api/errors.ts';
import { AddressReader } from '../../src/attachments/fetch/address-reader.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import { AddressGuard } from '../../src/outbound/address-guard.ts';
import type { Resolve } from '../../src/outbound/resolve-names.ts';
import { shareApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { bomb, pdf, picture, serve } from './support.ts';

const app = shareApp({ env: { ATTACHMENT_MAX_MB: '1' } });
const viewer: Viewer = { tenantId: 'acme', userId: 'reader', roles: [], expiresAt: Number.POSITIVE_INFINITY };
const why = 'The file could not be read from its address. ';
const refused = `${why}The address, or one that it redirects to, is private or reserved, and MODEL_ALLOWED_HOSTS does not list it.`;
const metadata = `${why}The address, or one that it redirects to, is that of a metadata service, which is never allowed.`;

let secrets: Awaited<ReturnType<typeof serve>>;
let files: Awaited<ReturnType<typeof serve>>;

beforeAll(async () => {
  await openChat(app, {}, { sub: viewer.userId, tenant: viewer.tenantId });
  const large = Buffer.alloc(1_000_001, 'x');
  const image = await picture(30, 20);
  secrets = await serve((_request, response) => response.end('secret'));
  const answers: Record<string, RequestListener> = {
    '/to-private': (_request, response) => response.writeHead(302, { location: `${secrets.url}/keys` }).end(),
    '/to-name': (_request, response) =>
      response.writeHead(307, { location: `http://files.internal.example:${secrets.port}/` }).end(),
    '/to-metadata': (_request, response) =>
      response.writeHead(301, { location: 'http://169.254.169.254/latest/meta-data/' }).end(),
    '/to-file': (_request, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
    '/loop': (_request, response) => response.writeHead(302, { location: '/loop' }).end(),
    '/cookie': (_request, response) =>
      response.writeHead(302, { location: '/note', 'set-cookie': 'session=1; Path=/' }).end(),
    '/note': (_request, response) => response.writeHead(200, { 'content-type': 'image/png' }).end('Only a note.'),
    '/large': (_request, response) => response.end(large),
    '/endless': (_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write(large)) {
          // Until its buffer is full.
        }
      };
      response.on('drain', more);
      more();
    },
    '/silent': () => {},
    '/slow': (_request, response) => {
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
    },
    '/broken': (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      setTimeout(() => response.destroy(), 20);
    },
    '/empty': (_request, response) => response.end(),
    '/missing': (_request, response) => response.writeHead(404).end('no'),
    '/down': (_request, response) => response.writeHead(503).end('no'),
    '/page': (_request, response) =>
      response.writeHead(200, { 'content-type': 'image/png' }).end('<!doctype html><p>Please log in</p>'),
    '/image': (_request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(image),
    '/pdf': (_request, response) => response.writeHead(200, { 'content-type': 'image/png' }).end(pdf('Forty two')),
    '/broken-image': (_request, response) => response.end(image.subarray(0, 60)),
    '/bomb': async (_request, response) => response.end(await bomb()),
    '/zipped': (_request, response) =>
      response
        .writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'text/plain' })
        .end(gzipSync(Buffer.alloc(50_000_000, 'x'))),
    '/program': (_request, response) =>
      response
        .writeHead(200, { 'content-type': 'text/plain' })
        .end(Buffer.concat([Buffer.from('7f454c4602010100', 'hex'), Buffer.alloc(200)])),
  };
  files = await serve((request, response) => answers[request.url ?? '']?.(request, response));
});

afterAll(() => {
  secrets.close();
  files.close();
});

const answering =
  (...addresses: string[]): Resolve =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

/** Reads an address as a run does, with a guard that lets through nothing but the server of the files. */
async function read(
  url: string,
  { name = 'file', type = 'application/octet-stream', timeoutMs = 30_000, resolve = answering('127.0.0.1') } = {},
) {
  const guard = new AddressGuard([`127.0.0.1:${files.port}/`], resolve);
  const options = { attachments: app.app.attachments, guard, logger: pino({ level: 'silent' }), timeoutMs };
  const { signal } = new AbortController();
  const { id, notice } = await new AddressReader(options).read(viewer, { name, type, url }, signal);
  const row = id === null ? null : await app.app.db.attachment.findUniqueOrThrow({ where: { id } });
  return { row, notice };
}

test('No address of this machine, its network or a metadata service is asked, however it is written', async () => {
  const { port } = secrets;
  for (const url of [
    `http://127.0.0.1:${port}/`,
    `http://127.1:${port}/`,
    `http://2130706433:${port}/`,
    `http://0x7f000001:${port}/`,
    `http://0.0.0.0:${port}/`,
    `http://[::1]:${port}/`,
    `http://[::ffff:127.0.0.1]:${port}/`,
    `http://localhost:${port}/`,
    `http://a.localhost:${port}/`,
    'http://10.0.0.1/',
    'http://192.168.1.1/',
    'http://[fd00::1]/',
  ])
    expect(await read(url), url).toEqual({ row: null, notice: refused });
  for (const url of ['http://169.254.169.254/latest/', 'http://metadata.google.internal/', 'http://100.100.100.200/'])
    expect(await read(url), url).toEqual({ row: null, notice: metadata });
  const { notice } = await read(`http://user:password@127.0.0.1:${files.port}/note`);
  expect(notice).toContain('has a user name or password in it');
  expect(secrets.visits).toEqual([]);
});

test('No name that leads to a private address is asked, whatever else it leads to', async () => {
  for (const addresses of [['127.0.0.1'], ['8.8.8.8', '10.0.0.1'], ['::1'], ['::ffff:127.0.0.1'], ['fd00::1']]) {
    const url = `http://files.example:${secrets.port}/`;
    expect(await read(url, { resolve: answering(...addresses) })).toEqual({ row: null, notice: refused });
  }
  const url = `http://files.example:${secrets.port}/`;
  expect(await read(url, { resolve: answering('169.254.169.254') })).toEqual({ row: null, notice: metadata });
  expect(secrets.visits).toEqual([]);
});

test('Redirects are followed through the guard, and not for ever', async () => {
  expect(await read(`${files.url}/to-private`)).toEqual({ row: null, notice: refused });
  expect(await read(`${files.url}/to-name`)).toEqual({ row: null, notice: refused });
  expect(await read(`${files.url}/to-metadata`)).toEqual({ row: null, notice: metadata });
  expect((await read(`${files.url}/to-file`)).notice).toContain('not a URL of http or https');
  const before = files.visits.length;
  expect((await read(`${files.url}/loop`)).notice).toContain('redirects more than 5 times');
  expect(files.visits.length - before).toBe(6);
  expect(secrets.visits).toEqual([]);
});

test('Neither a token nor a cookie goes out', async () => {
  const before = files.visits.length;
  const { row } = await read(`${files.url}/cookie`, { name: 'note.txt' });
  expect(row).toMatchObject({ kind: 'TEXT', text: 'Only a note.', mediaType: 'text/plain' });
  const visits = files.visits.slice(before);
  expect(visits.map(({ url }) => url)).toEqual(['/cookie', '/note']);
  for (const { headers } of visits)
    expect(Object.keys(headers).sort()).toEqual(['accept', 'connection', 'host', 'user-agent']);
});

test('What is huge, endless, silent or slow is given up, and said', async () => {
  const large = { row: null, notice: `${why}It has more than 1 MB (ATTACHMENT_MAX_MB).` };
  expect(await read(`${files.url}/large`)).toEqual(large);
  expect(await read(`${files.url}/endless`)).toEqual(large);
  const late = { row: null, notice: `${why}The address took longer than 0.3 seconds.` };
  expect(await read(`${files.url}/silent`, { timeoutMs: 300 })).toEqual(late);
  expect(await read(`${files.url}/slow`, { timeoutMs: 300 })).toEqual(late);
  expect((await read(`${files.url}/broken`)).notice).toBe(`${why}The connection to the address broke.`);
  expect((await read(`${files.url}/empty`)).notice).toBe(`${why}The address leads to an empty file.`);
  expect((await read(`${files.url}/missing`)).notice).toBe(`${why}The address answered with the status 404.`);
  expect((await read(`${files.url}/down`)).notice).toBe(`${why}The address answered with the status 503.`);
});

test('The content decides what a file is, and not what its server says', async () => {
  expect((await read(`${files.url}/image`)).row).toMatchObject({ kind: 'IMAGE', mediaType: 'image/png' });
  expect((await read(`${files.url}/pdf`)).row).toMatchObject({
    kind: 'TEXT',
    text: expect.stringContaining('Forty two'),
  });
  const page = (await read(`${files.url}/page`)).row;
  expect(page).toMatchObject({ kind: 'TEXT', mediaType: 'text/html', text: 'Please log in' });
  // What the message says of it must agree, as for uploads: a page to log in is no picture.
  const claim = { name: 'photo', type: 'image/png' };
  expect(await read(`${files.url}/page`, claim)).toEqual({
    row: null,
    notice: `${why}The file must be what it says (image/png), and its content is something else.`,
  });
});

test('Files that are made to break their reader break nothing', async () => {
  expect((await read(`${files.url}/bomb`)).notice).toBe(
    `${why}The file must have at most 50 megapixels, and it has 20000 × 20000 pixels.`,
  );
  expect((await read(`${files.url}/broken-image`)).notice).toContain('is an image that cannot be read');
  const unknown = { row: null, notice: 'Models cannot read files of this type: they are told its name and type.' };
  // Nothing is unpacked.
  expect(await read(`${files.url}/zipped`)).toEqual(unknown);
  expect(await read(`${files.url}/program`)).toEqual(unknown);
});

test('A run that is stopped while an address is read ends for its own reason, and not with a notice', async () => {
  const guard = new AddressGuard([`127.0.0.1:${files.port}/`], answering('127.0.0.1'));
  const reader = new AddressReader({ attachments: app.app.attachments, guard, logger: pino({ level: 'silent' }) });
  const stop = new AbortController();
  const before = files.visits.length;
  const read = reader.read(viewer, { name: 'a', type: 'b/c', url: `${files.url}/silent` }, stop.signal);
  const reason = new UnavailableError('Stopped.');
  const stopped = expect(read).rejects.toBe(reason);
  await expect.poll(() => files.visits.length, { timeout: 30_000 }).toBe(before + 1);
  // As an error of the address, it would be told to the model.
  stop.abort(reason);
  await stopped;
});
