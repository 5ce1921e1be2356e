import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OpenDatabase, openDatabase } from '../../src/database/client.ts';
import { isUnavailable, isUniqueViolation } from '../../src/database/errors.ts';
import { Prisma } from '../../src/generated/prisma/client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database/database.ts';

let database: TestDatabase;
let opened: OpenDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  opened = openDatabase({ url: database.url, poolSize: 2 });
});
afterAll(async () => {
  await opened.close();
  await database[Symbol.asyncDispose]();
});

describe('a statement by hand', () => {
  test('It returns the same values within a transaction and without one', async () => {
    const moment = new Date('2026-03-29T01:30:00.123Z');
    const statement = Prisma.sql`
      SELECT ${moment}::timestamptz AS moment, ${moment}::timestamptz + interval '1 day' AS later,
        9007199254740993::bigint AS large, 1.50::numeric AS exact, 0.1::float8 AS inexact, 7::int AS whole,
        true AS yes, NULL::text AS nothing, ${'it’s "quoted" \\ $1'}::text AS words,
        '0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17'::uuid AS id, 'USER'::"MessageRole" AS role,
        ${JSON.stringify({ a: [1, null, { b: 'é' }] })}::jsonb AS json, 'null'::jsonb AS "jsonNull",
        ${['a', 'b"c', '']}::text[] AS texts, ARRAY[1, 2]::int[] AS numbers, count(*) AS count, sum(1) AS sum,
        date '2026-03-29' AS day, ${[moment]}::timestamptz[] = ARRAY[${moment}::timestamptz] AS same`;
    const direct = await opened.db.$queryRaw`${statement}`;
    expect(direct).toEqual(await opened.db.$transaction((tx) => tx.$queryRaw`${statement}`));
    expect(direct).toMatchObject([{ moment, large: 9007199254740993n, nothing: null, same: true, count: 1n }]);
  });

  test('Without a template it is the same, and without rows it is empty', async () => {
    expect(await opened.db.$queryRaw(Prisma.sql`SELECT ${1}::int AS one`)).toEqual([{ one: 1 }]);
    expect(await opened.db.$queryRaw`SELECT 1 WHERE false`).toEqual([]);
  });

  test('It says how many rows it has changed', async () => {
    const insert = (id: string) =>
      opened.db.$executeRaw`INSERT INTO tenants (id) VALUES (${id}) ON CONFLICT DO NOTHING`;
    expect([await insert('counted'), await insert('counted')]).toEqual([1, 0]);
  });

  test('Within a transaction it is undone with it', async () => {
    const work = opened.db.$transaction(async (tx) => {
      await tx.$executeRaw`INSERT INTO tenants (id) VALUES ('undone')`;
      throw new Error('undo');
    });
    await expect(work).rejects.toThrow('undo');
    expect(await opened.db.tenant.count({ where: { id: 'undone' } })).toBe(0);
  });

  test('A unique violation is recognised, and the connections stay usable', async () => {
    const insert = () => opened.db.$executeRaw`INSERT INTO tenants (id) VALUES ('twice')`;
    await insert();
    for (let time = 0; time < 4; time++) expect(isUniqueViolation(await insert().catch((error) => error))).toBe(true);
    expect(await opened.db.$queryRaw`SELECT 1 AS one`).toEqual([{ one: 1 }]);
  });

  test('A database that cannot be reached is recognised', async () => {
    await using away = openDatabase({ url: 'postgresql://nobody@127.0.0.1:1/none', poolSize: 1 });
    const error: unknown = await away.db.$queryRaw`SELECT 1`.catch((cause: unknown) => cause);
    expect(isUnavailable(error)).toBe(true);
  });

  test('A database of which only statements by hand were sent is closed', async () => {
    const own = openDatabase({ url: database.url, poolSize: 1 });
    await own.db.$queryRaw`SELECT 1`;
    await own.close();
    await own.close();
    await expect(own.db.$queryRaw`SELECT 1`).rejects.toThrow();
  });

  test('It is prepared under a name only in a database that was found to have sessions', async () => {
    await using own = openDatabase({ url: database.url, poolSize: 1 });
    const prepared = () =>
      own.db.$queryRaw<{ name: string }[]>`SELECT name FROM pg_prepared_statements WHERE statement LIKE 'SELECT id%'`;
    const ask = async () => {
      for (let time = 0; time < 3; time++) await own.db.$queryRaw`SELECT id FROM tenants WHERE id = ${'x'}`;
    };
    await ask();
    expect(await prepared()).toEqual([]);
    own.prepareStatements();
    await ask();
    expect((await prepared()).filter(({ name }) => name.startsWith('w'))).toHaveLength(1);
  });
});
