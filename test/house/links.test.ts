import { existsSync } from 'node:fs';
import { glob, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

test('Every relative link of the documents leads to a file that exists, and to a heading of it.', async () => {
  const broken: string[] = [];
  let checked = 0;
  for await (const file of glob(['*.md', 'docs/**/*.md', 'examples/**/*.md'], { cwd: root })) {
    const text = await readFile(join(root, file), 'utf8');
    for (const [, target = ''] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      checked += 1;
      const [path = '', anchor] = target.split('#');
      const absolute = path === '' ? join(root, file) : join(root, dirname(file), path);
      if (!existsSync(absolute)) broken.push(`${file}: ${target}: no such file`);
      else if (anchor !== undefined && !listAnchors(await readFile(absolute, 'utf8')).has(anchor)) {
        broken.push(`${file}: ${target}: no such heading`);
      }
    }
  }
  expect(checked).toBeGreaterThan(20);
  expect(broken).toEqual([]);
});

function withoutCode(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```/gm, '');
}

/** The anchors of the headings, as GitHub makes them. */
function listAnchors(markdown: string): Set<string> {
  const headings = withoutCode(markdown).matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  );
}
