import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';

const script = join(import.meta.dirname, '../../scripts/token.ts');

async function runCommand(...args: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-token-'));
  try {
    const env = { PATH: process.env.PATH };
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
      cwd: folder,
      encoding: 'utf8',
      env,
    });
    return { status, stdout, stderr };
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('npm run token', () => {
  test('With --help, it lists every option that it reads, and exits with 0.', async () => {
    const { status, stdout, stderr } = await runCommand('--help');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const options = (await readFile(script, 'utf8')).matchAll(/^\s+(\w+): \{ type: '/gm);
    const names = [...options].map(([, name]) => `--${name}`);
    expect(names).toContain('--role');
    expect(names.filter((name) => !stdout.includes(name))).toEqual([]);
  });

  test('It prints one token with the claims that were asked for, and nothing else.', async () => {
    const { status, stdout } = await runCommand('--sub', 'alice', '--role', 'admin', '--tenant', 'acme', '--ttl', '60');
    expect(status).toBe(0);
    const claims = decodeJwt(stdout.trim());
    expect(claims).toMatchObject({ sub: 'alice', tenant: 'acme', roles: ['admin'] });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(60);
  });

  test.each([
    { args: [], problem: '--sub is missing' },
    { args: ['--sub', 'alice', '--ttl', '0'], problem: '--ttl must be' },
    { args: ['--sub', 'alice', '--admin'], problem: '--admin' },
  ])('It says what is wrong with $args, points to --help, and exits with 2.', async ({ args, problem }) => {
    const { status, stdout, stderr } = await runCommand(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(problem);
    expect(stderr).toContain('--help');
  });
});
