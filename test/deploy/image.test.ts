import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
/** What the Dockerfile copies before it generates. */
const copied = ['package.json', 'prisma.config.ts', 'prisma', 'scripts/generate.ts'];

test('The types are generated of what the image has, without npm', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard image '));
  try {
    for (const path of copied) await cp(join(root, path), join(folder, path), { recursive: true });
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    // npm would add node_modules/.bin.
    const env = { ...process.env, PATH: '/usr/local/bin:/usr/bin:/bin' };
    await promisify(execFile)(process.execPath, [join(folder, 'scripts/generate.ts')], { cwd: folder, env });
    for (const made of ['prisma/client.ts', 'pothos-types.ts'])
      expect((await stat(join(folder, 'src/generated', made))).size).toBeGreaterThan(1_000);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
