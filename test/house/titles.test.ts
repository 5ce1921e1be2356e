import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Title {
  readonly file: string;
  readonly kind: 'test' | 'describe';
  readonly text: string;
}

const titles: Title[] = [];
beforeAll(async () => {
  for await (const file of glob('**/*.test.ts', { cwd: root })) {
    titles.push(...listTitles(file, readFileSync(join(root, file), 'utf8')));
  }
});

describe('the titles of the tests', () => {
  test('Every call of test and describe has a title that this suite can read', async () => {
    const calls = [...new Set(titles.map(({ file }) => file))].map((file) => {
      const source = readFileSync(join(root, file), 'utf8');
      const count = [...source.matchAll(/^ *(?:test|describe)(?:\.\w+)?(?:<|\()/gm)].length;
      return { file, calls: count, titles: titles.filter((title) => title.file === file).length };
    });
    expect(calls.filter((entry) => entry.calls !== entry.titles)).toEqual([]);
    expect(titles.length).toBeGreaterThan(600);
  });

  test('A title is a sentence: it starts with a capital letter, a name or a value, and has three words or more', () => {
    const start =
      /^(?:[A-Z\d“`]|[$%]|\/|npm run |kill -9 |agents:sync |keys:rotate |[a-z]+[A-Z]\w*|first and |before alone|return |node and |search )/;
    const fragments = titles.filter(
      ({ kind, text }) => kind === 'test' && (!start.test(text) || text.trim().split(/\s+/).length < 3),
    );
    expect(fragments.map(describeTitle)).toEqual([]);
  });

  test('A title has more than a value of a table', () => {
    const bare = titles.filter(({ kind, text }) => kind === 'test' && text.replace(/%\w|\$\w+|\W/g, '').length < 8);
    expect(bare.map(describeTitle)).toEqual([]);
  });

  test('No two tests have the same title, so that a search finds one', () => {
    const seen = Map.groupBy(
      titles.filter(({ kind }) => kind === 'test'),
      ({ text }) => text,
    );
    const repeated = [...seen.values()].filter((list) => list.length > 1);
    expect(repeated.map((list) => list.map(describeTitle))).toEqual([]);
  });
});

function describeTitle({ file, text }: Title): string {
  return `${file}: ${text}`;
}

/** Reads the titles of a suite from its text, as a search in the repository would find them. */
function listTitles(file: string, source: string): Title[] {
  const found: Title[] = [];
  for (const call of source.matchAll(/^ *(test|describe)(\.\w+)?(?:<[^;\n]*>)?\(/gm)) {
    let rest = source.slice(call.index + call[0].length);
    // The title of a table, or of a condition, stands in the second pair of parentheses.
    if (call[2]) rest = rest.slice(/\)\(\s*(?=['"`])/.exec(rest)?.index ?? rest.length).replace(/^\)\(/, '');
    const quoted = /^\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`([^`]*)`)/.exec(rest);
    const text = quoted?.[1] ?? quoted?.[2] ?? quoted?.[3];
    if (text === undefined) continue;
    found.push({ file, kind: call[1] === 'test' ? 'test' : 'describe', text: text.replaceAll("\\'", "'") });
  }
  return found;
}
