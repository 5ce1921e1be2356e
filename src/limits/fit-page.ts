import type { Page, PageRows } from '../api/paging.ts';
import { type AnswerBudget, rowBytes } from './answer-budget.ts';

/**
 * Cuts a page to what the answer may still hold, before the contents of its rows are read, and takes them from the
 * budget. A page has one row at least; the list says that it goes on behind the cut.
 * @throws {QueryTooComplexError} if there is no room for one row
 * @throws {RateLimitedError} if too much is under way
 */
export async function fitPage<Row extends { readonly bytes: number }>(
  page: Pick<Page<unknown>, 'backward'>,
  found: PageRows<Row>,
  budget: AnswerBudget,
): Promise<PageRows<Row>> {
  const rows = page.backward ? found.rows.toReversed() : found.rows;
  const { count, bytes } = countFitting(
    rows.map((row) => row.bytes),
    budget,
  );
  await budget.take(bytes);
  if (count === rows.length) return found;
  return page.backward
    ? { ...found, rows: found.rows.slice(-count), moreBefore: true }
    : { ...found, rows: found.rows.slice(0, count), moreAfter: true };
}

/**
 * How many of these rows, from the first on, the answer may still hold: one at least, if there is any. The first object of
 * an answer may have any size.
 * @param sizes the bytes of the contents of each row
 * @throws {QueryTooComplexError} if there is no room for the first
 */
function countFitting(
  sizes: readonly number[],
  budget: AnswerBudget,
): { readonly count: number; readonly bytes: number } {
  let [count, bytes] = [0, 0];
  for (const size of sizes) {
    const next = bytes + size + rowBytes;
    const isFirst = count === 0 && budget.isUntouched;
    if (next > budget.remaining && !isFirst) break;
    bytes = next;
    count += 1;
  }
  if (count === 0 && sizes.length > 0) throw budget.tooLarge();
  return { count, bytes };
}
