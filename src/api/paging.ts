import { z } from 'zod';
import { badInput } from './input.ts';

/** The arguments of a Relay connection, as they come. */
export interface PageArgs {
  readonly first?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly last?: number | null | undefined;
  readonly before?: string | null | undefined;
}

/** Which list is paged, and how. */
export interface PageRules<Key> {
  /** Names the list and its order, so that a cursor of another list or order is refused. */
  readonly list: string;
  /** What a cursor of this list holds: the sort value and the id of a row. */
  readonly key: z.ZodType<Key>;
  readonly defaultSize: number;
  readonly maxSize: number;
}

/** A page that was asked for, checked. */
export interface Page<Key> {
  readonly list: string;
  /** How many rows at most. */
  readonly size: number;
  /** How many rows a page of this list may have. */
  readonly maxSize: number;
  /** Whether the page is the end of the range and not its beginning. */
  readonly backward: boolean;
  /** The range, both ends exclusive; null: open. */
  readonly after: Key | null;
  readonly before: Key | null;
}

/** What was found for a page, in list order. */
export interface PageRows<Row> {
  readonly rows: readonly Row[];
  /** Whether the list goes on before the first of them, and after the last. */
  readonly moreBefore: boolean;
  readonly moreAfter: boolean;
}

/** A page as the connection types read it. */
export interface Connection<Node> {
  readonly edges: { readonly cursor: string; readonly node: Node }[];
  readonly pageInfo: {
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
  /** Called only where the document asks for it. */
  readonly totalCount: () => number | Promise<number>;
}

/**
 * Checks the arguments of a connection.
 * Neither `first` nor `last`: the default size, from the end when only `before` was given.
 * @throws {BadUserInputError} naming the argument
 */
export function parsePage<Key>(args: PageArgs, rules: PageRules<Key>): Page<Key> {
  const first = args.first ?? null;
  const last = args.last ?? null;
  const after = args.after ?? null;
  const before = args.before ?? null;
  if (first !== null && last !== null) throw badInput(['last'], 'cannot be combined with first');
  checkSize(first, 'first', rules.maxSize);
  checkSize(last, 'last', rules.maxSize);
  const backward = last !== null || (first === null && before !== null && after === null);
  return {
    list: rules.list,
    size: first ?? last ?? rules.defaultSize,
    maxSize: rules.maxSize,
    backward,
    after: after === null ? null : decodeCursor(after, rules, 'after'),
    before: before === null ? null : decodeCursor(before, rules, 'before'),
  };
}

/** How many items a page of most lists has. */
export const pageSizes = { defaultSize: 50, maxSize: 100 } as const;

/**
 * The cost of a page: its field, and what is selected on each item of it. Arguments are checked later, so one beyond the
 * maximum counts as the maximum, and is then refused by its name.
 */
export function estimatePageCost(
  args: PageArgs,
  { defaultSize, maxSize }: { readonly defaultSize: number; readonly maxSize: number },
) {
  const size = args.first ?? args.last ?? defaultSize;
  return { field: 1, multiplier: Math.min(Math.max(0, size), maxSize) };
}

/**
 * Takes the one row too many off, which was read to see whether the range goes on.
 * @param found in list order, at most `page.size + 1` rows, and whether the list has rows outside the range
 */
export function trimPage<Row>(page: Page<unknown>, found: PageRows<Row>): PageRows<Row> {
  const { rows } = found;
  if (rows.length <= page.size) return found;
  return page.backward
    ? { ...found, rows: rows.slice(rows.length - page.size), moreBefore: true }
    : { ...found, rows: rows.slice(0, page.size), moreAfter: true };
}

/** Makes the connection of a page out of what was found for it. */
export function buildConnection<Node, Key>(
  page: Page<Key>,
  found: PageRows<{ readonly key: Key; readonly node: Node }>,
  totalCount: () => number | Promise<number>,
): Connection<Node> {
  const edges = found.rows.map(({ key, node }) => new RowEdge(page.list, key, node));
  return {
    edges,
    pageInfo: {
      hasPreviousPage: found.moreBefore,
      hasNextPage: found.moreAfter,
      get startCursor() {
        return edges[0]?.cursor ?? null;
      },
      get endCursor() {
        return edges.at(-1)?.cursor ?? null;
      },
    },
    totalCount,
  };
}

/** Its cursor is made when it is asked for, which is nearly never: a list has a hundred of them. */
class RowEdge<Node> {
  readonly node: Node;
  readonly #list: string;
  readonly #key: unknown;

  constructor(list: string, key: unknown, node: Node) {
    this.node = node;
    this.#list = list;
    this.#key = key;
  }

  get cursor(): string {
    return encodeCursor(this.#list, this.#key);
  }
}

/** The opaque cursor of a row: the list it is of, and its key. */
export function encodeCursor(list: string, key: unknown): string {
  return Buffer.from(JSON.stringify([list, key])).toString('base64url');
}

function decodeCursor<Key>(cursor: string, rules: PageRules<Key>, argument: string): Key {
  const decoded = z.tuple([z.literal(rules.list), rules.key]).safeParse(parseJson(cursor));
  if (!decoded.success) throw badInput([argument], 'is not a cursor of this list in this order');
  return decoded.data[1];
}

function parseJson(cursor: string): unknown {
  if (!/^[\w-]{1,4096}$/.test(cursor)) return undefined;
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    return undefined;
  }
}

function checkSize(size: number | null, argument: string, max: number): void {
  if (size !== null && (!Number.isInteger(size) || size < 0 || size > max)) {
    throw badInput([argument], `must be an integer from 0 to ${max}`);
  }
}
