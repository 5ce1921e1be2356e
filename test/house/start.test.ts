import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { startApp } from '../../src/boot/app.ts';
import { readEnv } from '../../src/config/env.ts';
import { openDatabase } from '../../src/database/client.ts';
import { startTestApp } from '../support/app.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';

const root = join(import.meta.dirname, '../..');
const quiet = { LOG_LEVEL: 'silent', PORT: '0' };

/** `npm start` without npm, in a process of its own, which does not outlive the test. */
function startProcess(env: Record<string, string>, flags: readonly string[] = []) {
  const child = spawn(process.execPath, [...flags, 'src/main.ts'], {
    cwd: root,
    env: { PATH: process.env.PATH, ...env },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      text += String(chunk);
    });
  }
  const exit = once(child, 'exit');
  return {
    output: () => text,
    started: () => expect.poll(() => text, startPatience).toContain('npm run -s token'),
    /** The exit code, and the signal that killed it if one did. */
    exit,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exit;
    },
  };
}

// Whole processes start and stop here, next to other tests: this is room, not an expectation.
const startPatience = { timeout: 40_000 };

describe('the process', startPatience, () => {
  test('The process prints its address and a token that works', async () => {
    await using data = await createTestDataFolder();
    await using server = startProcess({ ...quiet, DATA_DIR: data.folder });
    await server.started();
    const [, url = ''] = /(http:\/\/127\.0\.0\.1:\d+\/graphql)/.exec(server.output()) ?? [];
    const [, token = ''] = /a week: (\S+)/.exec(server.output()) ?? [];
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: '{"query":"{ viewer { userId } }"}',
    });
    expect(await answer.json()).toEqual({ data: { viewer: { userId: 'developer' } } });
  });

  test('The process writes no line for an operation to the terminal of a developer, and says how to have one', async () => {
    await using data = await createTestDataFolder();
    await using server = startProcess({ PORT: '0', DATA_DIR: data.folder });
    await server.started();
    const [, url = ''] = /(http:\/\/127\.0\.0\.1:\d+\/graphql)/.exec(server.output()) ?? [];
    await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"query":"{ viewer { userId } }"}',
    });
    server.kill('SIGTERM');
    expect(await server.exit).toEqual([0, null]);
    expect(server.output()).not.toMatch(/^\{.*"operation"/m);
    expect(server.output()).toContain('LOG_LEVEL=info');
  });

  test('The process starts under --watch, as npm run dev does it', async () => {
    await using data = await createTestDataFolder();
    await using server = startProcess({ ...quiet, DATA_DIR: data.folder }, ['--watch', '--watch-preserve-output']);
    await server.started();
    // The server itself is a child of the one that watches, which ends it with itself.
    server.kill('SIGTERM');
    await server.exit;
  });

  test('The process reports a data folder that is in use', async () => {
    await using data = await createTestDataFolder();
    await using first = startProcess({ ...quiet, DATA_DIR: data.folder });
    await first.started();
    await using second = startProcess({ ...quiet, DATA_DIR: data.folder });
    expect(await second.exit).toEqual([1, null]);
    expect(second.output()).toContain(data.folder);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    'The process ends in order on %s, and the folder is free again',
    async (signal) => {
      await using data = await createTestDataFolder();
      for (let round = 0; round < 2; round += 1) {
        await using server = startProcess({ ...quiet, DATA_DIR: data.folder });
        await server.started();
        server.kill(signal);
        expect(await server.exit).toEqual([0, null]);
      }
    },
  );

  test.each([
    {
      what: 'everything that is missing in production',
      env: { NODE_ENV: 'production' },
      says: /DATABASE_URL.*[\s\S]*JWT_ISSUER/,
    },
    {
      what: 'a seed that cannot be read',
      env: { SEED_FILE: '/nowhere/seed.json' },
      says: /SEED_FILE \(\/nowhere\/seed\.json\)/,
    },
    {
      what: 'an unavailable database',
      env: { DATABASE_URL: 'postgres://u:secret@127.0.0.1:1/x' },
      says: /DATABASE_URL cannot be used/,
    },
  ])('The process says in words and without a stack: $what', async ({ env, says }) => {
    await using server = startProcess({ ...quiet, ...env });
    expect(await server.exit).toEqual([1, null]);
    expect(server.output()).toMatch(says);
    expect(server.output()).not.toMatch(/\n\s+at |secret/);
  });
});

test('The process names a port that is taken', async () => {
  await using database = await createTestDatabase();
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = z.object({ port: z.number() }).parse(other.address());
  const env = readEnv({ DATABASE_URL: database.url, PORT: String(port), LOG_LEVEL: 'silent' });
  await expect(startApp(env)).rejects.toThrow(`Port ${port} of 127.0.0.1 is in use`);
  other.close();
});

test('A database with missing migrations is refused, and they are named', async () => {
  await using database = await createTestDatabase();
  await using opened = openDatabase({ url: database.url, poolSize: 1 });
  await opened.db.$executeRaw`DELETE FROM _prisma_migrations`;
  const env = readEnv({ DATABASE_URL: database.url, ...quiet });
  await expect(startApp(env)).rejects.toThrow(/Pending migrations\. Apply them with npm run migrate: \d+_init/);
});

test('While migrations are missing, /ready says no and why; /health still says yes', async () => {
  await using app = await startTestApp();
  await app.app.db.$executeRaw`DELETE FROM _prisma_migrations`;
  const behind = await fetch(`${app.url}/ready`);
  expect(behind.status).toBe(503);
  expect(await behind.json()).toMatchObject({
    ready: false,
    pendingMigrations: expect.arrayContaining([expect.stringContaining('_init')]),
  });
  expect((await fetch(`${app.url}/health`)).status).toBe(200);
});

describe('GraphiQL', () => {
  test('GraphiQL gives no token to a client that a proxy on this machine lets in', async () => {
    await using data = await createTestDataFolder();
    await using server = startProcess({ ...quiet, DATA_DIR: data.folder });
    await server.started();
    const [, url = ''] = /(http:\/\/127\.0\.0\.1:\d+\/graphql)/.exec(server.output()) ?? [];
    const read = async (headers: Record<string, string>) =>
      (await fetch(url, { headers: { accept: 'text/html', ...headers } })).text();
    expect(await read({})).toContain('Bearer eyJ');
    expect(await read({ 'x-forwarded-for': '203.0.113.9' })).not.toContain('Bearer eyJ');
  });

  test('GraphiQL has a token and an unused conversation filled in, for this machine under its own name only', async () => {
    await using data = await createTestDataFolder();
    await using app = await startApp(readEnv({ ...quiet, DATA_DIR: data.folder }));
    const page = (host: string) =>
      new Promise<string>((resolve, reject) => {
        request(`${app.url}/graphql`, { headers: { accept: 'text/html', host } }, (response) => {
          let text = '';
          response.on('data', (chunk) => (text += String(chunk)));
          response.on('end', () => resolve(text));
        })
          .on('error', reject)
          .end();
      });
    const conversation = /conv_[0-9a-f-]{36}/;
    const own = await page(`localhost:${app.port}`);
    const [, token = ''] = /Bearer (eyJ[\w.-]+)/.exec(own) ?? [];
    // Not the token that is printed at the start: that one is valid for a week.
    expect(token).not.toBe(app.developmentToken);
    const { exp } = decodeJwt(token);
    expect((exp ?? 0) - Date.now() / 1000).toBeLessThanOrEqual(3600);
    const [id = ''] = conversation.exec(own) ?? [];
    expect(await page(`127.0.0.1:${app.port}`)).toContain(id);
    expect(await page(`[::1]:${app.port}`)).toContain(id);
    const foreignHosts = [
      'evil.test',
      'localhost.evil.test',
      '127.0.0.1.evil.test',
      '192.168.1.5',
      '10.0.0.1',
      '[fe80::1]',
      '0.0.0.0',
    ];
    for (const host of foreignHosts.map((name) => `${name}:${app.port}`)) {
      const foreign = await page(host);
      expect(foreign).not.toContain('Bearer eyJ');
      expect(foreign).not.toMatch(conversation);
    }
  });
});
