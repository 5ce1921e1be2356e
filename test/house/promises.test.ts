import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import browser from '../../vitest.browser.config.ts';
import { projects } from '../../vitest.config.ts';
import durability from '../../vitest.durability.config.ts';

/** The part of a configuration that says which suites it runs. */
interface SuiteConfig {
  readonly test?: { readonly include?: readonly string[]; readonly exclude?: readonly string[] };
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const section = /^## Promises and the suites that try to break them\n(.*?)^## /ms;
const [, text = ''] = section.exec(readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')) ?? [];
const rows = text.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| promise'));
const suites = [...new Set([...text.matchAll(/\]\((test\/[^)]+)\)/g)].map(([, path = '']) => path))];

test('Every promise of the README has a row in the table of promises', () => {
  const [, promises = ''] =
    /^## What you can rely on\n(.*?)^## /ms.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? [];
  const bold = [...promises.matchAll(/^- (\*\*[^*]+\*\*)/gm)].map(([, promise = '']) => promise);
  expect(bold.length).toBeGreaterThan(5);
  expect(bold.filter((promise) => !rows.some((row) => row.includes(promise)))).toEqual([]);
});

test('Every promise of the table names a suite', () => {
  expect(rows.length).toBeGreaterThan(10);
  expect(rows.filter((row) => !/\]\(test\/[^)]+\.test\.ts\)/.test(row))).toEqual([]);
});

test('Every suite of the table exists, is run by one of the configurations, and skips nothing', () => {
  const isRun = (path: string) =>
    [...projects, browser, durability].some(
      ({ test: { include = [], exclude = [] } = {} }: SuiteConfig) =>
        include.some((pattern) => matchesGlob(path, pattern)) && !exclude.some((pattern) => matchesGlob(path, pattern)),
    );
  expect(suites.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  expect(suites.filter((path) => !isRun(path))).toEqual([]);
  const idle = suites.filter((path) => {
    const source = readFileSync(join(root, path), 'utf8');
    return (
      !/^ *test(\.each|\.runIf|\.skipIf)?[<(]/m.test(source) || /\b(test|describe)\.(skip|only|todo)\b/.test(source)
    );
  });
  expect(idle).toEqual([]);
});

test('Every suite has a test that runs without a database server: .ci/run fails for a suite that ran none', () => {
  const always = /^(test|describe)(\.each)?[<(]|^(test|describe)\.runIf\(process\.platform === 'linux'\)/m;
  const suites = globSync('test/**/*.test.ts', { cwd: root });
  expect(suites.length).toBeGreaterThan(100);
  expect(suites.filter((path) => !always.test(readFileSync(join(root, path), 'utf8')))).toEqual([]);
});
