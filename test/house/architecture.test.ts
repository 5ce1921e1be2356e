import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../src', import.meta.url));

/** The floors of DESIGN.md, the highest first: the first pattern that fits says where a file stands. */
const floors: readonly (readonly [pattern: RegExp, floor: number])[] = [
  [/^generated\//, 0],
  // Pure, and common to whoever is handed a graph: mutations, files and seeds.
  [/^scenarios\/graph\.ts$/, 2],
  [/^[^/]+\/(.+-)?(schema|subscription|ref)\.ts$/, 7],
  [/^(main|app|open-stores|open-hosts|schema|model|playground)\.ts$|^server\//, 8],
  [/^(context|builder|refs|selection)\.ts$/, 6],
  [/^(runs|speech|scenario-files)\//, 5],
  [/^(conversations|agents|scenarios|tools|tenants)\//, 4],
  [/^log\//, 3],
  [
    /^(db|input|multipart|paging|place-page|access|rate-limit|redis|config-cache|key-file|yaml)\.ts$|^(database|auth|providers|secrets|demo)\//,
    2,
  ],
  [/^engine\//, 1],
  [/^(errors|env|env-variables|ids)\.ts$/, 0],
];

interface Import {
  readonly from: string;
  /** A path under src, or the name of a package. */
  readonly to: string;
  readonly inside: boolean;
  readonly typeOnly: boolean;
}

const sources = new Map<string, string>();
let imports: Import[] = [];

beforeAll(async () => {
  for await (const file of glob('**/*.ts', { cwd: root })) {
    if (!file.startsWith('generated/')) sources.set(file, readFileSync(join(root, file), 'utf8'));
  }
  imports = [...sources].flatMap(([file, source]) => listImports(file, source));
  expect(sources.size).toBeGreaterThan(50);
  expect(imports.length).toBeGreaterThan(200);
});

describe('the floors of DESIGN.md', () => {
  test('Every file has a level', () => {
    expect([...sources.keys()].filter((file) => findFloor(file) === undefined)).toEqual([]);
  });

  test('Imports never point up', () => {
    const up = imports.filter(({ from, to, inside }) => inside && floorOf(to) > floorOf(from));
    expect(up.map(describeImport)).toEqual([]);
  });

  test('Nouns of floor 4 never import each other', () => {
    const sideways = imports.filter(
      ({ from, to, inside }) => inside && floorOf(from) === 4 && floorOf(to) === 4 && folderOf(from) !== folderOf(to),
    );
    expect(sideways.map(describeImport)).toEqual([]);
  });

  test('A noun’s part of the graph knows the builder, its own folder and what is common, and no other noun', () => {
    // runs/ and speech/ compose the nouns, in the graph as below it.
    const others = imports.filter(
      ({ from, to, inside }) =>
        inside &&
        floorOf(from) === 7 &&
        !['runs', 'speech'].includes(folderOf(from)) &&
        folderOf(from) !== folderOf(to) &&
        [3, 4, 5, 7].includes(floorOf(to)),
    );
    expect(others.map(describeImport)).toEqual([]);
  });

  test('The engine imports nothing from outside but what Node has', () => {
    const outside = imports.filter(
      ({ from, to }) => folderOf(from) === 'engine' && folderOf(to) !== 'engine' && !to.startsWith('node:'),
    );
    expect(outside.map(describeImport)).toEqual([]);
  });

  test('Prisma is known to db.ts, database/ and floors 3 to 5; its rows’ types also to floors 6 and 8', () => {
    const knows = (file: string) =>
      file === 'db.ts' || folderOf(file) === 'database' || [3, 4, 5].includes(floorOf(file));
    const mayName = (file: string) => knows(file) || [6, 8].includes(floorOf(file));
    const leaks = imports.filter(
      ({ from, to, typeOnly }) =>
        (to.startsWith('generated/prisma/') || to.startsWith('@prisma/')) && !(typeOnly ? mayName(from) : knows(from)),
    );
    expect(leaks.map(describeImport)).toEqual([]);
  });

  test('Pothos is known to floors 6 and above, openai to providers/', () => {
    const leaks = imports.filter(
      ({ from, to }) =>
        (to.startsWith('@pothos/') && floorOf(from) < 6) ||
        (/^openai(\/|$)/.test(to) && folderOf(from) !== 'providers'),
    );
    expect(leaks.map(describeImport)).toEqual([]);
  });
});

test('Nothing but env.ts reads process.env', () => {
  const readers = [...sources].filter(
    ([file, source]) =>
      file !== 'env.ts' && /process\s*\.\s*env|\benv\b.*from 'node:process'/.test(stripComments(source)),
  );
  // main.ts hands it to readEnv, and reads nothing of it.
  expect(readers.map(([file]) => file).filter((file) => file !== 'main.ts')).toEqual([]);
  expect(stripComments(sources.get('main.ts') ?? '')).not.toMatch(/process\.env\s*[.[]/);
});

test('No file is longer than 300 lines, and none is a barrel', () => {
  const long = [...sources].filter(([, source]) => source.split('\n').length > 300);
  expect(long.map(([file]) => file)).toEqual([]);
  expect([...sources.keys()].filter((file) => /(^|\/)index\.ts$/.test(file))).toEqual([]);
});

test('No name hides what a file does', () => {
  const vague = [...sources.keys()].filter((file) => /(service|manager|helper|utils?)s?[.-]/i.test(file));
  expect(vague).toEqual([]);
});

function listImports(from: string, source: string): Import[] {
  const statements = stripComments(source).matchAll(
    /^(?:import|export)\s+(type\s)?(?:[^;'"]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
  );
  return [...statements].map(([statement, type, name, dynamic]) => {
    const target = name ?? dynamic ?? '';
    const inside = target.startsWith('.');
    const to = inside ? relative(root, resolve(root, dirname(from), target)) : target;
    // Without braces it is a side effect, a default or a namespace: none of them a type.
    const named = /\{([^}]*)\}/.exec(statement)?.[1] ?? 'value';
    const names = named.split(',').map((entry) => entry.trim());
    const typeOnly = type !== undefined || names.filter(Boolean).every((entry) => entry.startsWith('type '));
    return { from, to, inside, typeOnly };
  });
}

function stripComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

function findFloor(file: string): number | undefined {
  return floors.find(([pattern]) => pattern.test(file))?.[1];
}

function floorOf(file: string): number {
  return findFloor(file) ?? Number.NaN;
}

function folderOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : file;
}

function describeImport({ from, to }: Import): string {
  return `${from} → ${to}`;
}
