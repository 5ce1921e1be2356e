import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The lists of an IN that have a LIMIT. PostgreSQL may read such a list anew for each row that it looks at, and if others are
 * locked or skipped each time, a statement takes more rows than the limit.
 */
function findLimitedLists(source: string): string[] {
  return [...source.matchAll(/\bIN \(\s*SELECT\b/g)].flatMap(({ index }) => {
    let end = source.indexOf('(', index) + 1;
    for (let depth = 1; depth > 0 && end < source.length; end++) {
      if (source[end] === '(') depth++;
      else if (source[end] === ')') depth--;
    }
    const list = source.slice(index, end);
    return /\bLIMIT\b/.test(list) ? [list.replace(/\s+/g, ' ')] : [];
  });
}

test('No statement takes its rows from an IN with a LIMIT: = ANY(ARRAY(…)) and MATERIALIZED are read once', async () => {
  const limited: string[] = [];
  let files = 0;
  for await (const file of glob('src/**/*.ts', { cwd: root })) {
    if (file.startsWith('src/generated/')) continue;
    files++;
    for (const list of findLimitedLists(readFileSync(join(root, file), 'utf8'))) limited.push(`${file}: ${list}`);
  }
  expect(files).toBeGreaterThan(300);
  expect(limited).toEqual([]);
});

test('Such lists are found, whatever stands in them', () => {
  // Not in one piece, so that this is none.
  const source = ['DELETE FROM a WHERE id IN', '(\n SELECT id FROM a WHERE (b = 1) LIMIT 5 FOR UPDATE)'].join(' ');
  expect(findLimitedLists(source)).toEqual(['IN ( SELECT id FROM a WHERE (b = 1) LIMIT 5 FOR UPDATE)']);
  expect(findLimitedLists(source.replace(' LIMIT 5', ''))).toEqual([]);
});
