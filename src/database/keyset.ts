import { z } from 'zod';
import { type Page, type PageRows, trimPage } from '../api/paging.ts';
import { Prisma } from '../generated/prisma/client.ts';
import type { Db } from './client.ts';

/** Where a row stands in its list: the value that the list is ordered by, and its id. */
export type RowKey = readonly [value: string, id: string];

/** The key of a row, and how many bytes its contents have. */
export interface SizedKey {
  readonly key: RowKey;
  readonly bytes: number;
}

/** A column that a list can be ordered by, with the check of what a cursor says of it. */
export interface SortColumn {
  readonly column: Prisma.Sql;
  readonly type: Prisma.Sql;
  readonly key: z.ZodType<RowKey>;
}

const less = Prisma.sql`<`;
const greater = Prisma.sql`>`;
const storable = z.string().refine((value) => value.isWellFormed() && !value.includes('\u0000'));

/** A timestamptz(3) column: its value is exact in milliseconds, so it goes through a cursor unharmed. */
export function timeColumn(column: Prisma.Sql): SortColumn {
  return { column, type: Prisma.sql`timestamptz`, key: z.tuple([z.iso.datetime(), z.uuid()]) };
}

/** A text column; it is compared in SQL only, under the database's own collation, as the index is. */
export function textColumn(column: Prisma.Sql): SortColumn {
  return { column, type: Prisma.sql`text`, key: z.tuple([storable, z.uuid()]) };
}

/**
 * Reads the keys of one page, in one statement that walks the index (…, column, id) from the cursor on: rows outside
 * the page are not read, and a row that comes or goes between two pages makes no gap and no repeat.
 *
 * Prisma cannot compare rows, and its OR of the two columns reads past everything that was skipped.
 *
 * @param list.where the columns that the index begins with, compared to constants; further filters are applied while walking
 * @param list.bytes the size of a row's contents, which are not read; absent: they are small
 * @returns the keys, and the size of each row
 */
export async function readKeyPage(
  db: Db,
  list: {
    readonly table: Prisma.Sql;
    readonly where: Prisma.Sql;
    readonly sort: SortColumn;
    readonly descending: boolean;
    readonly bytes?: Prisma.Sql;
  },
  page: Page<RowKey>,
): Promise<PageRows<SizedKey>> {
  const { table, where, sort, descending, bytes = Prisma.sql`0` } = list;
  const forwards = descending ? less : greater;
  const backwards = descending ? greater : less;
  const compare = (operator: Prisma.Sql, key: RowKey, orEqual = Prisma.empty) =>
    Prisma.sql`(${sort.column}, id) ${operator}${orEqual} (${key[0]}::${sort.type}, ${key[1]}::uuid)`;
  // No EXISTS: the planner throws its ORDER BY away and may read the whole table to find the one row.
  const reachesBeyond = (operator: Prisma.Sql, key: RowKey | null) => {
    if (key === null) return Prisma.sql`false`;
    const nearest = operator === greater ? Prisma.sql`ASC` : Prisma.sql`DESC`;
    return Prisma.sql`(
      SELECT true FROM ${table} WHERE ${where} AND ${compare(operator, key, Prisma.sql`=`)}
      ORDER BY ${sort.column} ${nearest}, id ${nearest} LIMIT 1
    ) IS NOT NULL`;
  };
  const range = [
    where,
    ...(page.after === null ? [] : [compare(forwards, page.after)]),
    ...(page.before === null ? [] : [compare(backwards, page.before)]),
  ];
  const direction = descending === page.backward ? Prisma.sql`ASC` : Prisma.sql`DESC`;
  const rows = await db.$queryRaw<
    {
      moreBefore: boolean;
      moreAfter: boolean;
      id: string | null;
      value: Date | string | null;
      bytes: number | null;
    }[]
  >`
    SELECT ends."moreBefore", ends."moreAfter", page.id, page.value, page.bytes
    FROM (SELECT ${reachesBeyond(backwards, page.after)} AS "moreBefore", ${reachesBeyond(forwards, page.before)} AS "moreAfter") AS ends
    LEFT JOIN (
      SELECT id, ${sort.column} AS value, ${bytes} AS bytes FROM ${table} WHERE ${Prisma.join(range, ' AND ')}
      ORDER BY ${sort.column} ${direction}, id ${direction} LIMIT ${page.size + 1}
    ) AS page ON true
    ORDER BY page.value ${direction}, page.id ${direction}`;
  const keys: SizedKey[] = [];
  for (const { id, value, bytes: size } of rows) {
    if (id === null || value === null) continue;
    keys.push({ key: [value instanceof Date ? value.toISOString() : value, id], bytes: size ?? 0 });
  }
  if (page.backward) keys.reverse();
  return trimPage(page, {
    rows: keys,
    moreBefore: rows[0]?.moreBefore ?? false,
    moreAfter: rows[0]?.moreAfter ?? false,
  });
}

/** The rows of a page in the order of their keys; a row that was deleted since its key was read is left out. */
export function arrangeByKey<Row extends { readonly id: string }>(
  found: PageRows<SizedKey>,
  rows: readonly Row[],
): PageRows<{ key: RowKey; node: Row }> {
  const byId = new Map(rows.map((row) => [row.id, row]));
  const arranged = found.rows.flatMap(({ key }) => {
    const node = byId.get(key[1]);
    return node === undefined ? [] : [{ key, node }];
  });
  return { ...found, rows: arranged };
}
