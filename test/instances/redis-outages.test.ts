import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { form } from '../durability/form.ts';
import { documents } from '../support/chat.ts';
import { assembleTexts, sequenceOf } from '../support/clients/turn-reader.ts';
import { hasRedis, startRedis, type TestRedis } from '../support/database/redis.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { type Instance, openInstances } from './open-instances.ts';

/** How Redis can be lost under a turn, and whether it comes back. */
const accidents: Readonly<Record<string, (redis: TestRedis) => Promise<void>>> = {
  'is stopped and stays away': (redis) => redis.stop(),
  'is frozen': async (redis) => redis.freeze(),
  'restarts without its data': async (redis) => {
    await redis.stop();
    await sleep(1_000);
    await redis.start();
  },
  'loses its data': (redis) => onRedis(redis, (client) => client.flushall()),
  'loses its last writes': (redis) =>
    onRedis(redis, async (client) => {
      for (const key of await client.keys('*:run:*')) {
        const [last] = await client.xrevrange(key, '+', '-', 'COUNT', 1);
        if (last) await client.xdel(key, last[0]);
      }
    }),
};

async function onRedis(redis: TestRedis, work: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(redis.url);
  await work(client);
  client.disconnect();
}

async function openTwo(
  env: Record<string, string>,
): Promise<{ one: Instance; two: Instance; close: () => Promise<void> }> {
  const instances = await openInstances(2, env);
  const [one, two] = instances;
  if (!one || !two) throw new Error('There are two.');
  return { one, two, close: () => instances[Symbol.asyncDispose]() };
}

describe.runIf(hasRedis)('a Redis that is lost', () => {
  test.each(Object.keys(accidents))(
    'If Redis %s, turns go on, and readers elsewhere miss nothing and get nothing twice',
    async (name) => {
      await using cleanup = new AsyncDisposableStack();
      const redis = cleanup.use(await startRedis());
      const { one, two, close } = await openTwo({ REDIS_URL: redis.url });
      cleanup.defer(close);
      // It must answer for the server to close what it has opened.
      cleanup.defer(() => redis.thaw());
      const conversationId = await one.alice.createConversation();
      const gate = createGate();
      const tokens = Array.from({ length: 40 }, (_, index) => `${index} `);
      one.model.add({ text: tokens, afterTokens: 20, gate, delayMs: 5 });
      const reader = one.alice.chatTurn('ws', { conversationId });
      const half = tokens.slice(0, 20).join('');
      await reader.untilText(half);
      const runId = reader.events[0]?.runId ?? '';
      const attached = two.alice.runEvents('ws', runId);
      await attached.untilText(half);

      await accidents[name]?.(redis);
      // One that comes while it is away, and one that was there before.
      const late = two.alice.runEvents('sse', runId);
      await late.untilText(half);
      gate.open();
      const all = await reader.rest();
      for (const events of [await attached.rest(), await late.rest()]) {
        expect(assembleTexts(events)).toEqual(assembleTexts(all));
        expect(sequenceOf(events)).toEqual(sequenceOf(all));
        const seqs = events.map(({ seq }) => seq);
        expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
      }
      // A new one begins, and is read live on the other instance.
      const second = createGate();
      one.model.add({ text: ['A', ' b'], afterTokens: 1, gate: second });
      const next = one.alice.chatTurn('ws', { conversationId });
      await next.untilText('A');
      const follower = two.alice.runEvents('ws', next.events[0]?.runId ?? '');
      await follower.untilText('A');
      second.open();
      expect((await follower.rest()).at(-1)?.__typename).toBe('RunCompleted');
      await next.rest();
      for (const { logs } of [one, two])
        expect(logs.filter(({ msg }) => msg.startsWith('Redis is away')).length).toBeLessThan(3);
    },
  );

  test('When Redis is back, turns that run are read there again', async () => {
    await using cleanup = new AsyncDisposableStack();
    const redis = cleanup.use(await startRedis());
    const { one, two, close } = await openTwo({ REDIS_URL: redis.url });
    cleanup.defer(close);
    const conversationId = await one.alice.createConversation();
    const gate = createGate();
    one.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
    const reader = one.alice.chatTurn('ws', { conversationId });
    await reader.untilText('A');
    const attached = two.alice.runEvents('ws', reader.events[0]?.runId ?? '');
    await attached.untilText('A');
    await redis.stop();
    await expect.poll(() => two.app.runs.remote.readInDatabase).toBe(1);
    await redis.start();
    await expect.poll(() => two.app.runs.remote.readInDatabase).toBe(0);
    gate.open();
    await reader.rest();
    expect((await attached.rest()).at(-1)?.__typename).toBe('RunCompleted');
    const said = two.logs
      .map(({ msg }) => msg)
      .filter((msg) => msg.startsWith('Redis is away') || msg.startsWith('Redis answers'));
    expect(said).toEqual([
      'Redis is away: instances read the events of turns from the database',
      'Redis answers again',
    ]);
  });
});

/** How long Redis is lost, in seconds: `npm run durability` takes its time. */
const lengths = form === 'full' ? [10, 30] : [1.5];

/** How Redis can be lost for a while. @returns how it is found again */
const losses: Readonly<Record<string, (redis: TestRedis) => Promise<() => Promise<void>>>> = {
  'is away': async (redis) => {
    await redis.stop();
    return () => redis.start();
  },
  'is frozen': async (redis) => {
    redis.freeze();
    return async () => redis.thaw();
  },
  'is full': async (redis) => {
    // Whatever it holds is more than that, and by default it evicts nothing.
    await onRedis(redis, (client) => client.config('SET', 'maxmemory', '1'));
    return () => onRedis(redis, (client) => client.config('SET', 'maxmemory', '0'));
  },
  'is slow': async (redis) => {
    let isSlow = true;
    const slow = async () => {
      while (isSlow) {
        redis.freeze();
        await sleep(400);
        redis.thaw();
        await sleep(20);
      }
    };
    const slowing = slow();
    return async () => {
      isSlow = false;
      await slowing;
    };
  },
};
/** What /ready says then. A slow Redis is there and away by turns. */
const states: Readonly<Record<string, string>> = {
  'is away': 'unreachable',
  'is frozen': 'unreachable',
  'is full': 'read-only',
};

/** A turn that has said `A` and says `b` when its gate is open, with a reader at its instance and one at the other. */
async function startRead(at: Instance, elsewhere: Instance) {
  const conversationId = await at.alice.createConversation();
  const gate = createGate();
  at.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
  const reader = at.alice.chatTurn('ws', { conversationId });
  await reader.untilText('A');
  const runId = reader.events[0]?.runId ?? '';
  const other = elsewhere.alice.runEvents('sse', runId);
  await other.untilText('A');
  const readToEnd = async () => {
    gate.open();
    const [own, theirs] = await Promise.all([reader.rest(), other.rest()]);
    expect([...assembleTexts(theirs).values()]).toEqual(['A b']);
    expect(sequenceOf(theirs)).toEqual(sequenceOf(own));
    expect(theirs.at(-1)?.__typename).toBe('RunCompleted');
  };
  return { runId, reader, other, readToEnd };
}

async function readReadiness({ url }: Instance) {
  const response = await fetch(`${url}/ready`);
  const { redis } = z.object({ redis: z.string() }).parse(await response.json());
  return [response.status, redis];
}

describe.runIf(hasRedis)('a Redis that is lost for a while', () => {
  let redis: TestRedis;
  let one: Instance;
  let two: Instance;
  let close = async () => {};

  beforeAll(async () => {
    redis = await startRedis();
    // With limits that are counted in Redis.
    const env = { REDIS_URL: redis.url, RATE_LIMIT_TURNS: '1000/60', MAX_TURNS_PER_USER: '100' };
    ({ one, two, close } = await openTwo(env));
  });
  afterAll(async () => {
    redis.thaw();
    await close();
    await redis[Symbol.asyncDispose]();
  });

  const cases = Object.keys(losses).flatMap((what) => lengths.map((seconds) => ({ what, seconds })));
  test.each(cases)(
    'While Redis $what for $seconds s, turns go on, begin and are cancelled, and are read elsewhere; then all is as before',
    async ({ what, seconds }) => {
      const before = await startRead(one, two);
      await using cleanup = new AsyncDisposableStack();
      const find = await losses[what]?.(redis);
      cleanup.defer(() => find?.());
      const isOver = sleep(seconds * 1_000);
      const says = states[what];
      for (const instance of says ? [one, two] : [])
        await expect.poll(() => readReadiness(instance)).toEqual([200, says]);
      await before.readToEnd();
      const [during, cancelled] = await Promise.all([startRead(two, one), startRead(one, two)]);
      const { cancelRun } = await two.alice.ask(documents.cancelRun, { id: cancelled.runId });
      expect(cancelRun.status).toBe('CANCELLED');
      for (const reader of [cancelled.reader, cancelled.other])
        expect((await reader.rest()).at(-1)?.__typename).toBe('RunCancelled');
      await isOver;
      await cleanup.disposeAsync();

      for (const instance of [one, two]) await expect.poll(() => readReadiness(instance)).toEqual([200, 'reachable']);
      await expect.poll(() => one.app.runs.remote.readInDatabase).toBe(0);
      await during.readToEnd();
      await (await startRead(one, two)).readToEnd();
      await expect.poll(() => [one, two].map(({ app }) => app.runs.running.size)).toEqual([0, 0]);
    },
  );
});

test('With a Redis that was never there, turns run and are read on the other instance', async () => {
  const { one, two, close } = await openTwo({ REDIS_URL: 'redis://127.0.0.1:1' });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(close);
  const conversationId = await one.alice.createConversation();
  const gate = createGate();
  one.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
  const reader = one.alice.chatTurn('ws', { conversationId });
  const { runId } = await reader.untilText('A');
  const elsewhere = two.alice.runEvents('ws', runId);
  await elsewhere.untilText('A');
  const { cancelRun } = await two.alice.ask(documents.cancelRun, { id: runId });
  expect(cancelRun.status).toBe('CANCELLED');
  expect((await elsewhere.rest()).at(-1)?.__typename).toBe('RunCancelled');
  await reader.rest();
});
