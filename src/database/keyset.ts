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
 * @param list.bytes the size of a row's contents, which are not read; absent: they are small
 * @returns the keys, and the size of each row
 */
export async function readKeyPage(
  db: Db,
  list: KeyList & { readonly bytes?: Prisma.Sql },
  page: Page<RowKey>,
): Promise<PageRows<SizedKey>> {
  const { bytes = Prisma.sql`0`, ...keys } = list;
  const columns = Prisma.sql`id, ${bytes} AS bytes`;
  const found = await readRowPage<{ readonly id: string; readonly bytes: number }>(db, { ...keys, columns }, page);
  return { ...found, rows: found.rows.map(({ key, node }) => ({ key, bytes: node.bytes })) };
}

/** A list that is walked by its keys. */
export interface KeyList {
  readonly table: Prisma.Sql;
  /** The columns that the index begins with, compared to constants; further filters are applied while walking. */
  readonly where: Prisma.Sql;
  readonly sort: SortColumn;
  readonly descending: boolean;
  /**
   * Conditions of which one holds for each row: the index begins with their columns as well, so that each part is walked by
   * itself, and the parts are merged. Absent: the list is one part.
   */
  readonly parts?: readonly Prisma.Sql[];
}

/**
 * As {@link readKeyPage}, and the rows with it: for rows that are known to be small.
 * @param list.columns what to read of each row; its id is among it
 * @param list.joined what to read with it, of other tables, by the columns of `page`
 */
export async function readRowPage<Row extends { readonly id: string }>(
  db: Db,
  list: KeyList & {
    readonly columns: Prisma.Sql;
    readonly joined?: { readonly columns: Prisma.Sql; readonly tables: Prisma.Sql };
  },
  page: Page<RowKey>,
): Promise<PageRows<{ readonly key: RowKey; readonly node: Row }>> {
  const { table, where, sort, descending, columns, joined, parts = [] } = list;
  const forwards = descending ? less : greater;
  const backwards = descending ? greater : less;
  const compare = (operator: Prisma.Sql, key: RowKey, orEqual = Prisma.empty) =>
    Prisma.sql`(${sort.column}, id) ${operator}${orEqual} (${key[0]}::${sort.type}, ${key[1]}::uuid)`;
  const eachPart = (condition: Prisma.Sql) =>
    parts.length === 0 ? [condition] : parts.map((part) => Prisma.sql`${condition} AND ${part}`);
  // No EXISTS: the planner throws its ORDER BY away and may read the whole table to find the one row.
  const reachesBeyond = (operator: Prisma.Sql, key: RowKey | null) => {
    if (key === null) return Prisma.sql`false`;
    const nearest = operator === greater ? Prisma.sql`ASC` : Prisma.sql`DESC`;
    const inParts = eachPart(where).map(
      (condition) => Prisma.sql`(
      SELECT true FROM ${table} WHERE ${condition} AND ${compare(operator, key, Prisma.sql`=`)}
      ORDER BY ${sort.column} ${nearest}, id ${nearest} LIMIT 1
    ) IS NOT NULL`,
    );
    return Prisma.sql`(${Prisma.join(inParts, ' OR ')})`;
  };
  const range = [
    where,
    ...(page.after === null ? [] : [compare(forwards, page.after)]),
    ...(page.before === null ? [] : [compare(backwards, page.before)]),
  ];
  const direction = descending === page.backward ? Prisma.sql`ASC` : Prisma.sql`DESC`;
  // The inner limit is for the planner: if it knows that there are few rows at most, it keeps one plan for all pages. Otherwise
  // it takes a parameter for a tenth of the table, and plans anew each time, which takes longer than to read the page.
  const walks = eachPart(Prisma.join(range, ' AND ')).map(
    (condition) => Prisma.sql`
        SELECT ${columns}, ${sort.column} AS "sortValue" FROM ${table} WHERE ${condition}
        ORDER BY ${sort.column} ${direction}, id ${direction} LIMIT ${Prisma.raw(String(page.maxSize + 1))}`,
  );
  const merged = Prisma.sql`SELECT * FROM (${Prisma.join(
    walks.map((walk) => Prisma.sql`(${walk})`),
    ' UNION ALL ',
  )}) AS parts ORDER BY "sortValue" ${direction}, id ${direction}`;
  const rows = await db.$queryRaw<(Ends & (Row | { readonly id: null }))[]>`
    SELECT ends.*, page.* ${joined ? Prisma.sql`, ${joined.columns}` : Prisma.empty}
    FROM (SELECT ${reachesBeyond(backwards, page.after)} AS "moreBefore", ${reachesBeyond(forwards, page.before)} AS "moreAfter") AS ends
    LEFT JOIN (
      SELECT * FROM (${parts.length === 0 ? walks[0] : merged}) AS rows LIMIT ${page.size + 1}
    ) AS page ON true ${joined?.tables ?? Prisma.empty}
    ORDER BY page."sortValue" ${direction}, page.id ${direction}`;
  const keyed: { readonly key: RowKey; readonly node: Row }[] = [];
  for (const row of rows) {
    if (row.id === null) continue;
    const { sortValue } = row;
    keyed.push({ key: [sortValue instanceof Date ? sortValue.toISOString() : sortValue, row.id], node: row });
  }
  if (page.backward) keyed.reverse();
  return trimPage(page, {
    rows: keyed,
    moreBefore: rows[0]?.moreBefore ?? false,
    moreAfter: rows[0]?.moreAfter ?? false,
  });
}

/** What each row of the answer says of the page, and the value by which it is ordered. */
interface Ends {
  readonly moreBefore: boolean;
  readonly moreAfter: boolean;
  readonly sortValue: Date | string;
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
