import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { openDatabase } from '../../src/database/client.ts';
import { ConnectionShare } from '../../src/database/connection-share.ts';
import { countStatementsIn } from '../../src/database/statements.ts';
import { startTestApp } from '../support/app.ts';
import { createTestDatabase } from '../support/database/database.ts';

const owner = (tenantId: string, userId = 'u') => ({ tenantId, userId });

test('A tenant that has used its share waits for its own work, in turn for each of its users, and nobody else does', async () => {
  const share = new ConnectionShare({ tenant: 2, user: 2 });
  const order: string[] = [];
  const leaves: (() => void)[] = [];
  const enter = (name: string, tenantId: string, userId: string) =>
    share.enter(owner(tenantId, userId)).then((leave) => {
      order.push(name);
      leaves.push(leave);
    });
  const entering = [1, 2, 3, 4].map((n) => enter(`heavy ${n}`, 'a', 'heavy'));
  entering.push(enter('light', 'a', 'light'), enter('other tenant', 'b', 'x'));
  const system = await share.enter(null);
  await nextTurn();
  expect(order).toEqual(['heavy 1', 'heavy 2', 'other tenant']);
  for (let left = leaves.shift(); left; left = leaves.shift()) {
    left();
    await nextTurn();
  }
  await Promise.all(entering);
  system();
  expect(order).toEqual(['heavy 1', 'heavy 2', 'other tenant', 'heavy 3', 'light', 'heavy 4']);
  expect(share.size).toEqual({ tenants: 0, users: 0 });
});

test('A user never holds the whole share of the tenant, and waits while other users do not', async () => {
  const share = new ConnectionShare({ tenant: 3, user: 2 });
  const order: string[] = [];
  const enter = async (userId: string) => {
    const leave = await share.enter(owner('a', userId));
    order.push(userId);
    return leave;
  };
  const heavy = Array.from({ length: 4 }, () => enter('heavy'));
  const light = await enter('light');
  expect(order).toEqual(['heavy', 'heavy', 'light']);
  light();
  await nextTurn();
  expect(order).toEqual(['heavy', 'heavy', 'light']);
  for (const entering of heavy) (await entering)();
  expect(order).toHaveLength(5);
  expect(share.size).toEqual({ tenants: 0, users: 0 });
});

test('Work whose turn does not come is refused after 15 seconds, and takes no place', async () => {
  vi.useFakeTimers();
  try {
    const share = new ConnectionShare({ tenant: 1, user: 1 });
    const leave = await share.enter(owner('a'));
    const refused = expect(share.enter(owner('a'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await vi.advanceTimersByTimeAsync(15_000);
    await refused;
    leave();
    expect(share.size).toEqual({ tenants: 0, users: 0 });
    (await share.enter(owner('a')))();
    expect(share.size).toEqual({ tenants: 0, users: 0 });
  } finally {
    vi.useRealTimers();
  }
});

test('A user whose turn did not come is forgotten at once, however busy its tenant stays', async () => {
  vi.useFakeTimers();
  try {
    const share = new ConnectionShare({ tenant: 1, user: 1 });
    const leave = await share.enter(owner('a', 'busy'));
    const refused = Array.from({ length: 50 }, (_none, index) =>
      expect(share.enter(owner('a', `user ${index}`))).rejects.toMatchObject({ code: 'UNAVAILABLE' }),
    );
    await vi.advanceTimersByTimeAsync(15_000);
    await Promise.all(refused);
    expect(share.size).toEqual({ tenants: 1, users: 1 });
    leave();
    expect(share.size).toEqual({ tenants: 0, users: 0 });
  } finally {
    vi.useRealTimers();
  }
});

test('The statements and transactions of one tenant do not make those of another wait behind them', async () => {
  await using database = await createTestDatabase();
  await using opened = openDatabase({ url: database.url, poolSize: 2 });
  const { db } = opened;
  const order: string[] = [];
  const run = (name: string, tenantId: string, work: () => Promise<unknown>) =>
    countStatementsIn(async (tally) => {
      tally.owner = owner(tenantId);
      await work();
      order.push(name);
    });
  const heavy = Array.from({ length: 100 }, (_none, index) =>
    run('heavy', 'a', () =>
      index % 2 === 0 ? db.$queryRaw`SELECT 1` : db.$transaction((tx) => tx.$queryRaw`SELECT 1`),
    ),
  );
  const failing = run('failing', 'a', () => db.$transaction(() => Promise.reject(new Error('no'))).catch(() => {}));
  const light = run('light', 'b', () => db.$queryRaw`SELECT 2`);
  await Promise.all([...heavy, failing, light]);
  expect(order).toHaveLength(102);
  expect(order.indexOf('light')).toBeLessThan(20);
  // Every place was given back.
  await run('after', 'a', () => db.$transaction((tx) => tx.$queryRaw`SELECT 1`));
});

test('A tenant that sends hundreds of reads at the same time does not make another tenant wait behind all of them', async () => {
  await using app = await startTestApp({ env: { DATABASE_POOL_SIZE: '4' } });
  const create = 'mutation { createConversation { id } }';
  const tokens = { heavy: await app.token({ tenant: 'heavy' }), light: await app.token({ tenant: 'light' }) };
  for (const token of Object.values(tokens)) await app.query(create, {}, { token });
  const read =
    '{ conversations(first: 50) { edges { node { id title messages(first: 50) { edges { node { id } } } } } } }';
  const order: string[] = [];
  const ask = async (name: keyof typeof tokens) => {
    const { errors } = await app.query(read, {}, { token: tokens[name] });
    expect(errors).toEqual([]);
    order.push(name);
  };
  const heavy = Array.from({ length: 250 }, () => ask('heavy'));
  // It comes when those of the others have arrived.
  while (order.length === 0) await nextTurn();
  await ask('light');
  await Promise.all(heavy);
  expect(order.indexOf('light')).toBeLessThan(125);
});
