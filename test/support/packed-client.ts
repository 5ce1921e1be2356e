import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');
const execute = promisify(execFile);

/**
 * Packs packages/client as its publisher does, and unpacks the tarball.
 * @param folder an existing folder for the package, such as `node_modules/@switchboard/client`
 */
export async function unpackClient(folder: string): Promise<void> {
  // A copy is built: other suites read the package's own folder meanwhile. Two folders below the root, as the original.
  await mkdir(join(root, 'dist'), { recursive: true });
  const copy = await mkdtemp(join(root, 'dist/client-'));
  try {
    await cp(join(root, 'packages/client'), copy, { recursive: true, filter: (path) => !/\/dist$|\.tgz$/.test(path) });
    await execute(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', copy]);
    const { stdout } = await execute('npm', ['pack', '--ignore-scripts', '--silent'], { cwd: copy });
    await execute('tar', ['-xzf', join(copy, stdout.trim()), '-C', folder, '--strip-components=1']);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}
