import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { RateLimitedError } from '../../src/api/errors.ts';
import { openRedis } from '../../src/limits/redis.ts';
import { instanceLeaseMs, SharedCounts } from '../../src/limits/shared-counts.ts';
import { SharedConcurrencyLimit } from '../../src/limits/shared-limit.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const redisUrl = process.env.TEST_REDIS_URL;
const viewer = (tenantId: string, userId: string) => ({ tenantId, userId, roles: [], expiresAt: 0 });
const silent = pino({ level: 'silent' });

/** Tries to enter. @returns the entry, or why it was refused */
async function tryEnter(limit: SharedConcurrencyLimit, who: ReturnType<typeof viewer>) {
  try {
    return await limit.enter(who);
  } catch (error) {
    if (error instanceof RateLimitedError) return error.message;
    throw error;
  }
}

/** An instance as far as it counts, over a Redis of its own prefix. */
async function openInstance(prefix: string, bounds = { user: 3, tenant: 4, process: null as number | null }) {
  const redis = openRedis(redisUrl ?? '', prefix, () => {});
  await once(redis, 'ready');
  const counts = new SharedCounts({ redis, logger: silent });
  const limit = new SharedConcurrencyLimit('sockets', bounds, { counts });
  // Its lease is written before anything else is answered.
  await redis.ping();
  return {
    redis,
    counts,
    limit,
    async [Symbol.asyncDispose]() {
      await counts[Symbol.asyncDispose]();
      await redis[Symbol.asyncDispose]();
    },
  };
}

async function openPlain(prefix: string) {
  const redis = new Redis(redisUrl ?? '', { keyPrefix: prefix });
  return Object.assign(redis, { [Symbol.dispose]: () => redis.disconnect() });
}

test('Without Redis, and with one that is unavailable, each process counts for itself: neither open nor closed', async () => {
  const away = openRedis('redis://127.0.0.1:1', `test-${randomUUID()}:`, () => {});
  await using counts = new SharedCounts({ redis: away, logger: silent });
  for (const shared of [null, counts]) {
    const limit = new SharedConcurrencyLimit('sockets', { user: 2, tenant: 3, process: null }, { counts: shared });
    const first = await tryEnter(limit, viewer('acme', 'alice'));
    expect(typeof first).toBe('object');
    expect(typeof (await tryEnter(limit, viewer('acme', 'alice')))).toBe('object');
    expect(await tryEnter(limit, viewer('acme', 'alice'))).toBe('Too many sockets at once: at most 2 per user.');
    expect(typeof (await tryEnter(limit, viewer('acme', 'bob')))).toBe('object');
    expect(await tryEnter(limit, viewer('acme', 'carol'))).toBe(
      'Too many sockets at once: at most 3 per organisation.',
    );
    if (typeof first === 'object') first[Symbol.dispose]();
    expect(typeof (await tryEnter(limit, viewer('acme', 'carol')))).toBe('object');
    expect(limit.size).toBe(3);
  }
  await away[Symbol.asyncDispose]();
});

test.runIf(redisUrl)(
  'The bounds of a user and of a tenant hold for all instances together, and what closes makes room',
  async () => {
    const prefix = `test-${randomUUID()}:`;
    await using one = await openInstance(prefix);
    await using two = await openInstance(prefix);
    const alice = viewer('acme', 'alice');
    const entered = [await one.limit.enter(alice), await two.limit.enter(alice), await two.limit.enter(alice)];
    for (const { limit } of [one, two]) {
      expect(await tryEnter(limit, alice)).toBe('Too many sockets at once: at most 3 per user.');
      // The same name in another tenant is somebody else.
      expect(typeof (await tryEnter(limit, viewer('other', 'alice')))).toBe('object');
    }
    await one.limit.enter(viewer('acme', 'bob'));
    expect(await tryEnter(two.limit, viewer('acme', 'carol'))).toContain('per organisation');
    expect([one.limit.size, two.limit.size]).toEqual([3, 3]);

    entered[2]?.[Symbol.dispose]();
    entered[2]?.[Symbol.dispose]();
    await expect.poll(async () => typeof (await tryEnter(one.limit, alice))).toBe('object');
    expect(await tryEnter(one.limit, alice)).toContain('per');
  },
);

test.runIf(redisUrl)('Refusals leave nothing behind, also if many try at the same time', async () => {
  const prefix = `test-${randomUUID()}:`;
  await using one = await openInstance(prefix, { user: 5, tenant: 100, process: null });
  await using two = await openInstance(prefix, { user: 5, tenant: 100, process: null });
  const alice = viewer('acme', 'alice');
  const all = await Promise.all(Array.from({ length: 60 }, (_, n) => tryEnter(n % 2 ? one.limit : two.limit, alice)));
  const entered = all.filter((each) => typeof each === 'object');
  expect(entered.length).toBeLessThanOrEqual(5);
  for (const each of entered) each[Symbol.dispose]();
  expect([one.limit.size, two.limit.size]).toEqual([0, 0]);
  using plain = await openPlain(prefix);
  await expect.poll(() => plain.hgetall(`open:sockets:user:${JSON.stringify(['acme', 'alice'])}`)).toEqual({});
  for (let n = 0; n < 5; n += 1) await (n % 2 ? one : two).limit.enter(alice);
  expect(await tryEnter(one.limit, alice)).toContain('per user');
});

test.runIf(redisUrl)(
  'What an instance had open that was killed is free when its lease ends, after 15 seconds',
  async () => {
    const prefix = `test-${randomUUID()}:`;
    await using one = await openInstance(prefix);
    using plain = await openPlain(prefix);
    const alice = viewer('acme', 'alice');
    // Killed: it renews nothing, and takes nothing away.
    const dead = openRedis(redisUrl ?? '', prefix, () => {});
    await once(dead, 'ready');
    const killed = new SharedCounts({ redis: dead, logger: silent });
    const limit = new SharedConcurrencyLimit('sockets', { user: 3, tenant: 4, process: null }, { counts: killed });
    await dead.ping();
    for (let n = 0; n < 3; n += 1) await limit.enter(alice);
    dead.disconnect();
    expect(await tryEnter(one.limit, alice)).toContain('per user');

    const leases = async () => (await plain.keys(`${prefix}open:instance:*`)).map((key) => key.slice(prefix.length));
    expect(await leases()).toHaveLength(2);
    for (const lease of await leases()) {
      const left = await plain.pttl(lease);
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(instanceLeaseMs);
    }
    expect(instanceLeaseMs).toBe(15_000);
    // Its end, brought forward. The lease of the one that lives comes back by itself.
    for (const lease of await leases()) await plain.del(lease);
    const entry = await one.limit.enter(alice);
    // Nothing of the dead instance is left.
    expect(Object.values(await plain.hgetall(`open:sockets:user:${JSON.stringify(['acme', 'alice'])}`))).toEqual(['1']);
    entry[Symbol.dispose]();
    await killed[Symbol.asyncDispose]();
  },
);

test.runIf(redisUrl)('A Redis that comes back without its data is told again what is open', async () => {
  const prefix = `test-${randomUUID()}:`;
  await using one = await openInstance(prefix);
  await using two = await openInstance(prefix);
  using plain = await openPlain(prefix);
  const alice = viewer('acme', 'alice');
  for (let n = 0; n < 3; n += 1) await one.limit.enter(alice);
  for (const key of await plain.keys(`${prefix}*`)) await plain.del(key.slice(prefix.length));
  one.redis.disconnect(true);
  await once(one.redis, 'ready');
  await expect.poll(() => tryEnter(two.limit, alice)).toBe('Too many sockets at once: at most 3 per user.');
});

test.runIf(redisUrl)(
  'While its Redis is away an instance decides alone, and afterwards all count what it has let in',
  async () => {
    const prefix = `test-${randomUUID()}:`;
    await using one = await openInstance(prefix);
    await using two = await openInstance(prefix);
    const alice = viewer('acme', 'alice');
    for (let n = 0; n < 2; n += 1) await two.limit.enter(alice);
    one.redis.disconnect();
    await once(one.redis, 'end');
    for (let n = 0; n < 3; n += 1) await one.limit.enter(alice);
    expect(await tryEnter(one.limit, alice)).toContain('per user');
    await one.redis.connect();
    await expect.poll(() => tryEnter(two.limit, alice)).toContain('per user');
  },
);

test.runIf(redisUrl)('An instance that stops gives back its counts at once', async () => {
  const prefix = `test-${randomUUID()}:`;
  await using one = await openInstance(prefix);
  {
    await using two = await openInstance(prefix);
    for (let n = 0; n < 3; n += 1) await two.limit.enter(viewer('acme', 'alice'));
  }
  await one.limit.enter(viewer('acme', 'alice'));
});

/** Two servers on one database and one Redis. */
async function openTwo(env: Record<string, string>) {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createTestDatabase());
  const shared = { ...env, REDIS_URL: redisUrl ?? '', REDIS_PREFIX: `test-${randomUUID()}:` };
  const one = opening.use(await startTestApp({ databaseUrl: database.url, env: shared }));
  const two = opening.use(await startTestApp({ databaseUrl: database.url, env: shared }));
  const opened = opening.move();
  return { one, two, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

test.runIf(redisUrl)(
  'Sockets count on both instances: beyond the limit the next one is closed, and a closed one makes room',
  async () => {
    await using both = await openTwo({ SOCKETS_PER_USER: '2' });
    const { one, two } = both;
    const ask = async (app: TestApp) => {
      const client = app.ws(await app.token());
      const reason = await client
        .iterate({ query: '{ viewer { userId } }' })
        .next()
        .then(
          () => null,
          (closed: { reason?: string }) => closed.reason,
        );
      return { client, reason };
    };
    const first = await ask(one);
    expect(first.reason).toBeNull();
    const idle = await openIdle(one);
    const other = await openIdle(two);
    expect((await ask(two)).reason).toContain('Too many sockets at once: at most 2 per user');
    idle.close();
    await expect.poll(async () => (await ask(two)).reason).toBeNull();
    other.close();
  },
);

/** A socket of alice that stays open. */
async function openIdle(app: TestApp) {
  const client = app.ws(await app.token(), { lazy: false });
  await new Promise<void>((resolve, reject) => {
    client.on('connected', () => resolve());
    client.on('closed', (event) => reject(new Error(JSON.stringify(event))));
  });
  return { close: () => void client.dispose() };
}

const events = 'subscription { viewerEvents { __typename } }';

async function openStream(app: TestApp) {
  const leave = new AbortController();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${await app.token()}`,
    },
    body: JSON.stringify({ query: events }),
    signal: leave.signal,
  });
  return { response, close: () => leave.abort() };
}

test.runIf(redisUrl)('Event streams over HTTP count on both instances, and each that ends makes room', async () => {
  await using both = await openTwo({ EVENT_STREAMS_PER_USER: '2' });
  const { one, two } = both;
  const first = await openStream(one);
  const second = await openStream(two);
  expect([first.response.status, second.response.status]).toEqual([200, 200]);
  const third = await openStream(two);
  expect(await third.response.text()).toContain('Too many event streams at once: at most 2 per user.');
  first.close();
  await expect
    .poll(async () => {
      const next = await openStream(two);
      const type = next.response.headers.get('content-type') ?? '';
      const isOpen = next.response.status === 200 && type.includes('event-stream');
      next.close();
      return isOpen;
    })
    .toBe(true);
  second.close();
});

test('Event streams over HTTP are bounded in one process too', async () => {
  await using app = await startTestApp({ env: { EVENT_STREAMS_PER_USER: '1' } });
  const first = await openStream(app);
  expect(first.response.status).toBe(200);
  const refused = await openStream(app);
  expect(await refused.response.text()).toContain('Too many event streams at once: at most 1 per user.');
  // Sockets and other operations are not counted.
  expect((await app.query('{ viewer { userId } }')).errors).toEqual([]);
  first.close();
});

test.runIf(redisUrl)('Turns at once count on both instances, and end with the turn', async () => {
  await using both = await openTwo({ MAX_TURNS_PER_USER: '1' });
  const { one, two } = both;
  const here = await openSocketClient(one, 'alice');
  const there = await openSocketClient(two, 'alice');
  const gate = createGate();
  one.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
  const reader = here.chatTurn('ws', { conversationId: await here.createConversation({}) });
  await reader.untilText('A');
  const conversationId = await there.createConversation({});
  const start = async () => {
    const input = { conversationId, content: 'hi', idempotencyKey: 'k' };
    const document = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';
    return (await two.query(document, { input }, { token: there.token })).errors[0];
  };
  expect(await start()).toMatchObject({
    message: 'Too many running turns at once: at most 1 per user.',
    extensions: { code: 'RATE_LIMITED', retryAfterMs: 1_000 },
  });
  gate.open();
  await reader.rest();
  two.model.add({ text: 'C' });
  await expect.poll(start).toBeUndefined();
  await expect.poll(() => two.app.db.run.count({ where: { status: 'COMPLETED' } })).toBe(2);
});
