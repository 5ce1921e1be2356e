import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

const section = /^## What fails, and what it costs\n(.*?)^## /ms;
const [, text = ''] = section.exec(read('docs/operations.md')) ?? [];
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| what fails'))
  .map((line) => line.slice(2, -2).split(' | '));

/** The tests that a cell names, by title and path. */
const listTests = (cell: string) =>
  [...cell.matchAll(/\[([^\]]+)\]\(\.\.\/(test\/[^)]+\.test\.ts)\)/g)].map(([, title = '', path = '']) => ({
    title,
    path,
  }));

/** Whether a file has a test of this title, as it stands in its source. */
function hasTest({ title, path }: { readonly title: string; readonly path: string }): boolean {
  return existsSync(join(root, path)) && [`'${title}'`, `"${title}"`].some((quoted) => read(path).includes(quoted));
}

test('The table of failures has a line for everything that can die, freeze or be cut off', () => {
  const failures = rows.map(([what = '']) => what).join('\n');
  const things = [
    /instance is killed/,
    /instance freezes/,
    /SIGTERM/,
    /PostgreSQL restarts/,
    /away for 3 s/,
    /away for 30 s/,
  ];
  const others = [
    /silently dead/,
    /Redis/,
    /model provider/,
    /tool server/,
    /proxy is restarted/,
    /clock/,
    /disk/,
    /network/,
  ];
  expect([...things, ...others].filter((thing) => !thing.test(failures))).toEqual([]);
});

test('Each line of the table of failures is complete, and names a test that exists', () => {
  expect(rows.length).toBeGreaterThan(15);
  for (const row of rows) {
    expect(row, row[0]).toHaveLength(6);
    expect(
      row.filter((cell) => cell.trim() === ''),
      row[0],
    ).toEqual([]);
    expect(listTests(row[5] ?? '').length, row[0]).toBeGreaterThan(0);
    expect(listTests(row[5] ?? '').filter((one) => !hasTest(one))).toEqual([]);
  }
});

/** What the source says and counts. */
const source = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.startsWith('generated'))
  .map((path) => read(join('src', path)))
  .join('\n');

/** The messages of the log and the metrics that a cell names. */
const listSigns = (cell: string) =>
  [...cell.matchAll(/`([^`]+)`/g)]
    .map(([, sign = '']) => sign.replace(/\{.*/, ''))
    .filter((sign) => sign.startsWith('switchboard_') || (sign.includes(' ') && !sign.includes(':')));
/** Written by somebody else. */
const foreignSigns = ['No space left on device'];
const isSaid = (sign: string) => foreignSigns.includes(sign) || source.includes(sign);

test('What the table of failures says that one sees is written in the source', () => {
  const signs = rows.flatMap((row) => listSigns(row[4] ?? ''));
  expect(signs.length).toBeGreaterThan(20);
  expect(signs.filter((sign) => !isSaid(sign))).toEqual([]);
  expect(isSaid('the database has gone for a walk')).toBe(false);
});

test('A test that does not exist is found', () => {
  const [found] = listTests('[Nothing is lost](../test/house/failures.test.ts)');
  expect(found && hasTest(found)).toBe(false);
  expect(hasTest({ title: 'A test that does not exist is found', path: 'test/house/failures.test.ts' })).toBe(true);
});
