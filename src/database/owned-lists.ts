import { z } from 'zod';
import { badInput } from '../api/input.ts';
import { buildConnection, type Connection, type Page, type PageArgs, pageSizes, parsePage } from '../api/paging.ts';
import type { Db } from './client.ts';
import { arrangeByKey, type SizedKey } from './keyset.ts';
import type { OwnedLists } from './keyset-lists.ts';

// What the lists of several owners have in common, such as the tickets of contacts: their cursors, and their counts.

/** A cursor names the owner: it is of no use in the list of another one. */
export type OwnedKey = readonly [time: string, id: string, ownerId: string];
const key: z.ZodType<OwnedKey> = z.tuple([z.iso.datetime(), z.uuid(), z.uuid()]);

/**
 * Checks the arguments of a page of the list of each owner.
 * @param list names the list and its order
 * @throws {BadUserInputError} naming the argument; also for a cursor of another owner
 */
export function parseOwnedPage(args: PageArgs, list: string, owners: readonly string[]): Page<OwnedKey> {
  const page = parsePage(args, { list, key, ...pageSizes });
  for (const argument of ['after', 'before'] as const) {
    const cursor = page[argument];
    if (cursor !== null && owners.some((id) => id !== cursor[2]))
      throw badInput([argument], 'is a cursor of another list');
  }
  return page;
}

/** The keys of a page of each owner, as `readKeyPages` returns them. */
interface KeyPage {
  readonly rows: readonly SizedKey[];
  readonly moreBefore: boolean;
  readonly moreAfter: boolean;
}

/**
 * Makes a connection for each owner. How many rows each has is counted in one statement for all, if it is asked for.
 * @param found.pages in the order of the owners
 * @param found.rows the rows of all pages
 */
export function buildOwnedConnections<Row extends { readonly id: string }>(
  db: Db,
  lists: Pick<OwnedLists, 'table' | 'where' | 'owner'>,
  owners: readonly string[],
  page: Page<OwnedKey>,
  found: { readonly pages: readonly KeyPage[]; readonly rows: readonly Row[] },
): Connection<Row>[] {
  let counts: Promise<Map<string, number>> | null = null;
  const countOf = async (ownerId: string) => {
    counts ??= countRows(db, lists, owners);
    return (await counts).get(ownerId) ?? 0;
  };
  return owners.map((ownerId, index) => {
    const arranged = arrangeByKey(found.pages[index] ?? { rows: [], moreBefore: false, moreAfter: false }, found.rows);
    const rows = arranged.rows.map(({ key: [time, id], node }) => ({ key: [time, id, ownerId] as const, node }));
    return buildConnection<Row, OwnedKey>(page, { ...arranged, rows }, () => countOf(ownerId));
  });
}

async function countRows(
  db: Db,
  { table, where, owner }: Pick<OwnedLists, 'table' | 'where' | 'owner'>,
  owners: readonly string[],
): Promise<Map<string, number>> {
  const rows = await db.$queryRaw<{ ownerId: string; count: number }[]>`
    SELECT ${owner} AS "ownerId", count(*)::integer AS count FROM ${table}
    WHERE ${where} AND ${owner} = ANY(${[...owners]}::uuid[]) GROUP BY ${owner}`;
  return new Map(rows.map(({ ownerId, count }) => [ownerId, count]));
}
