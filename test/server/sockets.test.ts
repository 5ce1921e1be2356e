import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Client, createClient } from 'graphql-ws';
import { generateKeyPair, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startTestApp, type TestApp, testAudience, testIssuer } from '../support/app.ts';
import { openRawSocket } from '../support/clients/raw-socket.ts';
import { edgeSchema, flood, ticks } from './edge-schema.ts';

let edge: TestApp;
beforeAll(async () => {
  edge = await startTestApp({
    schema: edgeSchema,
    env: { ALLOWED_ORIGINS: 'https://app.test', SOCKETS_PER_USER: '3' },
  });
});
afterAll(() => edge[Symbol.asyncDispose]());
// Every source that a test opened was left when its socket went.
afterEach(() => expect.poll(() => ticks.open).toBe(0));

const authorize = async (sub = 'alice', ttl = 3600) => ({ authorization: `Bearer ${await edge.token({ sub, ttl })}` });
const subscribe = (query: string, id = '1', more: object = {}) => ({
  type: 'subscribe',
  id,
  payload: { query, ...more },
});

describe('a socket', () => {
  test('A socket carries queries, mutations and subscriptions', async () => {
    await using socket = await openRawSocket(edge.wsUrl, await authorize());
    socket.send(subscribe('{ user }'));
    expect(await socket.next()).toEqual({ type: 'next', id: '1', payload: { data: { user: 'alice' } } });
    expect(await socket.next()).toMatchObject({ type: 'complete', id: '1' });
    socket.send(subscribe('mutation { act }', '2'));
    expect(await socket.next()).toMatchObject({ payload: { data: { act: 'done' } } });
    expect(await socket.next()).toMatchObject({ type: 'complete', id: '2' });
    socket.send(subscribe('subscription { tick }', '3'));
    expect(await socket.next()).toMatchObject({ id: '3', payload: { data: { tick: 0 } } });
    expect(ticks.open).toBe(1);
    socket.send({ type: 'complete', id: '3' });
    await expect.poll(() => ticks.open).toBe(0);
  });

  test('A socket accepts the token without its scheme, too', async () => {
    await using socket = await openRawSocket(edge.wsUrl, { authorization: await edge.token({ sub: 'bob' }) });
    socket.send(subscribe('{ user }'));
    expect(await socket.next()).toMatchObject({ payload: { data: { user: 'bob' } } });
  });

  test('A socket accepts the token from the headers of an operation, as GraphiQL sends it', async () => {
    await using socket = await openRawSocket(edge.wsUrl);
    const { authorization } = await authorize('carol');
    socket.send(subscribe('{ user }', '1', { extensions: { headers: { Authorization: authorization } } }));
    expect(await socket.next()).toMatchObject({ payload: { data: { user: 'carol' } } });
    await socket.next();
    socket.send(subscribe('{ user }', '2', { extensions: { headers: { authorization: 'Bearer x' } } }));
    expect(await socket.next()).toMatchObject({
      type: 'error',
      payload: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
    socket.send(subscribe('{ user }', '3'));
    expect(await socket.next()).toMatchObject({
      type: 'error',
      payload: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
  });

  test('A socket that is cut ends the sources of its subscriptions', async () => {
    const socket = await openRawSocket(edge.wsUrl, await authorize());
    socket.send(subscribe('subscription { tick }'));
    await socket.next();
    expect(ticks.open).toBe(1);
    await socket[Symbol.asyncDispose]();
    await expect.poll(() => ticks.open).toBe(0);
  });
});

describe('errors of one operation on a socket', () => {
  test.each([
    { what: 'syntax', query: '{ user', code: 'BAD_USER_INPUT' },
    { what: 'validation', query: '{ nothing }', code: 'BAD_USER_INPUT' },
    { what: 'no such operation', query: '{ user }', more: { operationName: 'Other' }, code: 'BAD_USER_INPUT' },
    {
      what: 'too many aliases',
      query: `{ ${Array.from({ length: 31 }, (_, n) => `a${n}: user`).join(' ')} }`,
      code: 'QUERY_TOO_COMPLEX',
    },
    { what: 'too many tokens', query: `{ ${'user '.repeat(4_001)} }`, code: 'QUERY_TOO_COMPLEX' },
    { what: 'a cost over the limit', query: 'subscription { expensive }', code: 'QUERY_TOO_COMPLEX' },
    {
      what: 'a variable',
      query: 'query ($n: Int) { echo(count: $n) }',
      more: { variables: { n: 'x' } },
      code: 'BAD_USER_INPUT',
    },
    { what: 'a subscription that is refused', query: 'subscription { refused }', code: 'NOT_FOUND' },
    { what: 'a failure of ours', query: '{ boom }', code: 'INTERNAL' },
    { what: 'a subscription that fails as it begins', query: 'subscription { badly }', code: 'INTERNAL' },
    { what: 'a subscription that breaks', query: 'subscription { breaks }', code: 'INTERNAL' },
    { what: 'an event that fails', query: 'subscription { sometimes }', code: 'INTERNAL' },
  ])('Only the operation that is wrong gets the error: $what is $code', async ({ query, more, code }) => {
    await using socket = await openRawSocket(edge.wsUrl, await authorize());
    socket.send(subscribe('subscription { tick }', 'other'));
    await socket.next();
    const opened = ticks.opened;
    socket.send(subscribe(query, 'wrong', more));
    let heard = '';
    while (!/"type":"(error|complete)"/.test(heard)) heard += JSON.stringify(await socket.next());
    expect(heard).toContain(`"code":"${code}"`);
    expect(heard).not.toContain('secret');
    expect(ticks.opened).toBe(opened);

    socket.send(subscribe('{ user }', 'after'));
    expect(await socket.next()).toMatchObject({ id: 'after', payload: { data: { user: 'alice' } } });
    expect(ticks.open).toBe(1);
  });

  test('A 33rd operation at the same time is refused', async () => {
    await using socket = await openRawSocket(edge.wsUrl, await authorize());
    for (let n = 1; n <= 32; n += 1) socket.send(subscribe('subscription { tick }', String(n)));
    for (let n = 1; n <= 32; n += 1) expect(await socket.next()).toMatchObject({ type: 'next' });
    socket.send(subscribe('subscription { tick }', '33'));
    expect(await socket.next()).toMatchObject({
      type: 'error',
      id: '33',
      payload: [{ extensions: { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) } }],
    });
    socket.send({ type: 'complete', id: '1' });
    await expect.poll(() => ticks.open).toBe(31);
    socket.send(subscribe('subscription { tick }', '33'));
    expect(await socket.next()).toMatchObject({ type: 'next', id: '33' });
  });
});

describe('the closing of a socket', () => {
  test.each([
    { what: 'for good with a bad token', params: { authorization: 'Bearer x' }, code: 4401 },
    { what: 'for good with another scheme', params: { authorization: 'Basic abc def' }, code: 4401 },
    { what: 'for good with a token that is a number', params: { authorization: 7 }, code: 4401 },
    { what: 'for good with a token that is an object', params: { Authorization: { token: 'x' } }, code: 4401 },
  ])('A socket is closed for a protocol fault: $what', async ({ params, code }) => {
    await using socket = await openRawSocket(edge.wsUrl, null);
    socket.send({ type: 'connection_init', payload: params });
    expect((await socket.closed).code).toBe(code);
  });

  test('A socket with an expired token is closed so that the client tries again', async () => {
    await using socket = await openRawSocket(edge.wsUrl, null);
    socket.send({ type: 'connection_init', payload: await authorize('alice', -60) });
    expect(await socket.closed).toEqual({ code: 4403, reason: 'The access token has expired.' });
  });

  test.each([
    { how: 'of the connection', byMessage: false },
    { how: 'of an operation', byMessage: true },
  ])('A socket is closed when the token $how expires', async ({ byMessage }) => {
    const headers = await authorize('alice', 3);
    await using socket = await openRawSocket(edge.wsUrl, byMessage ? {} : headers);
    socket.send(subscribe('subscription { tick }', '1', byMessage ? { extensions: { headers } } : {}));
    expect(await socket.next()).toMatchObject({ payload: { data: { tick: 0 } } });
    expect((await socket.closed).code).toBe(4403);
  });

  test('A socket is not closed early if its token expires after more than the longest timeout', async () => {
    await using socket = await openRawSocket(edge.wsUrl, await authorize('alice', 60 * 24 * 3600));
    socket.send(subscribe('{ user }'));
    expect(await socket.next()).toMatchObject({ payload: { data: { user: 'alice' } } });
    await socket.next();
    socket.send({ type: 'ping' });
    expect(await socket.next()).toMatchObject({ type: 'pong' });
  });

  const bad = [
    { what: 'no JSON', message: '{', code: 4400 },
    { what: 'no object', message: '[]', code: 4400 },
    { what: 'no type', message: '{}', code: 4400 },
    { what: 'an unknown type', message: { type: 'start', id: '1' }, code: 4400 },
    { what: 'a message that only servers send', message: { type: 'next', id: '1', payload: { data: {} } }, code: 4400 },
    { what: 'a subscribe without id', message: { type: 'subscribe', payload: { query: '{ user }' } }, code: 4400 },
    { what: 'a subscribe without query', message: { type: 'subscribe', id: '1', payload: {} }, code: 4400 },
    { what: 'a second init', message: { type: 'connection_init' }, code: 4429 },
    { what: 'more than 256 KB', message: subscribe(`{ user } # ${'x'.repeat(256 * 1024)}`), code: 1009 },
  ];
  test.each(bad)('A socket is closed after $what', async ({ message, code }) => {
    await using socket = await openRawSocket(edge.wsUrl, await authorize());
    socket.send(message);
    expect((await socket.closed).code).toBe(code);
  });

  test('A socket is closed after an operation before the init, a name in use, and another protocol', async () => {
    await using early = await openRawSocket(edge.wsUrl, null);
    early.send(subscribe('{ user }'));
    expect((await early.closed).code).toBe(4401);
    await using twice = await openRawSocket(edge.wsUrl, await authorize());
    twice.send(subscribe('subscription { tick }'));
    twice.send(subscribe('subscription { tick }'));
    expect((await twice.closed).code).toBe(4409);
    const other = new WebSocket(edge.wsUrl, 'graphql-ws');
    other.on('error', () => {});
    await new Promise((resolve) => other.once('close', resolve));
    expect(other.readyState).toBe(WebSocket.CLOSED);
  });
});

describe('the upgrade', () => {
  const attempt = (url: string, origin?: string) =>
    new Promise<number | 'open'>((resolve) => {
      const socket = new WebSocket(url, 'graphql-transport-ws', origin === undefined ? {} : { origin });
      socket.once('open', () => {
        resolve('open');
        socket.terminate();
      });
      socket.once('unexpected-response', (request, response) => {
        resolve(response.statusCode ?? 0);
        request.destroy();
      });
      socket.once('error', () => {});
    });

  test('The upgrade is for pages of allowed origins, the server’s own, and clients that are no page', async () => {
    expect(await attempt(edge.wsUrl, 'https://evil.test')).toBe(403);
    expect(await attempt(edge.wsUrl, 'null')).toBe(403);
    expect(await attempt(edge.wsUrl, 'https://app.test')).toBe('open');
    expect(await attempt(edge.wsUrl, edge.url)).toBe('open');
    expect(await attempt(edge.wsUrl)).toBe('open');
  });

  test('The upgrade is at /graphql only', async () => {
    expect(await attempt(edge.wsUrl.replace('/graphql', '/other'))).toBe(404);
  });
});

test('A user has a maximum of sockets; the next is told to try later, and may when one is closed', async () => {
  const params = await authorize('dave');
  await using sockets = new AsyncDisposableStack();
  const first = await openRawSocket(edge.wsUrl, params);
  for (let n = 0; n < 2; n += 1) sockets.use(await openRawSocket(edge.wsUrl, params));
  await using fourth = await openRawSocket(edge.wsUrl, null);
  fourth.send({ type: 'connection_init', payload: params });
  expect(await fourth.closed).toMatchObject({ code: 1013, reason: expect.stringContaining('at most 3 per user') });
  await using somebodyElse = await openRawSocket(edge.wsUrl, await authorize('erin'));
  expect(somebodyElse.socket.readyState).toBe(WebSocket.OPEN);

  // The same by way of an operation: there it is the operation's error.
  await using late = await openRawSocket(edge.wsUrl);
  late.send(subscribe('{ user }', '1', { extensions: { headers: params } }));
  expect(await late.next()).toMatchObject({ type: 'error', payload: [{ extensions: { code: 'RATE_LIMITED' } }] });

  await first[Symbol.asyncDispose]();
  await expect
    .poll(async () => {
      late.send(subscribe('{ user }', crypto.randomUUID(), { extensions: { headers: params } }));
      return (await late.next()).type;
    })
    .toBe('next');
});

test('Each operation has its line in the log, a subscription with its events, at its end', async () => {
  await using socket = await openRawSocket(edge.wsUrl, await authorize('frank'));
  for (const query of ['query Meet { user }', 'query Count { statements }', 'subscription Some { sometimes }']) {
    socket.send(subscribe(query));
    while ((await socket.next()).type !== 'complete');
  }
  const lines = edge.logs.filter((line) => line.msg === 'operation' && line.user === 'frank');
  expect(lines).toMatchObject([
    { transport: 'ws', operation: 'Meet', type: 'query', tenant: 'acme' },
    { transport: 'ws', operation: 'Count', type: 'query', statements: 2 },
    { transport: 'ws', operation: 'Some', type: 'subscription', events: 2, errors: ['INTERNAL'] },
  ]);
});

test('The frames of one tick arrive whole and in order, however many streams there are', async () => {
  await using socket = await openRawSocket(edge.wsUrl, await authorize());
  for (let n = 0; n < 30; n += 1) socket.send(subscribe('subscription { sometimes }', String(n)));
  const heard = new Map<string, string[]>();
  for (let completed = 0; completed < 30; ) {
    const { id = '', type } = await socket.next();
    heard.set(id, [...(heard.get(id) ?? []), type]);
    if (type === 'complete') completed += 1;
  }
  expect([...heard.values()]).toEqual(Array(30).fill(['next', 'next', 'complete']));
});

test('A reader that does not read holds up its own source, and nothing piles up', async () => {
  await using socket = await openRawSocket(edge.wsUrl, await authorize());
  socket.send(subscribe('subscription { flood }'));
  await socket.next();
  socket.socket.pause();
  let before = -1;
  await expect
    .poll(
      () => {
        const still = flood.taken === before;
        before = flood.taken;
        return still;
      },
      { interval: 300, timeout: 15_000 },
    )
    .toBe(true);
  await using other = await openRawSocket(edge.wsUrl, await authorize('gina'));
  other.send(subscribe('{ user }'));
  expect(await other.next()).toMatchObject({ payload: { data: { user: 'gina' } } });
  socket.socket.resume();
  await expect.poll(() => flood.taken).toBeGreaterThan(before);
});

test('A server that stops says so, and clients come back by themselves to another', async () => {
  const first = await startTestApp({ schema: edgeSchema });
  const codes: number[] = [];
  const token = await edge.token();
  let url = first.wsUrl;
  let bearer = await first.token();
  const client: Client = createClient({
    url: () => url,
    connectionParams: () => ({ authorization: bearer }),
    webSocketImpl: WebSocket,
    retryAttempts: 10,
    retryWait: () => Promise.resolve(),
    on: { closed: (event) => codes.push(Number(Object(event).code)) },
  });
  const events: unknown[] = [];
  const problems: unknown[] = [];
  const stop = client.subscribe(
    { query: 'subscription { tick }' },
    { next: (event) => events.push(event), error: (error) => problems.push(error), complete: () => {} },
  );
  await expect.poll(() => events.length).toBe(1);
  url = edge.wsUrl;
  bearer = token;
  await first[Symbol.asyncDispose]();
  await expect.poll(() => events.length).toBe(2);
  expect(codes[0]).toBe(1012);
  expect(problems).toEqual([]);
  stop();
  await client.dispose();
});

test('If the keys are unreachable the token is not judged: the socket is closed so that clients come back', async () => {
  await using outage = createServer((_request, response) => response.writeHead(503).end());
  await once(outage.listen(0, '127.0.0.1'), 'listening');
  const { port } = outage.address() as AddressInfo;
  await using app = await startTestApp({ env: { JWT_SECRET: '', JWT_JWKS_URL: `http://127.0.0.1:${port}/keys` } });
  const { privateKey } = await generateKeyPair('ES256');
  const token = await new SignJWT({ tenant: 'acme' })
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .setSubject('alice')
    .setIssuer(testIssuer)
    .setAudience(testAudience)
    .setExpirationTime('1h')
    .sign(privateKey);
  await expect(app.ws(token).iterate({ query: '{ __typename }' }).next()).rejects.toMatchObject({ code: 1013 });
  expect((await app.query('{ viewer { userId } }', {}, { token })).status).toBe(401);
});
