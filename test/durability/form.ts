import { appendFileSync } from 'node:fs';

/** How much the suites of durability do: `npm run durability` does all, `npm test` and CI do little. */
export const form: 'short' | 'full' = process.env.DURABILITY_FORM === 'full' ? 'full' : 'short';

/** Notes a line of the table that `npm run durability` prints at its end; without it, nothing. */
export function report(cells: readonly string[]): void {
  const file = process.env.DURABILITY_REPORT;
  if (file) appendFileSync(file, `${JSON.stringify(cells)}\n`);
}

/** Random numbers that can be repeated (mulberry32), from 0 to 1. */
export type Random = () => number;

const given = process.env.DURABILITY_SEED;
/** What the random things of this run are made from. */
export const seed = given ? Number(given) : Math.floor(Math.random() * 2 ** 31);

/** Random numbers of the run's seed. @param lane so that suites do not disturb each other */
export function openRandom(lane: number): Random {
  let state = (seed + lane * 0x9e3779b9) | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
