import { appendFileSync } from 'node:fs';

/** How much the suites of durability do: `npm run durability` does all, `npm test` and CI do little. */
export const form: 'short' | 'full' = process.env.DURABILITY_FORM === 'full' ? 'full' : 'short';

/** Notes a line of the table that `npm run durability` prints at its end; without it, nothing. */
export function report(cells: readonly string[]): void {
  const file = process.env.DURABILITY_REPORT;
  if (file) appendFileSync(file, `${JSON.stringify(cells)}\n`);
}
