import { z } from 'zod';
import { badInput } from './input.ts';
import { buildConnection, type Connection, encodeCursor, type Page, type PageArgs, parsePage } from './paging.ts';

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
 * Which places to load for a page, and one more: a range of the index (parent, place). For lists of small rows, which can be
 * loaded before their parent is known.
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
 * @throws {BadUserInputError} when a cursor is of another parent
 */
export function buildPlacePage<Row>(
  list: NumberedList,
  args: PlaceArgs,
  parent: PlaceParent,
  loaded: readonly Row[],
  positionOf: (row: Row) => number,
): Connection<Row> {
  const page = planPlaces(list, args, parent);
  const rows = loaded.filter((row) => positionOf(row) >= page.first && positionOf(row) <= page.last);
  return buildPlaces(page, rows, positionOf, false);
}

/** A page of places that was asked for. */
export interface PlacePage {
  readonly list: NumberedList;
  readonly args: PlaceArgs;
  readonly parent: PlaceParent;
  /** The places of the page, both inclusive; `last` is less than `first` if there are none. */
  readonly first: number;
  readonly last: number;
  /** Whether the page begins at its lowest place: if it cannot hold all, it holds the lowest. */
  readonly fromLowest: boolean;
}

/** The row that the numbered rows belong to. */
export interface PlaceParent {
  /** The row id. */
  readonly id: string;
  /** How many rows it has in all, which is the last place. */
  readonly count: number;
}

/**
 * Which places a page has. Places run from 1 to `count` without gaps, so that takes no statement.
 * @throws {BadUserInputError} when a page argument is wrong, or a cursor is of another parent
 */
export function planPlaces(list: NumberedList, args: PlaceArgs, parent: PlaceParent): PlacePage {
  const { page, lowest, highest, fromLowest } = planRange(list, args, parent);
  return {
    list,
    args,
    parent,
    fromLowest,
    first: fromLowest ? lowest : Math.max(lowest, highest - page.size + 1),
    last: fromLowest ? Math.min(highest, lowest + page.size - 1) : highest,
  };
}

function planRange(list: NumberedList, args: PlaceArgs, parent: PlaceParent) {
  const page = checkArgs(list, args);
  for (const argument of ['after', 'before'] as const) {
    const cursor = page[argument];
    if (cursor !== null && cursor[1] !== parent.id) throw badInput([argument], 'is a cursor of another conversation');
  }
  const descending = args.order === 'DESC';
  return { page, ...findRange(page, parent, descending), fromLowest: descending === page.backward };
}

/** The range of places that a page is at the beginning or the end of, both inclusive. */
export interface PlaceRange {
  readonly lowest: number;
  readonly highest: number;
  readonly size: number;
  readonly fromLowest: boolean;
}

/** The most that a column of places can hold. */
const maxPlace = 2 ** 31 - 1;

/**
 * Which places a page may have, for whoever reads them together with their number.
 * @param parentId the row id
 * @throws {BadUserInputError} when a page argument is wrong, or a cursor is of another parent
 */
export function selectRange(list: NumberedList, args: PlaceArgs, parentId: string): PlaceRange {
  const { page, lowest, highest, fromLowest } = planRange(list, args, { id: parentId, count: maxPlace });
  return { lowest: Math.min(lowest, maxPlace), highest, size: page.size, fromLowest };
}

/**
 * The page out of the rows that were loaded for it.
 * @param rows in any order; those of the page's far end may be missing, as when they are too large
 */
export function buildPlaces<Row>(
  { list, args, parent, first, last, fromLowest }: PlacePage,
  rows: readonly Row[],
  positionOf: (row: Row) => number,
  isCut: boolean,
): Connection<Row> {
  const page = checkArgs(list, args);
  const descending = args.order === 'DESC';
  const sorted = rows.toSorted((one, other) => (positionOf(one) - positionOf(other)) * (descending ? -1 : 1));
  const reaches = (place: number, up: boolean) => parent.count > 0 && (up ? place <= parent.count : place >= 1);
  // The rest of the range that was asked for, behind the far end of the page.
  const range = findRange(page, parent, descending);
  const goesOn = isCut || (fromLowest ? last < range.highest : first > range.lowest);
  const keyed = sorted.map((node) => ({ key: [positionOf(node), parent.id] as const, node }));
  const found = {
    rows: keyed,
    moreBefore: (page.backward && goesOn) || (page.after !== null && reaches(page.after[0], descending)),
    moreAfter: (!page.backward && goesOn) || (page.before !== null && reaches(page.before[0], !descending)),
  };
  return buildConnection<Row, PlaceKey>(page, found, () => parent.count);
}

/** A row as an edge of its list, in ascending order: what an event brings that adds it. */
export function buildPlaceEdge<Row>(list: NumberedList, node: Row, place: number, parentId: string) {
  return { cursor: encodeCursor(`${list.name}:ASC`, [place, parentId] satisfies PlaceKey), node };
}

function checkArgs(list: NumberedList, args: PlaceArgs): Page<PlaceKey> {
  return parsePage(args, { ...list, list: `${list.name}:${args.order ?? 'ASC'}`, key });
}

/** The places between the cursors, both inclusive. */
function findRange({ after, before }: Page<PlaceKey>, { count }: PlaceParent, descending: boolean) {
  const [above, below] = descending ? [before, after] : [after, before];
  return {
    lowest: above === null ? 1 : Math.max(1, above[0] + 1),
    highest: below === null ? count : Math.min(count, below[0] - 1),
  };
}
