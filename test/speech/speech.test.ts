import { once } from 'node:events';
import { createServer, type IncomingMessage, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ConcurrencyLimit } from '../../src/limits/concurrency-limit.ts';
import { decodeForWhisper, readWav } from '../../src/providers/speech/wav.ts';
import { parseKeyRing } from '../../src/secrets/key-ring.ts';
import { createFileRoute } from '../../src/server/http/files.ts';
import { deleteExpiredClips, pieceBytes } from '../../src/speech/clips.ts';
import { shareApp, startTestApp, type TestApp, testKeys } from '../support/app.ts';

const speak =
  'mutation ($text: String!, $agentId: ID) { synthesizeSpeech(text: $text, agentId: $agentId) { url mediaType size } }';
const origin = 'https://app.test';
/** The demo model answers, and speaks. */
const demo = { OPENAI_BASE_URL: '', MODEL: '', ALLOWED_ORIGINS: origin };

const app = shareApp({ env: demo });

async function say(text: string, token?: string) {
  const answer = await app.query(speak, { text }, token === undefined ? {} : { token });
  expect(answer.errors).toEqual([]);
  const clip: { url: string; mediaType: string; size: number } = answer.data.synthesizeSpeech;
  return clip;
}

async function fetchClip(url: string, headers: Record<string, string> = {}, method = 'GET') {
  const authorization = `Bearer ${await app.token()}`;
  const response = await fetch(`${app.url}${url}`, { method, headers: { authorization, ...headers } });
  return { response, bytes: Buffer.from(await response.arrayBuffer()) };
}

describe('the demo speaks', () => {
  test('The demo speaks a real WAV, as long as its text, that its owner can fetch', async () => {
    const short = await say('Hello.');
    const long = await say('Hello, where is my order 1042, and can I get a refund?');
    expect(short).toEqual({
      url: expect.stringMatching(/^\/speech\/clip_[0-9a-f-]{36}$/),
      mediaType: 'audio/wav',
      size: expect.any(Number),
    });

    const { response, bytes } = await fetchClip(long.url);
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'audio/wav',
      'content-length': String(long.size),
      'accept-ranges': 'bytes',
      'cache-control': 'private, no-cache',
      'x-content-type-options': 'nosniff',
    });
    expect(bytes.length).toBe(long.size);
    const wav = readWav(bytes);
    expect(wav).toMatchObject({ encoding: 'integer', channels: 1, sampleRate: 24_000, bitsPerSample: 16 });
    const loudest = Math.max(...[...decodeForWhisper(wav)].flatMap((block) => [...block].map(Math.abs)));
    expect(loudest).toBeGreaterThan(0.1);
    expect(loudest).toBeLessThan(0.5);
    expect(wav.durationMs).toBeGreaterThan(2 * readWav((await fetchClip(short.url)).bytes).durationMs);
  });

  test('The demo speaks a long text, in pieces that are stored as they were made', async () => {
    const clip = await say('one two three '.repeat(70));
    expect(clip.size).toBeGreaterThan(3 * pieceBytes);
    const { bytes } = await fetchClip(clip.url);
    expect(bytes.length).toBe(clip.size);
    // Its own header says how long it is, so that a piece too many or too few would show.
    expect(bytes.readUInt32LE(4)).toBe(bytes.length - 8);
    expect(bytes.toString('latin1')).toContain('one two three');
  });

  test.each([
    ['nothing', '', 'text must be 1 to 10,000 characters long, and it has 0.'],
    ['spaces', '  \n', 'text must contain something that can be spoken.'],
    ['too much', 'x'.repeat(10_001), 'text must be 1 to 10,000 characters long, and it has 10,001.'],
    ['a lone surrogate', 'x\ud800', 'text must be well-formed Unicode: it contains a lone surrogate.'],
  ])('The demo does not speak %s', async (_, text, message) => {
    const before = await app.app.db.speechClip.count();
    const answer = await app.query(speak, { text });
    expect(answer).toMatchObject({
      status: 400,
      errors: [{ message, extensions: { code: 'BAD_USER_INPUT', path: ['text'] } }],
    });
    expect(await app.app.db.speechClip.count()).toBe(before);
  });

  test('Speech accepts 10,000 characters and an agent of the viewer’s choice, and nobody else’s', async () => {
    const agents = await app.query('{ agents(first: 1) { edges { node { id } } } }');
    const agentId: string = agents.data.agents.edges[0].node.id;
    expect((await app.query(speak, { text: 'x'.repeat(10_000), agentId })).errors).toEqual([]);
    const elsewhere = await app.query(speak, { text: 'x', agentId }, { token: await app.token({ tenant: 'other' }) });
    expect(elsewhere.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    const absent = await app.query(speak, { text: 'x', agentId: 'agt_00000000-0000-4000-8000-000000000000' });
    expect(absent.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
    const wrong = await app.query(speak, { text: 'x', agentId: 'conv_1' });
    expect(wrong.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', path: ['agentId'] } }]);
    await app.app.db.agent.updateMany({ where: { id: agentId.slice(4) }, data: { isActive: false } });
    app.app.runs.agents.config.clear();
    const inactive = await app.query(speak, { text: 'x', agentId });
    expect(inactive.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', path: ['agentId'] } }]);
    await app.app.db.agent.updateMany({ where: { id: agentId.slice(4) }, data: { isActive: true } });
    app.app.runs.agents.config.clear();
  });

  test('Speech needs a token', async () => {
    expect(await app.query(speak, { text: 'x' }, { token: null })).toMatchObject({ status: 401 });
  });
});

describe('a clip', () => {
  test('A clip is for its owner only', async () => {
    const { url } = await say('A secret.');
    const get = async (headers: Record<string, string>) => (await fetch(`${app.url}${url}`, { headers })).status;
    const bearer = async (claims: Parameters<TestApp['token']>[0]) => ({
      authorization: `Bearer ${await app.token(claims)}`,
    });
    expect(await get({})).toBe(401);
    expect(await get({ authorization: 'Bearer x' })).toBe(401);
    expect(await get(await bearer({ ttl: -60 }))).toBe(401);
    expect(await get(await bearer({ sub: 'bob' }))).toBe(403);
    expect(await get(await bearer({ sub: 'alice', tenant: 'other' }))).toBe(403);
    expect(await get(await bearer({ sub: 'admin', roles: ['admin'] }))).toBe(403);
    expect(await get(await bearer({}))).toBe(200);
  });

  test('A clip that does not exist is not found, whatever its name', async () => {
    for (const id of ['clip_00000000-0000-4000-8000-000000000000', 'clip_1', '', '../graphql', '%00']) {
      const { response, bytes } = await fetchClip(`/speech/${id}`);
      expect(response.status, id).toBe(id === '../graphql' ? 405 : 404);
      expect(bytes.toString()).toContain('"errors"');
    }
  });

  test.each([
    ['bytes=0-99', 206, 0, 99],
    ['bytes=100-', 206, 100, -1],
    ['bytes=-50', 206, -50, -1],
    [`bytes=${pieceBytes - 3}-${pieceBytes + 2}`, 206, pieceBytes - 3, pieceBytes + 2],
    ['bytes=5-999999999', 206, 5, -1],
    ['bytes=-999999999', 206, 0, -1],
    ['bytes=0-1,5-6', 200, 0, -1],
    ['bytes=9-3', 200, 0, -1],
    ['pages=1-2', 200, 0, -1],
    ['bytes=-', 200, 0, -1],
  ])('A clip is served in ranges: %s', async (range, status, first, last) => {
    const clip = await say('one two three '.repeat(30));
    const whole = (await fetchClip(clip.url)).bytes;
    expect(whole.length).toBeGreaterThan(pieceBytes + 3);
    const { response, bytes } = await fetchClip(clip.url, { range });
    expect(response.status).toBe(status);
    const from = first < 0 ? whole.length + first : first;
    const to = last < 0 ? whole.length - 1 : last;
    expect(bytes.equals(whole.subarray(from, to + 1))).toBe(true);
    const contentRange = status === 206 ? `bytes ${from}-${to}/${whole.length}` : null;
    expect(response.headers.get('content-range')).toBe(contentRange);
  });

  test('A clip has its size, its tag and its methods', async () => {
    const clip = await say('Once more.');
    const beyond = await fetchClip(clip.url, { range: `bytes=${clip.size}-` });
    expect(beyond.response.status).toBe(416);
    expect(beyond.response.headers.get('content-range')).toBe(`bytes */${clip.size}`);
    for (const range of ['bytes=-0', 'bytes=-00', 'bytes=-000000000000000']) {
      expect([range, (await fetchClip(clip.url, { range })).response.status]).toEqual([range, 416]);
    }
    const head = await fetchClip(clip.url, {}, 'HEAD');
    expect(head.response.headers.get('content-length')).toBe(String(clip.size));
    expect(head.bytes.length).toBe(0);
    const etag = head.response.headers.get('etag') ?? '';
    for (const known of [etag, `W/${etag}`, `"old", ${etag}`, `"old",W/${etag} , "older"`, '*']) {
      const { response, bytes } = await fetchClip(clip.url, { 'if-none-match': known });
      expect([known, response.status, bytes.length]).toEqual([known, 304, 0]);
    }
    for (const other of ['"old"', `W/"old", "x${etag.slice(1)}`, etag.slice(1, -1), '"*"', '']) {
      expect([other, (await fetchClip(clip.url, { 'if-none-match': other })).response.status]).toEqual([other, 200]);
    }
    // A range of it goes by the very same bytes only.
    const weak = { range: 'bytes=0-1', 'if-range': `W/${etag}` };
    expect((await fetchClip(clip.url, weak)).response.status).toBe(200);
    expect((await fetchClip(clip.url, { range: 'bytes=0-1', 'if-range': etag })).response.status).toBe(206);
    expect((await fetchClip(clip.url, { range: 'bytes=0-1', 'if-range': '"old"' })).response.status).toBe(200);
    expect((await fetchClip(clip.url, {}, 'DELETE')).response.status).toBe(405);
  });

  test('A clip that is being read counts as an open operation, and its connection ends if the player reads nothing', async () => {
    const clip = await say('one two three '.repeat(700));
    const viewer = { userId: 'alice', tenantId: 'acme', roles: [], expiresAt: Number.POSITIVE_INFINITY };
    const openOperations = new ConcurrencyLimit('open operations', { user: 1, tenant: null, process: null });
    const keys = parseKeyRing(testKeys);
    const route = {
      db: app.app.db,
      store: null,
      keys,
      verifyToken: async () => viewer,
      openOperations,
      signedReads: { ofFile: openOperations, ofOwner: openOperations },
      maxStallMs: 300,
    };
    const serve = createFileRoute(route);
    const server = createServer((request, response) => void serve(request, response));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const options = { port, host: '127.0.0.1', path: clip.url, headers: { authorization: 'Bearer x' } };
    const get = async () => {
      const request = sendRequest(options).end();
      request.on('error', () => {});
      const [response]: IncomingMessage[] = await once(request, 'response');
      if (response === undefined) throw new Error('There is no response.');
      response.on('error', () => {});
      return response.pause();
    };
    expect((await get()).statusCode).toBe(200);
    expect((await get()).statusCode).toBe(429);
    await expect.poll(() => openOperations.size).toBe(0);
    expect((await get()).statusCode).toBe(200);
  });

  test('A clip can be fetched by pages of allowed origins and no others', async () => {
    const { url } = await say('From a page.');
    expect((await fetchClip(url, { origin: 'https://evil.test' })).response.status).toBe(403);
    const { response } = await fetchClip(url, { origin });
    expect(response.status).toBe(200);
    expect(response.headers.get('access-control-allow-origin')).toBe(origin);
    const preflight = await fetch(`${app.url}${url}`, { method: 'OPTIONS', headers: { origin } });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-methods')).toContain('GET');
    expect(preflight.headers.get('access-control-allow-headers')).toMatch(/authorization.*range/);
  });

  test('A clip expires, and is deleted with its sound, and only then', async () => {
    const { db } = app.app;
    const gone = await say('Soon forgotten.');
    const kept = await say('Not yet.');
    const id = gone.url.slice('/speech/clip_'.length);
    await db.speechClip.update({ where: { id }, data: { expiresAt: new Date(Date.now() - 1_000) } });
    expect((await fetchClip(gone.url)).response.status).toBe(404);
    expect(await deleteExpiredClips(db, new Date())).toBe(1);
    expect(await db.speechChunk.count({ where: { clipId: id } })).toBe(0);
    expect((await fetchClip(kept.url)).response.status).toBe(200);

    // More than one batch.
    const tenant = { tenantId: 'acme', userId: 'alice', mediaType: 'audio/wav', size: 1 };
    await db.speechClip.createMany({ data: Array.from({ length: 45 }, () => ({ ...tenant, expiresAt: new Date(0) })) });
    expect(await deleteExpiredClips(db, new Date())).toBe(45);
    expect(await deleteExpiredClips(db, new Date())).toBe(0);
    expect((await fetchClip(kept.url)).response.status).toBe(200);
  });

  test('A clip lives as long as SPEECH_TTL_SECONDS says', async () => {
    await using brief = await startTestApp({ env: { ...demo, SPEECH_TTL_SECONDS: '50' } });
    const before = Date.now();
    const answer = await brief.query(speak, { text: 'Brief.' });
    const id: string = answer.data.synthesizeSpeech.url.slice('/speech/clip_'.length);
    const { expiresAt } = await brief.app.db.speechClip.findUniqueOrThrow({ where: { id } });
    expect(expiresAt.getTime()).toBeGreaterThanOrEqual(before + 50_000);
    expect(expiresAt.getTime()).toBeLessThanOrEqual(Date.now() + 50_000);
  });
});

test('RATE_LIMIT_SPEECH bounds how often a user has something spoken', async () => {
  await using limited = await startTestApp({ env: { ...demo, RATE_LIMIT_SPEECH: '1/60' } });
  expect((await limited.query(speak, { text: 'One.' })).errors).toEqual([]);
  expect(await limited.query(speak, { text: 'Two.' })).toMatchObject({
    status: 429,
    errors: [{ extensions: { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) } }],
  });
  expect(await limited.app.db.speechClip.count()).toBe(1);
  expect((await limited.query(speak, { text: 'One.' }, { token: await limited.token({ sub: 'bob' }) })).errors).toEqual(
    [],
  );
});

describe('the storage of a user’s clips', () => {
  const dora = { sub: 'dora' };
  const sayAs = async (claims: { sub: string }) =>
    app.query(speak, { text: 'Hi.' }, { token: await app.token(claims) });
  const keep = (sizes: readonly number[], expiresAt = new Date(Date.now() + 90_000)) =>
    app.app.db.speechClip.createMany({
      data: sizes.map((size) => ({ tenantId: 'acme', userId: 'dora', mediaType: 'audio/wav', size, expiresAt })),
    });
  const count = () => app.app.db.speechClip.count({ where: { userId: 'dora' } });
  const forget = () => app.app.db.speechClip.deleteMany({ where: { userId: 'dora' } });

  test.each([
    ['200 clips', Array.from({ length: 199 }, () => 1)],
    // The one that is made counts as the largest that it can become, 32 MB.
    ['500 MB', [468_000_000 - 200_000]],
  ])('The clips of a user are limited to %s', async (_, sizes) => {
    await app.query('{ viewer { userId } }', {}, { token: await app.token(dora) });
    // What has expired does not count.
    await keep([400_000_000, ...Array.from({ length: 100 }, () => 1)], new Date(Date.now() - 1_000));
    await keep(sizes);
    const before = await count();
    expect((await sayAs(dora)).errors).toEqual([]);
    await keep(sizes.length > 1 ? [] : [200_000]);
    const kept = await count();
    const refused = await sayAs(dora);
    expect(refused).toMatchObject({
      status: 429,
      errors: [{ message: expect.stringContaining('200 clips and 500 MB'), extensions: { code: 'RATE_LIMITED' } }],
    });
    // When the first of it expires.
    expect(refused.errors[0]?.extensions.retryAfterMs).toBeGreaterThan(1_000);
    expect(refused.errors[0]?.extensions.retryAfterMs).toBeLessThanOrEqual(90_000);
    expect([before + 1 <= kept, await count()]).toEqual([true, kept]);
    expect((await sayAs({ sub: 'alice' })).errors).toEqual([]);
    await forget();
    expect((await sayAs(dora)).errors).toEqual([]);
    await forget();
  });

  test('The limit of clips holds for those that are made at the same time', async () => {
    await keep(Array.from({ length: 197 }, () => 1));
    const answers = await Promise.all(Array.from({ length: 10 }, () => sayAs(dora)));
    const codes = new Set(answers.flatMap(({ errors }) => errors.map(({ extensions }) => extensions.code)));
    expect([...codes]).toEqual(['RATE_LIMITED']);
    expect(await count()).toBeLessThanOrEqual(200);
    await forget();
  });
});

test('Without a speech provider, speak says so', async () => {
  await using silent = await startTestApp();
  expect(await silent.query(speak, { text: 'Hello?' })).toMatchObject({
    status: 409,
    errors: [{ message: expect.stringContaining('cannot speak'), extensions: { code: 'CONFLICT' } }],
  });
});
