import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { openEmbeddedPostgres } from '../../src/database/embedded/embedded.ts';
import { FolderInUseError } from '../../src/database/embedded/folder-lock.ts';
import { isAlive } from '../../src/database/embedded/orphan.ts';
import { PanicDetector } from '../../src/database/embedded/panic-detector.ts';
import { createTestDataFolder } from '../support/database/database.ts';

/** The pid of the database process that has a folder open. */
async function databasePid(folder: string): Promise<number> {
  const [, database] = (await readFile(join(folder, 'postgres.pid'), 'utf8')).split('\n');
  return Number(database);
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

/** A server that has the folder open: a process of its own, which ends with `exit` on its first line of input. */
async function startServer(folder: string) {
  const source = `
    import { openEmbeddedPostgres } from './src/database/embedded/embedded.ts';
    await openEmbeddedPostgres(process.argv[1]);
    process.stdout.write('open');
    process.stdin.once('data', () => process.exit(3));`;
  const server = spawn(process.execPath, ['--input-type=module', '-e', source, folder], {
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(server.stdout, 'data');
  return { server, exited: once(server, 'exit') };
}

describe('a full disk', () => {
  test('A disk that fills up ends the embedded database with a clear message; after room is made it starts again', async () => {
    await using data = await createTestDataFolder();
    const flag = join(data.folder, 'full');
    const { NODE_OPTIONS } = process.env;
    const preload = pathToFileURL(join(import.meta.dirname, '../support/database/full-disk.ts')).href;
    process.env.NODE_OPTIONS = `--import=${preload}`;
    process.env.FULL_DISK = flag;
    const failure = Promise.withResolvers<Error>();
    const postgres = await openEmbeddedPostgres(data.folder, failure.resolve).finally(() => {
      if (NODE_OPTIONS === undefined) delete process.env.NODE_OPTIONS;
      else process.env.NODE_OPTIONS = NODE_OPTIONS;
      delete process.env.FULL_DISK;
    });
    const pid = await databasePid(data.folder);
    await query(postgres.url, "CREATE TABLE kept (a TEXT); INSERT INTO kept VALUES ('before')");

    await writeFile(flag, '');
    // Each statement writes to the log alone, until it needs a new file.
    const write = () => query(postgres.url, "SELECT pg_logical_emit_message(false, 'x', repeat('x', 300000))");
    let refused: unknown;
    for (let round = 0; round < 100 && refused === undefined; round += 1) {
      refused = await write().then(
        () => undefined,
        (error: unknown) => error,
      );
    }
    expect(refused).toBeInstanceOf(Error);
    expect((await failure.promise).message).toContain('No space left on device');
    expect(isAlive(pid)).toBe(false);
    await postgres.close();

    await rm(flag);
    await using again = await openEmbeddedPostgres(data.folder);
    expect(await query(again.url, 'SELECT a FROM kept')).toEqual([{ a: 'before' }]);
    expect(await query(again.url, "INSERT INTO kept VALUES ('after') RETURNING a")).toEqual([{ a: 'after' }]);
  });
});

describe('a database process that does not respond', () => {
  // A stopped process is as deaf as one that spins in a statement, to every signal but SIGKILL.

  test('A database process that does not respond is ended by close, and its folder is free', async () => {
    await using data = await createTestDataFolder();
    const failures: Error[] = [];
    const postgres = await openEmbeddedPostgres(data.folder, (error) => failures.push(error));
    const pid = await databasePid(data.folder);
    process.kill(pid, 'SIGSTOP');
    await postgres.close();
    expect(isAlive(pid)).toBe(false);
    expect(failures).toEqual([]);
    await using again = await openEmbeddedPostgres(data.folder);
    expect(await query(again.url, 'SELECT 1 AS a')).toEqual([{ a: 1 }]);
  });

  test('A database process that does not respond for too long is ended, and reported', async () => {
    await using data = await createTestDataFolder();
    const failure = Promise.withResolvers<Error>();
    const postgres = await openEmbeddedPostgres(data.folder, failure.resolve, { maxSilenceMs: 6_000 });
    const pid = await databasePid(data.folder);
    process.kill(pid, 'SIGSTOP');
    expect((await failure.promise).message).toContain('did not respond for 6 seconds');
    expect(isAlive(pid)).toBe(false);
    await postgres.close();
  });

  test('A database process that does not respond ends with its server', async () => {
    await using data = await createTestDataFolder();
    const { server, exited } = await startServer(data.folder);
    const pid = await databasePid(data.folder);
    process.kill(pid, 'SIGSTOP');
    server.stdin.write('exit\n');
    expect(await exited).toEqual([3, null]);
    await expect.poll(() => isAlive(pid)).toBe(false);
  });

  test('A database process whose server was killed is ended by the next start, and no other process is', async () => {
    await using data = await createTestDataFolder();
    const { server, exited } = await startServer(data.folder);
    const pid = await databasePid(data.folder);
    await expect(openEmbeddedPostgres(data.folder)).rejects.toThrow(
      new RegExp(`pid ${server.pid}; its database process is pid ${pid}`),
    );
    process.kill(pid, 'SIGSTOP');
    server.kill('SIGKILL');
    await exited;
    // The lock is believed, and the file beside it is not: this process is not the database process.
    await writeFile(join(data.folder, 'postgres.pid'), `${server.pid}\n${process.pid}\n`);
    await expect(openEmbeddedPostgres(data.folder)).rejects.toThrow(FolderInUseError);
    await writeFile(join(data.folder, 'postgres.pid'), `${server.pid}\n${pid}\n`);
    await using postgres = await openEmbeddedPostgres(data.folder);
    expect(isAlive(pid)).toBe(false);
    expect(await query(postgres.url, 'SELECT 1 AS a')).toEqual([{ a: 1 }]);
  });
});

describe('a PANIC', () => {
  const message = (type: string, body: string) => {
    const header = Buffer.alloc(5);
    header.write(type);
    header.writeUInt32BE(Buffer.byteLength(body) + 4, 1);
    return Buffer.concat([header, Buffer.from(body)]);
  };
  const error = (severity: string) =>
    message('E', `S${severity}\0V${severity}\0C53100\0Mcould not write to file "pg_wal/1"\0\0`);

  test('A PANIC is found, wherever the bytes are split', () => {
    const bytes = Buffer.concat([message('C', 'SELECT 1\0'), message('1', ''), error('PANIC'), message('Z', 'I')]);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const detector = new PanicDetector();
      const found = [detector.read(bytes.subarray(0, cut)), detector.read(bytes.subarray(cut))];
      expect(found.filter((panic) => panic !== null)).toEqual(['could not write to file "pg_wal/1"']);
    }
  });

  test('An ordinary error, and a row whose text reads like a PANIC, are none', () => {
    const row = message('D', `\0\x02\0\0\0\x06VPANIC\0\0\0\x01a${error('PANIC').toString('latin1')}`);
    const detector = new PanicDetector();
    const bytes = Buffer.concat([error('ERROR'), row, message('C', 'SELECT 1\0'), error('FATAL')]);
    for (const byte of bytes) expect(detector.read(Buffer.of(byte))).toBeNull();
  });
});
