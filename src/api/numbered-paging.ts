import { z } from 'zod';
import { badInput } from './input.ts';
import {
  buildConnection,
  type Connection,
  encodeCursor,
  type Page,
  type PageArgs,
  parsePage,
  trimPage,
} from './paging.ts';

/** Where a row stands among those of its parent, and the parent's row id, so that a cursor of another one is refused. */
type PlaceKey = readonly [place: number, parentId: string];

const key: z.ZodType<PlaceKey> = z.tuple([z.int32(), z.uuid()]);

/** A list whose rows are numbered from 1 without gaps within their parent: the messages or runs of a conversation. */
export interface NumberedList {
  /** Names the list in its cursors. */
  readonly name: string;
  readonly defaultSize: number;
  readonly maxSize: number;
}

export type PlaceArgs = PageArgs & { readonly order?: 'ASC' | 'DESC' | null | undefined };

/**
 * Which places to load for a page, and one more: a range of the index (parent, place).
 * @throws {BadUserInputError} when a page argument is wrong
 */
export function selectPlaces(list: NumberedList, args: PlaceArgs) {
  const page = checkArgs(list, args);
  const descending = args.order === 'DESC';
  const forwards = descending ? 'lt' : 'gt';
  const backwards = descending ? 'gt' : 'lt';
  return {
    range: {
      ...(page.after !== null && { [forwards]: page.after[0] }),
      ...(page.before !== null && { [backwards]: page.before[0] }),
    },
    direction: descending === page.backward ? ('asc' as const) : ('desc' as const),
    take: page.size + 1,
  };
}

/**
 * The page out of what selectPlaces had loaded.
 * @param parent its row id, and how many rows it has in all
 * @throws {BadUserInputError} when a cursor is of another parent
 */
export function buildPlacePage<Row>(
  list: NumberedList,
  args: PlaceArgs,
  parent: { readonly id: string; readonly count: number },
  loaded: readonly Row[],
  positionOf: (row: Row) => number,
): Connection<Row> {
  const page = checkArgs(list, args);
  for (const argument of ['after', 'before'] as const) {
    const cursor = page[argument];
    if (cursor !== null && cursor[1] !== parent.id) throw badInput([argument], 'is a cursor of another conversation');
  }
  const rows = page.backward ? loaded.toReversed() : loaded;
  // Places run from 1 to `count` without gaps, so what lies outside the range needs no statement.
  const reaches = (place: number, up: boolean) => parent.count > 0 && (up ? place <= parent.count : place >= 1);
  const descending = args.order === 'DESC';
  const trimmed = trimPage(page, {
    rows,
    moreBefore: page.after !== null && reaches(page.after[0], descending),
    moreAfter: page.before !== null && reaches(page.before[0], !descending),
  });
  const keyed = trimmed.rows.map((node) => ({ key: [positionOf(node), parent.id] as const, node }));
  return buildConnection<Row, PlaceKey>(page, { ...trimmed, rows: keyed }, () => parent.count);
}

/** A row as an edge of its list, in ascending order: what an event brings that adds it. */
export function buildPlaceEdge<Row>(list: NumberedList, node: Row, place: number, parentId: string) {
  return { cursor: encodeCursor(`${list.name}:ASC`, [place, parentId] satisfies PlaceKey), node };
}

function checkArgs(list: NumberedList, args: PlaceArgs): Page<PlaceKey> {
  return parsePage(args, { ...list, list: `${list.name}:${args.order ?? 'ASC'}`, key });
}
