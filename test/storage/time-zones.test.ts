import { expect, test } from 'vitest';
import { openDatabase } from '../../src/database/client.ts';
import { createTestDatabase } from '../support/database/database.ts';

/** How far a moment that was written by Prisma, or by hand, is from the same moment of the database's clock, in ms. */
async function measure(url: string, isPooled: boolean) {
  const opened = openDatabase({ url, poolSize: 2, isPooled });
  try {
    const { db } = opened;
    const moment = new Date('2026-07-01T12:00:00.000Z');
    const id = crypto.randomUUID();
    await db.tenant.create({ data: { id, createdAt: moment } });
    const [byHand] = await db.$queryRaw<{ zone: string; read: Date; offset: number; written: number }[]>`
      SELECT current_setting('TimeZone') AS zone, created_at AS read,
        extract(epoch FROM created_at - '2026-07-01T12:00:00Z'::timestamptz)::float8 AS offset,
        extract(epoch FROM ${moment}::timestamptz - '2026-07-01T12:00:00Z'::timestamptz)::float8 AS written
      FROM tenants WHERE id = ${id}`;
    const read = (await db.tenant.findUniqueOrThrow({ where: { id } })).createdAt;
    return { ...byHand, read: byHand?.read.toISOString(), readByPrisma: read.toISOString() };
  } finally {
    await opened.close();
  }
}

test.each([
  ['of a server', '', false],
  ['behind a pooler', '', true],
  ['whose URL has options', 'options=-c%20search_path%3Dpublic', false],
])(
  'A moment is the same in Prisma, by hand and for the database, whatever its time zone is: a connection %s',
  async (_, parameters, isPooled) => {
    await using database = await createTestDatabase();
    const opened = openDatabase({ url: database.url, poolSize: 1 });
    await opened.db.$executeRawUnsafe(
      `ALTER DATABASE "${new URL(database.url).pathname.slice(1)}" SET timezone TO 'America/New_York'`,
    );
    await opened.close();
    expect(await measure(`${database.url}${database.url.includes('?') ? '&' : '?'}${parameters}`, isPooled)).toEqual({
      zone: 'UTC',
      read: '2026-07-01T12:00:00.000Z',
      readByPrisma: '2026-07-01T12:00:00.000Z',
      offset: 0,
      written: 0,
    });
  },
);
