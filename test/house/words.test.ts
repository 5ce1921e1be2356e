import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findPrivateWords, privateWords } from '../support/private-words.ts';

const root = join(import.meta.dirname, '../..');

/** What is read by people who only use the server. None of the phrases may stand there. */
const documents = [
  '*.md',
  'docs/**/*.md',
  'examples/**',
  'compose.yaml',
  'deploy/**',
  'Dockerfile',
  'prisma/*.{prisma,json}',
];
const code = ['src/**/*.ts', 'scripts/**/*.ts', 'bench/**/*.ts', 'test/**/*.ts'];
/** Generated files, and the files that must name the phrases. */
const skipped = /(^|\/)generated\/|private-words\.ts$|words\.test\.ts$/;

/** How often a phrase may still stand in code, by what is to be written instead. The numbers only go down. */
const remaining: Readonly<Record<string, number>> = {
  unavailable: 2,
  interrupted: 1,
};

describe('The words of the house', () => {
  test('Documents use no word of a private vocabulary.', async () => {
    const texts = await readFiles(documents);
    expect(texts.size).toBeGreaterThan(8);
    const found = [...texts].flatMap(([file, text]) => findPrivateWords(text).map((word) => `${file}: ${word}`));
    expect(found).toEqual([]);
  });

  test('Code uses no word of a private vocabulary more often than it is allowed for now.', async () => {
    const texts = await readFiles(code);
    expect(texts.size).toBeGreaterThan(300);
    const exceeded = privateWords.flatMap(({ pattern, instead, documentsOnly }) => {
      if (documentsOnly) return [];
      const found = [...texts].flatMap(([file, text]) =>
        [...text.matchAll(pattern)].map(([phrase]) => `${file}: ${phrase}`),
      );
      const allowed = remaining[instead] ?? 0;
      return found.length > allowed ? [{ write: instead, allowed, found }] : [];
    });
    expect(exceeded).toEqual([]);
  });

  test('The list finds what it is meant to find, and leaves ordinary English alone.', () => {
    expect(findPrivateWords('The agent has the floor, and the tool is out of reach at once.')).toHaveLength(3);
    expect(findPrivateWords('There is not enough memory, and the agent is the active one.')).toEqual([]);
  });
});

async function readFiles(patterns: readonly string[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for await (const file of glob([...patterns], { cwd: root, exclude: ['node_modules/**'] })) {
    if (skipped.test(file) || !/(\.(ts|md|yaml|json|prisma)|Dockerfile)$/.test(file)) continue;
    texts.set(file, await readFile(join(root, file), 'utf8'));
  }
  return texts;
}
