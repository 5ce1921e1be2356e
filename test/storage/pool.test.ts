import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/database/client.ts';
import { openEmbeddedPostgres } from '../../src/database/embedded/embedded.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';

const connectionOf = async (db: ReturnType<typeof openDatabase>['db']) => {
  const [row] = await db.$queryRaw<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
  return row?.pid;
};

// PGlite ends no statement and cannot sleep.
describe.runIf(process.env.TEST_DATABASE_URL)('a pool of connections to a server', () => {
  test.each([
    ['the server has ended', { statementMs: 200, answerMs: 60_000 }],
    ['nobody has answered', { statementMs: 60_000, answerMs: 200 }],
  ])(
    'A connection whose statement %s is closed, in a transaction or not, and its next user does not wait for it',
    async (_how, timeouts) => {
      await using database = await createTestDatabase();
      const open = openDatabase({ url: database.url, poolSize: 1, timeouts });
      await using _closing = open;
      const { db } = open;
      // PGlite ends no statement and cannot sleep: its process runs one at a time.
      const [{ version } = { version: '' }] = await db.$queryRaw<{ version: string }[]>`SELECT version()`;
      if (/emscripten/i.test(version)) return;
      const sleep = (over: Pick<typeof db, '$executeRaw'>) => over.$executeRaw`SELECT pg_sleep(100)`;
      for (const work of [() => sleep(db), () => db.$transaction((tx) => sleep(tx))]) {
        const before = await connectionOf(db);
        await expect(work()).rejects.toThrow();
        const after = await connectionOf(db);
        expect(after).not.toBe(before);
      }
      // What fails in time keeps its connection.
      const before = await connectionOf(db);
      await expect(db.$transaction((tx) => tx.$executeRaw`SELECT 1 / 0`)).rejects.toThrow(/division/);
      expect(await connectionOf(db)).toBe(before);
    },
  );

  test('A transaction over a connection that went silent fails, and the next one gets a new connection', async () => {
    await using database = await createTestDatabase();
    const { hostname, port } = new URL(database.url);
    const pipes: [Socket, Socket][] = [];
    let isSilent = false;
    await using stack = new AsyncDisposableStack();
    const proxy = createServer((client) => {
      const server = connect(Number(port), hostname);
      pipes.push([client, server]);
      for (const socket of [client, server]) socket.on('error', () => {});
      client.on('data', (data) => isSilent || server.write(data));
      server.on('data', (data) => client.write(data));
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    stack.defer(() => {
      for (const socket of pipes.flat()) socket.destroy();
      proxy.close();
    });
    const url = new URL(database.url);
    url.hostname = '127.0.0.1';
    url.port = String((proxy.address() as AddressInfo).port);
    const opened = stack.use(
      openDatabase({ url: url.href, poolSize: 1, timeouts: { statementMs: 60_000, answerMs: 300 } }),
    );
    await opened.db.$transaction((tx) => tx.$executeRaw`SELECT 1`);
    await expect(
      opened.db.$transaction(async (tx) => {
        isSilent = true;
        await tx.$executeRaw`SELECT 2`;
      }),
    ).rejects.toThrow();
    isSilent = false;
    expect(await opened.db.$transaction((tx) => tx.$queryRaw`SELECT 3 AS three`)).toEqual([{ three: 3 }]);
    expect(pipes).toHaveLength(2);
  });
});

test('A statement that fails on the embedded database leaves its other statements usable', async () => {
  await using data = await createTestDataFolder();
  await using postgres = await openEmbeddedPostgres(data.folder, () => {});
  await using opened = openDatabase({ url: postgres.url, poolSize: 1, exclusive: true });
  const { db } = opened;
  await db.$executeRaw`CREATE TABLE numbers (n int PRIMARY KEY)`;
  const add = (n: number) => db.$executeRaw`INSERT INTO numbers VALUES (${n})`;
  await add(1);
  const results = await Promise.allSettled([
    add(2),
    add(1),
    add(3),
    add(1),
    db.$transaction((tx) => tx.$executeRaw`INSERT INTO numbers VALUES (4)`),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled']);
  await add(5);
  expect(await db.$queryRaw`SELECT count(*)::int AS count FROM numbers`).toEqual([{ count: 5 }]);
});
