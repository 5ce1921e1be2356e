import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

test('The dock has less than 60 kB, compressed, in one file that holds no React', { timeout: 300_000 }, async () => {
  await promisify(execFile)(process.execPath, [join(root, 'scripts/web.ts'), '--build']);
  const script = await readFile(join(root, 'dist/web/dock.js'));
  expect(gzipSync(script).length).toBeLessThan(60_000);
  expect(script.toString()).not.toMatch(/react|\bimport\s*\(/i);
});
