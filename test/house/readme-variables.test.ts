import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { variables } from '../../src/config/variables.ts';

test('The table of the README has every variable of the environment, and no other.', async () => {
  const readme = await readFile(join(import.meta.dirname, '../../README.md'), 'utf8');
  const section = readme.slice(readme.indexOf('\n## Configuration'), readme.indexOf('\n## Deployment'));
  const named = new Set<string>();
  for (const [, names = '', , meaning = ''] of section.matchAll(/^\| (`.*?) \| (.*?) \| (.*) \|$/gm)) {
    for (const [, name = ''] of names.matchAll(/`([A-Z][A-Z_…]*)`/g)) {
      if (!name.endsWith('…')) named.add(name);
      // A family of variables, whose last parts stand in the last column.
      else for (const [, part] of meaning.matchAll(/`([A-Z][A-Z_]*)`/g)) named.add(`${name.slice(0, -1)}${part}`);
    }
    for (const [, whole = ''] of meaning.matchAll(/`((?:TTS|STT)_[A-Z_]+)`/g)) named.add(whole);
  }
  const known = Object.keys(variables.shape).filter((name) => name !== 'NODE_ENV');
  expect(known.length).toBeGreaterThan(40);
  expect(known.filter((name) => !named.has(name))).toEqual([]);
  const families = /^(TTS|STT)_(TTS|STT)_/;
  expect([...named].filter((name) => !known.includes(name) && !families.test(name))).toEqual([]);
});
