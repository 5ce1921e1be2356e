import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import {
  type ChannelLimits,
  channelLimits,
  SocketChannel,
  SocketClosedError,
} from '../../src/server/sockets/channel.ts';
import { Pace } from '../../src/server/sockets/pace.ts';
import { shareApp, startTestApp } from '../support/app.ts';
import { openRawSocket } from '../support/clients/raw-socket.ts';
import { edgeSchema } from './edge-schema.ts';

const edge = shareApp({
  schema: edgeSchema,
  env: {
    UNAUTHENTICATED_SOCKETS: '4',
    UNAUTHENTICATED_SOCKETS_PER_ADDRESS: '3',
    OPERATIONS_PER_USER: '5',
    TRUST_PROXY: '1',
  },
});

const subscribe = (query: string, id = '1', more: object = {}) => ({
  type: 'subscribe',
  id,
  payload: { query, ...more },
});
const authorization = async (sub = 'alice') => `Bearer ${await edge.token({ sub })}`;

/** Opens a channel between a client and a server of this test; `handle` handles the messages of the client. */
async function openChannel(handle: (text: string) => Promise<void>, limits: Partial<ChannelLimits> = {}) {
  const server = createServer();
  const sockets = new WebSocketServer({ server, autoPong: false });
  const channels = Promise.withResolvers<SocketChannel>();
  sockets.on('connection', (socket, request) => {
    channels.resolve(new SocketChannel(socket, request.socket, handle, { ...channelLimits, ...limits }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const client = new WebSocket(`ws://127.0.0.1:${port}`);
  client.on('error', () => {});
  const raw = new Promise<Socket>((resolve) => client.once('upgrade', (response) => resolve(response.socket)));
  const closed = new Promise<number>((resolve) => client.once('close', resolve));
  onTestFinished(() => {
    client.terminate();
    server.closeAllConnections();
    server.close();
  });
  await once(client, 'open');
  return { client, closed, raw: await raw, channel: await channels.promise };
}

describe('A channel', () => {
  test('A socket handles one message at a time, in order', async () => {
    const handled: string[] = [];
    let [running, most] = [0, 0];
    const { client } = await openChannel(async (text) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      handled.push(text);
      running -= 1;
    });
    for (let n = 0; n < 100; n += 1) client.send(String(n));
    await expect.poll(() => handled.length).toBe(100);
    expect(handled).toEqual(Array.from({ length: 100 }, (_, n) => String(n)));
    expect(most).toBe(1);
  });

  test('A socket reads no further message while one is handled, and closes for a client that sends too many at once', async () => {
    const { client, closed, raw } = await openChannel(() => new Promise(() => {}), { maxQueued: 20 });
    // One write, so that the server reads them at once.
    raw.cork();
    for (let n = 0; n < 200; n += 1) client.send('x');
    raw.uncork();
    expect(await closed).toBe(1008);
  });

  test('A socket handles nothing more while much waits to be written, and goes on when the client reads', async () => {
    let handled = 0;
    const opened = Promise.withResolvers<SocketChannel>();
    const { client, channel } = await openChannel(
      async () => {
        handled += 1;
        // Not awaited, as by several operations at once.
        void (await opened.promise).send('x'.repeat(512 * 1024)).catch(() => {});
      },
      { pauseAboveBytes: 256 * 1024, endAboveBytes: 64 * 1024 * 1024 },
    );
    opened.resolve(channel);
    client.pause();
    for (let n = 0; n < 100; n += 1) client.send('x');
    let before = -1;
    await expect
      .poll(
        () => {
          const still = handled === before;
          before = handled;
          return still;
        },
        { interval: 300, timeout: 20_000 },
      )
      .toBe(true);
    expect(handled).toBeLessThan(90);
    client.resume();
    await expect.poll(() => handled, { timeout: 20_000 }).toBe(100);
  });

  test('A stranger who sends more than 64 KB is cut off in the middle of a message, and nobody else is', async () => {
    const handled: number[] = [];
    const handle = async (text: string) => void handled.push(text.length);
    const stranger = await openChannel(handle, { closeMs: 100 });
    stranger.client.send('x'.repeat(1_000));
    await expect.poll(() => handled).toEqual([1_000]);
    stranger.client.send('x'.repeat(1_000_000));
    expect([1006, 1008]).toContain(await stranger.closed);
    expect(handled).toEqual([1_000]);
    const known = await openChannel(handle);
    known.channel.trust();
    known.client.send('x'.repeat(1_000_000));
    await expect.poll(() => handled).toEqual([1_000, 1_000_000]);
  });

  test('A client that does not answer a close frame is cut off', async () => {
    const { client, closed, channel } = await openChannel(async () => {}, { closeMs: 100 });
    client.pause();
    channel.close(4400, 'Too many invalid operations');
    await new Promise((resolve) => setTimeout(resolve, 300));
    client.resume();
    expect([1006, 4400]).toContain(await closed);
  });

  test('A client that sends more than anybody needs to waits: after a burst, for what it has sent', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const pace = new Pace(1_000, 100);
    await pace.wait(600);
    await pace.wait(400);
    let waited = false;
    const waiting = pace.wait(500).then(() => {
      waited = true;
    });
    await vi.advanceTimersByTimeAsync(450);
    expect(waited).toBe(false);
    await vi.advanceTimersByTimeAsync(100);
    await waiting;
    // Nobody saves up more than a second.
    await vi.advanceTimersByTimeAsync(60_000);
    for (let n = 0; n < 100; n += 1) await pace.wait(1);
    waited = false;
    void pace.wait(1).then(() => {
      waited = true;
    });
    await vi.advanceTimersByTimeAsync(5);
    expect(waited).toBe(false);
    await vi.advanceTimersByTimeAsync(10);
    expect(waited).toBe(true);
  });

  test('A socket ends when more waits to be written than one socket may hold', async () => {
    const { client, closed, channel } = await openChannel(async () => {}, { endAboveBytes: 1024 * 1024 });
    client.pause();
    const sends = Array.from({ length: 64 }, () => channel.send('x'.repeat(512 * 1024)));
    const results = await Promise.allSettled(sends);
    expect(results.at(-1)).toMatchObject({ status: 'rejected', reason: expect.any(SocketClosedError) });
    client.resume();
    await closed;
  });

  test('A socket ends when the client reads nothing for too long although something waits', async () => {
    const limits = { stallMs: 50, checkEveryMs: 20, minBytesPerSecond: 1024 ** 3 };
    const { client, closed, channel } = await openChannel(async () => {}, limits);
    client.pause();
    const sends = Array.from({ length: 30 }, () => channel.send('x'.repeat(256 * 1024)));
    const results = await Promise.allSettled(sends);
    expect(results.some(({ status }) => status === 'rejected')).toBe(true);
    client.resume();
    await closed;
  });

  test('A socket answers the last ping of many with its data', async () => {
    const { client } = await openChannel(async () => {});
    const pongs: string[] = [];
    client.on('pong', (data) => pongs.push(String(data)));
    for (let n = 0; n < 50; n += 1) client.ping(String(n));
    await expect.poll(() => pongs.at(-1)).toBe('49');
  });
});

describe('A socket without a token', () => {
  test('A stranger gets pongs without the payload of its pings', async () => {
    await using socket = await openRawSocket(edge.wsUrl, null);
    socket.send({ type: 'ping', payload: { x: 'x'.repeat(1_000) } });
    expect(await socket.next()).toEqual({ type: 'pong' });
  });

  test('A stranger has no document parsed: the error is UNAUTHENTICATED whatever the document is', async () => {
    await using socket = await openRawSocket(edge.wsUrl);
    for (const query of ['{ user', '{ nothing }', '{ __typename }', `{ ${'user '.repeat(4_001)} }`]) {
      socket.send(subscribe(query));
      expect(await socket.next()).toMatchObject({
        type: 'error',
        payload: [{ extensions: { code: 'UNAUTHENTICATED' } }],
      });
    }
  });

  test('A socket is closed after too many operations', async () => {
    await using socket = await openRawSocket(edge.wsUrl);
    for (let n = 0; n < 40; n += 1) socket.send(subscribe('{ user }', String(n)));
    expect(await socket.closed).toEqual({ code: 4400, reason: 'Too many invalid operations' });
  });

  test('A socket is closed when an operation brings an invalid token', async () => {
    for (const header of ['Bearer x', 7]) {
      await using socket = await openRawSocket(edge.wsUrl);
      socket.send(subscribe('{ user }', '1', { extensions: { headers: { authorization: header } } }));
      expect((await socket.closed).code).toBe(4401);
    }
  });

  test('The bound of unauthenticated sockets counts per address behind a trusted proxy, and in all', async () => {
    await using sockets = new AsyncDisposableStack();
    const open = (address: string) =>
      openRawSocket(edge.wsUrl, null, { headers: { 'x-forwarded-for': `203.0.113.9, ${address}` } });
    const refused = (address: string) => expect(open(address)).rejects.toThrow('429');
    for (let n = 0; n < 3; n += 1) sockets.use(await open('198.51.100.1'));
    await refused('198.51.100.1');
    // The first entry of the header is whatever the client sent.
    const other = await open('2001:db8:1:2::1');
    await refused('198.51.100.2');
    other.send({ type: 'connection_init', payload: { authorization: await authorization() } });
    expect(await other.next()).toMatchObject({ type: 'connection_ack' });
    // It has a token now, which makes room for another.
    sockets.use(await open('2001:db8:1:2::2'));
    sockets.use(other);
  });
});

test('A valid token does not protect a socket that sends invalid documents again and again', async () => {
  await using socket = await openRawSocket(edge.wsUrl, { authorization: await authorization() });
  for (let n = 0; n < 40; n += 1) socket.send(subscribe('{ nothing }', String(n)));
  expect((await socket.closed).code).toBe(4400);
});

test('Operations that are refused for a while, and hashes of documents that are not known, do not close a socket', async () => {
  await using socket = await openRawSocket(edge.wsUrl, { authorization: await authorization('hana') });
  for (let n = 1; n <= 5; n += 1) socket.send(subscribe('subscription { tick }', `open${n}`));
  for (let n = 1; n <= 5; n += 1) expect(await socket.next()).toMatchObject({ type: 'next' });
  for (let n = 1; n <= 40; n += 1) {
    socket.send(subscribe('{ user }', `more${n}`));
    expect(await socket.next()).toMatchObject({ type: 'error', payload: [{ extensions: { code: 'RATE_LIMITED' } }] });
  }
  socket.send({ type: 'complete', id: 'open1' });
  for (let n = 1; n <= 40; n += 1) {
    const sha256Hash = createHash('sha256').update(`document ${n}`).digest('hex');
    socket.send(subscribe('', `hash${n}`, { extensions: { persistedQuery: { version: 1, sha256Hash } } }));
    expect(await socket.next()).toMatchObject({ type: 'error', payload: [{ message: 'PersistedQueryNotFound' }] });
  }
  socket.send(subscribe('{ user }', 'last'));
  expect(await socket.next()).toMatchObject({ type: 'next', id: 'last' });
});

test('The operations of a user count together over sockets and SSE', async () => {
  const token = await authorization('gina');
  await using socket = await openRawSocket(edge.wsUrl, { authorization: token });
  for (let n = 1; n <= 3; n += 1) socket.send(subscribe('subscription { tick }', String(n)));
  for (let n = 1; n <= 3; n += 1) expect(await socket.next()).toMatchObject({ type: 'next' });
  const controller = new AbortController();
  const open = () =>
    fetch(`${edge.url}/graphql`, {
      method: 'POST',
      headers: { authorization: token, accept: 'text/event-stream', 'content-type': 'application/json' },
      body: JSON.stringify({ query: 'subscription { tick }' }),
      signal: controller.signal,
    });
  expect((await open()).status).toBe(200);
  expect((await open()).status).toBe(200);
  const refused = await open();
  expect(refused.status).toBe(429);
  expect(await refused.text()).toContain('at most 5 per user');
  socket.send(subscribe('subscription { tick }', '4'));
  expect(await socket.next()).toMatchObject({ type: 'error', payload: [{ extensions: { code: 'RATE_LIMITED' } }] });
  const bob = await edge.query('{ user }', {}, { token: await edge.token({ sub: 'bob' }) });
  expect(bob.errors).toEqual([]);
  controller.abort();
  const again = async () => (await edge.query('{ user }', {}, { token: await edge.token({ sub: 'gina' }) })).status;
  await expect.poll(again).toBe(200);
});

test('In production a socket without a token is closed at connection_init', async () => {
  const env = {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    ENCRYPTION_KEYS: `k1:${Buffer.alloc(32).toString('base64')}`,
    ALLOWED_ORIGINS: 'https://app.test',
  };
  await using live = await startTestApp({ env, schema: edgeSchema });
  for (const payload of [undefined, {}, { authorization: '' }, { authorization: null }]) {
    await using socket = await openRawSocket(live.wsUrl, null);
    socket.send({ type: 'connection_init', payload });
    expect((await socket.closed).code).toBe(4401);
  }
});
