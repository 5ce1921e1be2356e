import { expect, test, vi } from 'vitest';
import { ConfigurationCache } from '../../src/database/configuration-cache.ts';

/** A cache whose clock the test turns. */
function openCache() {
  let now = 1;
  const cache = new ConfigurationCache(() => now);
  let loads = 0;
  return {
    cache,
    pass: (ms: number) => {
      now += ms;
    },
    load: async () => {
      loads += 1;
      return loads;
    },
  };
}

test('The configuration cache loads once, and again when an entry is dropped', async () => {
  const { cache, load } = openCache();
  expect(await cache.get('a', 'k', load)).toBe(1);
  expect(await cache.get('a', 'k', load)).toBe(1);
  expect(await cache.get('b', 'k', load)).toBe(2);
  cache.drop('a');
  expect(await cache.get('a', 'k', load)).toBe(3);
  expect(await cache.get('b', 'k', load)).toBe(2);
  cache.clear();
  expect(await cache.get('b', 'k', load)).toBe(4);
});

test('The configuration cache is never older than half a minute, whatever was missed', async () => {
  const { cache, load, pass } = openCache();
  await cache.get('a', 'k', load);
  pass(29_999);
  expect(await cache.get('a', 'k', load)).toBe(1);
  pass(1);
  expect(await cache.get('a', 'k', load)).toBe(2);
});

test('The configuration cache counts the age of an entry from before it was read', async () => {
  const { cache, load, pass } = openCache();
  await cache.get('a', 'k', async () => {
    pass(20_000);
    return load();
  });
  pass(10_000);
  expect(await cache.get('a', 'k', load)).toBe(2);
});

test('Of many who ask the configuration cache at the same time, one loads', async () => {
  const { cache, load } = openCache();
  const slow = Promise.withResolvers<void>();
  const asked = Array.from({ length: 50 }, () => cache.get('a', 'k', () => slow.promise.then(load)));
  slow.resolve();
  expect(new Set(await Promise.all(asked))).toEqual(new Set([1]));
});

test('A load that is overtaken by a drop is returned, and not cached', async () => {
  const { cache, load } = openCache();
  for (const forget of [() => cache.drop('a'), () => cache.clear()]) {
    cache.drop('a');
    const slow = Promise.withResolvers<string>();
    const before = cache.get('a', 'k', () => slow.promise);
    forget();
    const after = cache.get('a', 'k', load);
    slow.resolve('old');
    expect(await before).toBe('old');
    const fresh = await after;
    expect(fresh).not.toBe('old');
    expect(await cache.get('a', 'k', load)).toBe(fresh);
  }
});

test('A load that fails is not cached', async () => {
  const { cache, load } = openCache();
  await expect(cache.get('a', 'k', () => Promise.reject(new Error('out of reach')))).rejects.toThrow('out of reach');
  expect(await cache.get('a', 'k', load)).toBe(1);
});

test('The configuration cache holds absent entries as well, until they are dropped', async () => {
  const { cache, load } = openCache();
  expect(await cache.get<number | null>('a', 'k', async () => null)).toBeNull();
  expect(await cache.get<number | null>('a', 'k', load)).toBeNull();
  cache.drop('a');
  expect(await cache.get('a', 'k', load)).toBe(1);
});

test('The configuration cache does not grow without end', async () => {
  const { cache, load } = openCache();
  for (let n = 0; n < 2_100; n++) await cache.get('a', `k${n}`, load);
  expect(await cache.get('a', 'k0', load)).toBe(2_101);
  for (let n = 0; n < 20_100; n++) await cache.get(`t${n}`, 'k', load);
  expect(cache.size.entries).toBe(20_000);
  const before = await cache.get('t20099', 'k', load);
  expect(await cache.get('t0', 'k', load)).toBeGreaterThan(before);
});

test('The configuration cache holds a maximum of characters, of all tenants together', async () => {
  const { cache, load } = openCache();
  const instructions = 'x'.repeat(100_000);
  const loadLong = async () => ({ agent: { instructions }, tools: [{ name: 'a' }], members: new Map([['b', 'c']]) });
  await cache.get('quiet', 'k', load);
  for (let n = 0; n < 1_000; n++) await cache.get(`t${n % 7}`, `agent:${n}`, loadLong);
  const { entries, characters } = cache.size;
  expect(characters).toBeLessThanOrEqual(32_000_000);
  expect(entries).toBeGreaterThan(300);
  expect(entries).toBeLessThan(320);
  // Who was not asked for longest goes first.
  expect(await cache.get('quiet', 'k', load)).toBe(2);
  for (let n = 0; n < 7; n++) cache.drop(`t${n}`);
  expect(cache.size.entries).toBe(1);
  cache.drop('quiet');
  expect(cache.size).toEqual({ entries: 0, characters: 0 });
});

test('An entry that is too old is removed, also if nobody asks for it', async () => {
  vi.useFakeTimers();
  try {
    const { cache, load, pass } = openCache();
    await cache.get('a', 'old', load);
    pass(20_000);
    await cache.get('a', 'young', load);
    await cache.get('b', 'young', load);
    pass(10_000);
    vi.advanceTimersByTime(30_000);
    expect(cache.size.entries).toBe(2);
    pass(30_000);
    vi.advanceTimersByTime(30_000);
    expect(cache.size).toEqual({ entries: 0, characters: 0 });
    cache[Symbol.dispose]();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
