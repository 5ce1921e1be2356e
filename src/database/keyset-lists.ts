import { type Page, type PageRows, trimPage } from '../api/paging.ts';
import { Prisma } from '../generated/prisma/client.ts';
import type { Db } from './client.ts';
import type { KeyList, SizedKey } from './keyset.ts';

/** A key of a row, which may say more than where the row stands: to which list it belongs, for example. */
type PlaceKey = readonly [value: string, id: string, ...string[]];

/** Lists of the same rows, each with those of one owner: the documents of each knowledge base, for example. */
export interface OwnedLists extends KeyList {
  /** The column, a uuid, by which rows belong to an owner: the index begins with it, or with `where` and it. */
  readonly owner: Prisma.Sql;
  /** The size of a row's contents, which are not read; absent: they are small. */
  readonly bytes?: Prisma.Sql;
}

/**
 * Reads the keys of one page of each of several lists, in one statement that walks the index of each from the cursor on, as
 * `readKeyPage` does for one list.
 * @param owners row ids, each once
 * @returns the keys, in the order of the owners
 */
export async function readKeyPages(
  db: Db,
  lists: OwnedLists,
  owners: readonly string[],
  page: Page<PlaceKey>,
): Promise<PageRows<SizedKey>[]> {
  const { table, where, owner, sort, descending, bytes = Prisma.sql`0` } = lists;
  const [less, greater] = [Prisma.sql`<`, Prisma.sql`>`];
  const [forwards, backwards] = descending ? [less, greater] : [greater, less];
  const own = Prisma.sql`${where} AND ${owner} = owners.owner_id`;
  const compare = (operator: Prisma.Sql, [value, id]: PlaceKey) =>
    Prisma.sql`(${sort.column}, id) ${operator} (${value}::${sort.type}, ${id}::uuid)`;
  const reachesBeyond = (operator: Prisma.Sql, key: PlaceKey | null) => {
    if (key === null) return Prisma.sql`false`;
    const nearest = operator === greater ? Prisma.sql`ASC` : Prisma.sql`DESC`;
    return Prisma.sql`(
      SELECT true FROM ${table} WHERE ${own} AND ${compare(Prisma.sql`${operator}=`, key)}
      ORDER BY ${sort.column} ${nearest}, id ${nearest} LIMIT 1
    ) IS NOT NULL`;
  };
  const range = [
    own,
    ...(page.after === null ? [] : [compare(forwards, page.after)]),
    ...(page.before === null ? [] : [compare(backwards, page.before)]),
  ];
  const direction = descending === page.backward ? Prisma.sql`ASC` : Prisma.sql`DESC`;
  const found = await db.$queryRaw<FoundRow[]>`
    SELECT owners.owner_id AS "ownerId", page.id, page.value, page.bytes,
      ${reachesBeyond(backwards, page.after)} AS "moreBefore", ${reachesBeyond(forwards, page.before)} AS "moreAfter"
    FROM unnest(${[...owners]}::uuid[]) AS owners (owner_id)
    LEFT JOIN LATERAL (
      SELECT id, ${sort.column} AS value, ${bytes} AS bytes FROM ${table} WHERE ${Prisma.join(range, ' AND ')}
      ORDER BY ${sort.column} ${direction}, id ${direction} LIMIT ${page.size + 1}
    ) AS page ON true
    ORDER BY page.value ${direction}, page.id ${direction}`;
  const byOwner = Map.groupBy(found, ({ ownerId }) => ownerId);
  return owners.map((ownerId) => {
    const ofOwner = byOwner.get(ownerId) ?? [];
    const rows = ofOwner.flatMap(({ id, value, bytes: size }): SizedKey[] =>
      id === null || value === null
        ? []
        : [{ key: [value instanceof Date ? value.toISOString() : value, id], bytes: size ?? 0 }],
    );
    if (page.backward) rows.reverse();
    const [first] = ofOwner;
    return trimPage(page, { rows, moreBefore: first?.moreBefore ?? false, moreAfter: first?.moreAfter ?? false });
  });
}

interface FoundRow {
  readonly ownerId: string;
  /** Null: the list has no row in this range. */
  readonly id: string | null;
  readonly value: Date | string | null;
  readonly bytes: number | null;
  readonly moreBefore: boolean;
  readonly moreAfter: boolean;
}
