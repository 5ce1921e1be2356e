import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startServer } from '../support/server.ts';

test.runIf(process.platform === 'linux')(
  'What the server and its embedded database write is for their user only, also in a folder that others can read',
  async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'switchboard-modes-'));
    stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
    await chmod(folder, 0o755);
    const server = stack.use(await startServer(folder, { LOG_LEVEL: 'silent' }));
    expect((await server.query('{ viewer { userId } }', {}, { token: await server.token() })).status).toBe(200);
    // PGlite sets the modes of its own files; the folder around them keeps others out.
    const entries = await readdir(folder, { withFileTypes: true });
    expect(entries.map(({ name }) => name)).toContain('postgres');
    const open: string[] = [];
    for (const entry of entries) {
      const path = join(entry.parentPath, entry.name);
      // A file of the database may be gone by now.
      const { mode } = await stat(path).catch(() => ({ mode: 0 }));
      if ((mode & 0o077) !== 0) open.push(`${path} ${(mode & 0o777).toString(8)}`);
    }
    expect(open).toEqual([]);
  },
);
