import { ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openDatabase } from '../../src/database/client.ts';
import { type EmbeddedPostgres, openEmbeddedPostgres } from '../../src/database/embedded/embedded.ts';
import { FolderInUseError } from '../../src/database/embedded/folder-lock.ts';
import { countStatements, countStatementsIn, withoutCounting } from '../../src/database/statements.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';

describe('openDatabase', () => {
  test('The database client counts the statements of each piece of work, also when the pool is full', async () => {
    await using database = await createTestDatabase();
    await using opened = openDatabase({ url: database.url, poolSize: 2 });
    const { db } = opened;

    const works = Array.from({ length: 8 }, (_, n) =>
      countStatements(async () => {
        for (let i = 0; i <= n; i += 1) await db.tenant.findMany();
      }),
    );
    expect((await Promise.all(works)).map((work) => work.statements)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('The database client counts BEGIN and COMMIT, ROLLBACK, and raw statements', async () => {
    await using database = await createTestDatabase();
    const seen: string[] = [];
    await using opened = openDatabase({ url: database.url, poolSize: 2, onQuery: ({ sql }) => seen.push(sql) });
    const { db } = opened;

    const committed = await countStatements(() => db.$transaction((tx) => tx.tenant.create({ data: { id: 'a' } })));
    expect(committed.statements).toBe(3);
    expect(seen.map((sql) => sql.split(' ')[0])).toEqual(['BEGIN', 'INSERT', 'COMMIT']);

    const rolledBack = await countStatements(() =>
      db
        .$transaction(async (tx) => {
          await tx.tenant.create({ data: { id: 'b' } });
          throw new Error('no');
        })
        .catch((error: Error) => error.message),
    );
    expect(rolledBack).toEqual({ result: 'no', statements: 3 });
    expect((await countStatements(() => db.$queryRaw`SELECT 1`)).statements).toBe(1);
    expect(await db.tenant.findMany({ select: { id: true } })).toEqual([{ id: 'a' }]);
  });

  test('The database client counts for an outer count too, but not for work that is nobody’s', async () => {
    await using database = await createTestDatabase();
    await using opened = openDatabase({ url: database.url, poolSize: 2 });
    const { db } = opened;

    await countStatementsIn(async (outer) => {
      await db.tenant.count();
      const inner = await countStatements(() => db.tenant.count());
      await withoutCounting(null, () => db.tenant.count());
      expect([inner.statements, outer.count]).toEqual([1, 2]);
    });
  });

  test('A page of conversations with their last message is read with a join, not from the whole table', async () => {
    await using database = await createTestDatabase();
    await using opened = openDatabase({ url: database.url, poolSize: 2 });
    const read = () =>
      opened.db.conversation.findMany({ take: 50, include: { messages: { take: 1, orderBy: { position: 'desc' } } } });
    expect((await countStatements(read)).statements).toBe(1);
  });

  test('Ten connections with interleaved transactions stay apart', async () => {
    await using database = await createTestDatabase();
    await using opened = openDatabase({ url: database.url, poolSize: 10 });
    const { db } = opened;
    await db.tenant.create({ data: { id: 'sum' } });
    await db.user.create({ data: { tenantId: 'sum', id: 'u' } });

    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, (_, n) =>
        db.$transaction(async (tx) => {
          await tx.tenant.create({ data: { id: `t${n}` } });
          await tx.user.update({
            where: { tenantId_id: { tenantId: 'sum', id: 'u' } },
            data: { conversationCount: { increment: 1 } },
          });
          if (n % 4 === 0) throw new Error('rolled back');
          return (await tx.tenant.findUniqueOrThrow({ where: { id: `t${n}` } })).id;
        }),
      ),
    );
    const kept = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(kept).toEqual(Array.from({ length: 40 }, (_, n) => `t${n}`).filter((_, n) => n % 4 !== 0));
    const { conversationCount } = await db.user.findFirstOrThrow();
    expect([conversationCount, await db.tenant.count()]).toEqual([30, 31]);
  });
});

describe('a database with many connections', () => {
  test('A database that many connections use at the same time gives each its own answers', async () => {
    await using database = await createTestDatabase();
    const clients = Array.from({ length: 8 }, () => new pg.Client({ connectionString: database.url }));
    await Promise.all(clients.map((client) => client.connect()));
    try {
      const answers = await Promise.all(
        clients.map(async (client, own) => {
          const seen: unknown[] = [];
          for (let n = 0; n < 40; n++) {
            const asked = `${own}/${n}`;
            const { rows } = await client.query('SELECT $1::text AS answer FROM generate_series(1, $2::int)', [
              asked,
              n % 5,
            ]);
            seen.push(rows.every((row) => row.answer === asked) && rows.length === n % 5);
          }
          return seen;
        }),
      );
      expect(new Set(answers.flat())).toEqual(new Set([true]));
    } finally {
      await Promise.all(clients.map((client) => client.end()));
    }
  });
});

describe('the session of a database', () => {
  test('A session keeps prepared statements, and accepts as many different ones as come', async () => {
    await using database = await createTestDatabase();
    await using opened = openDatabase({ url: database.url, poolSize: 1, exclusive: true });
    const { db } = opened;
    const prepared = () => db.$queryRaw<{ count: number }[]>`SELECT count(*)::int AS count FROM pg_prepared_statements`;
    for (let n = 0; n < 3; n++) await db.tenant.findMany({ where: { id: 'x' } });
    const [first] = await prepared();
    for (let n = 0; n < 3; n++) await db.tenant.findMany({ where: { id: 'y' } });
    expect(await prepared()).toEqual([first]);
    expect(first?.count).toBeGreaterThan(0);

    for (let n = 0; n < 520; n++) await db.$queryRawUnsafe(`SELECT ${n} AS n`);
    expect((await prepared())[0]?.count).toBeLessThan(510);

    await db.$transaction([db.tenant.create({ data: { id: 'x' } }), db.tenant.create({ data: { id: 'y' } })]);
    await expect(db.tenant.create({ data: { id: 'x' } })).rejects.toThrow();
    expect(await db.tenant.count()).toBe(2);
  });
});

describe('openEmbeddedPostgres', () => {
  test('openEmbeddedPostgres makes a database in a long path with spaces, keeps its rows, and admits nobody else', async () => {
    await using temporary = await makeFolder();
    const dataDir = join(temporary.path, 'a folder with spaces ', 'ä'.repeat(60), 'x'.repeat(100));
    {
      await using postgres = await openEmbeddedPostgres(dataDir);
      await query(postgres.url, 'CREATE TABLE kept (a INT); INSERT INTO kept VALUES (7)');
      const socketFolder = new URL(postgres.url).searchParams.get('host');
      if (socketFolder === null) throw new Error('It should listen on a Unix socket here.');
      expect((await stat(socketFolder)).mode & 0o077).toBe(0);
      expect((await stat(dataDir)).mode & 0o077).toBe(0);
    }
    await using again = await openEmbeddedPostgres(dataDir);
    expect(await query(again.url, 'SELECT a FROM kept')).toEqual([{ a: 7 }]);
  });

  test('The embedded database closes in order, twice without harm, and leaves no socket behind', async () => {
    await using data = await createTestDataFolder();
    const postgres = await openEmbeddedPostgres(data.folder);
    const socketFolder = new URL(postgres.url).searchParams.get('host') ?? '';
    await Promise.all([postgres.close(), postgres.close()]);
    await postgres.close();
    await expect(query(postgres.url, 'SELECT 1')).rejects.toThrow();
    await expect(access(socketFolder)).rejects.toThrow(/ENOENT/);
  });

  test('A second process that opens the embedded database is refused, and so is a second opening in this one', async () => {
    await using data = await createTestDataFolder();
    await using _first = await openEmbeddedPostgres(data.folder);
    await expect(openEmbeddedPostgres(data.folder)).rejects.toThrow(FolderInUseError);

    const second = startWriter(data.folder);
    const [code] = await once(second.process, 'exit');
    expect(code).not.toBe(0);
    expect(second.errors()).toContain(
      `The data folder ${data.folder} is in use by another Switchboard process (pid ${process.pid}; its database process is pid `,
    );
  });

  test('The lock of a dead process does not block, whatever process has its pid now', async () => {
    await using data = await createTestDataFolder();
    // Pid 1 is always alive: a lock that trusted the number would wait for ever.
    await writeFile(join(data.folder, 'postgres.pid'), '1\n');
    await writeFile(join(data.folder, 'postgres.lock'), '');
    await using postgres = await openEmbeddedPostgres(data.folder);
    expect(await query(postgres.url, 'SELECT 1 AS a')).toEqual([{ a: 1 }]);
  });

  test('kill -9 loses no acknowledged row, and the next start works', async () => {
    await using data = await createTestDataFolder();
    for (let round = 0; round < 3; round += 1) {
      const writer = startWriter(data.folder);
      const exited = once(writer.process, 'exit');
      await writer.rows((round + 1) * 50);
      const left = await readFile(join(data.folder, 'postgres.socket'), 'utf8');
      writer.process.kill('SIGKILL');
      await exited;
      await using postgres = await openEmbeddedPostgres(data.folder);
      const stored = await query(postgres.url, 'SELECT id FROM tenants');
      const ids = new Set(stored.map((row) => row.id));
      expect(writer.acknowledged().filter((id) => !ids.has(id))).toEqual([]);
      await expect(access(left)).rejects.toThrow(/ENOENT/);
    }
  });

  test('A database folder whose creation was cut off is made anew', async () => {
    await using temporary = await makeFolder();
    await mkdir(join(temporary.path, 'postgres'));
    await writeFile(join(temporary.path, 'postgres', 'PG_VERSION'), '18\n');
    await writeFile(join(temporary.path, 'postgres.unfinished'), '');
    await using postgres = await openEmbeddedPostgres(temporary.path);
    expect(await query(postgres.url, 'SELECT 1 AS a')).toEqual([{ a: 1 }]);
    await expect(access(join(temporary.path, 'postgres.unfinished'))).rejects.toThrow(/ENOENT/);
  });

  test('A database folder that cannot be opened is an error, and frees the lock', async () => {
    await using temporary = await makeFolder();
    await writeFile(join(temporary.path, 'postgres'), 'not a folder');
    await expect(openEmbeddedPostgres(temporary.path)).rejects.toThrow(/embedded PostgreSQL/);
    await rm(join(temporary.path, 'postgres'));
    await using postgres: EmbeddedPostgres = await openEmbeddedPostgres(temporary.path);
    expect(await query(postgres.url, 'SELECT 1 AS a')).toEqual([{ a: 1 }]);
  });

  test('An embedded database that ends by itself is reported, with what ended it', async () => {
    await using data = await createTestDataFolder();
    const told = Promise.withResolvers<Error>();
    const { postgres, child } = await openWithProcess(data.folder, told.resolve);
    child.kill('SIGKILL');
    expect((await told.promise).message).toBe('The embedded PostgreSQL ended by itself (SIGKILL).');
    await postgres.close();
  });

  test('A signal to the whole process group leaves the embedded database open until it is closed', async () => {
    await using data = await createTestDataFolder();
    const failures: Error[] = [];
    const { postgres, child } = await openWithProcess(data.folder, (error) => failures.push(error));
    child.kill('SIGINT');
    child.kill('SIGTERM');
    expect(await query(postgres.url, 'SELECT 1 AS a')).toEqual([{ a: 1 }]);
    await postgres.close();
    expect(failures).toEqual([]);
  });

  test('The event loop is free while a statement of the embedded database runs', async () => {
    await using data = await createTestDataFolder();
    await using postgres = await openEmbeddedPostgres(data.folder);
    let ticks = 0;
    const ticking = setInterval(() => {
      ticks += 1;
    }, 5);
    await query(postgres.url, 'SELECT count(*) FROM generate_series(1, 3000000)');
    clearInterval(ticking);
    expect(ticks).toBeGreaterThan(1);
  });
});

/** A process that opens the folder, writes rows one after another, and names each one that was acknowledged. */
function startWriter(folder: string) {
  const source = `
    import { randomUUID } from 'node:crypto';
    import pg from 'pg';
    import { openEmbeddedPostgres } from './src/database/embedded/embedded.ts';
    const postgres = await openEmbeddedPostgres(process.argv[1]);
    const client = new pg.Client({ connectionString: postgres.url });
    await client.connect();
    for (;;) {
      const id = randomUUID();
      await client.query('INSERT INTO tenants (id) VALUES ($1)', [id]);
      process.stdout.write(id + '\\n');
    }`;
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', source, folder], {
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  let ended = false;
  const closed = once(child, 'close').then(() => {
    ended = true;
  });
  const acknowledged = () => output.split('\n').slice(0, -1);
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  return {
    process: child,
    acknowledged,
    errors: () => errors,
    /** Waits for so many rows. */
    async rows(count: number) {
      while (acknowledged().length < count) {
        if (ended || child.stdout === null) throw new Error(`The writer ended: ${errors}`);
        await Promise.race([once(child.stdout, 'data'), closed]);
      }
    },
  };
}

/** Opens it, and says in which process. */
async function openWithProcess(folder: string, onFailure: (error: Error) => void) {
  const started: ChildProcess[] = [];
  const note = (message: unknown) => {
    const found = z.object({ process: z.instanceof(ChildProcess) }).safeParse(message);
    if (found.success) started.push(found.data.process);
  };
  subscribe('child_process', note);
  const postgres = await openEmbeddedPostgres(folder, onFailure).finally(() => unsubscribe('child_process', note));
  const [child] = started;
  if (child === undefined || started.length > 1) throw new Error(`It started ${started.length} processes.`);
  return { postgres, child };
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function makeFolder() {
  const path = await mkdtemp(join(tmpdir(), `switchboard-${randomUUID()}`));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
