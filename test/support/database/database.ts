import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, inject } from 'vitest';
import { type EmbeddedPostgres, openEmbeddedPostgres } from '../../../src/database/embedded/embedded.ts';

export interface TestDatabase {
  /** An ordinary PostgreSQL URL. */
  readonly url: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A migrated and otherwise empty database of its own: on the server of TEST_DATABASE_URL when that is set, else an
 * embedded one. Either is a copy of the template that template.ts makes once for a run of the tests, or, on the
 * embedded one, a copy that an earlier test of the file has left, emptied.
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const template = inject('databaseTemplate');
  return template.kind === 'server' ? createOnServer(template) : createEmbedded(template.folder);
}

/** A data folder (DATA_DIR) with a migrated embedded database in it, for tests that start and stop whole processes. */
export async function createTestDataFolder(): Promise<{ folder: string; [Symbol.asyncDispose](): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-test-'));
  const template = inject('databaseTemplate');
  await copyFolder(join(template.folder, 'postgres'), join(folder, 'postgres'));
  // The database of a server that was killed ends a moment after it, and until then there are new files.
  const removal = { recursive: true, force: true, maxRetries: 20, retryDelay: 100 };
  return { folder, [Symbol.asyncDispose]: () => rm(folder, removal) };
}

/** Embedded databases of this file that nobody uses, emptied: to open another takes longer than most tests. */
const idle: IdleDatabase[] = [];

interface IdleDatabase {
  readonly postgres: EmbeddedPostgres;
  /** What the schema looked like when it was new. */
  readonly shape: string;
}

afterAll(async () => {
  await Promise.all(idle.splice(0).map(({ postgres }) => postgres.close()));
});

async function createEmbedded(templateFolder: string): Promise<TestDatabase> {
  const { postgres, shape } = idle.pop() ?? (await openCopy(templateFolder));
  return {
    url: postgres.url,
    async [Symbol.asyncDispose]() {
      if (await isEmptied(postgres.url, shape)) idle.push({ postgres, shape });
      else await postgres.close();
    },
  };
}

/** Its folder is in the template's, and goes with it. */
async function openCopy(templateFolder: string): Promise<IdleDatabase> {
  const folder = await mkdtemp(join(templateFolder, 'copy-'));
  await copyFolder(join(templateFolder, 'postgres'), join(folder, 'postgres'));
  const postgres = await openEmbeddedPostgres(folder);
  return { postgres, shape: await connect(postgres.url, readShape) };
}

/** Empties a database and its session. @returns whether it is as good as new: not where a test has changed the schema */
async function isEmptied(url: string, shape: string): Promise<boolean> {
  try {
    return await connect(url, async (client) => {
      // A test may have left a transaction open: connections share the session.
      await client.query('ROLLBACK');
      await client.query('DISCARD ALL');
      if ((await readShape(client)) !== shape) return false;
      const { rows } = await client.query<{ tables: string }>(
        `SELECT string_agg(format('%I', tablename), ', ') AS tables FROM pg_tables
         WHERE schemaname = 'public' AND tablename <> '_prisma_migrations'`,
      );
      // Its row of the version stays, and the queues, which every start declares.
      await client.query('TRUNCATE switchboard_jobs.job, switchboard_jobs.job_common CASCADE');
      await client.query(`TRUNCATE ${rows[0]?.tables} RESTART IDENTITY CASCADE`);
      return true;
    });
  } catch {
    return false;
  }
}

async function readShape(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ shape: string }>(
    `SELECT concat_ws('/',
       (SELECT count(*) FROM _prisma_migrations),
       (SELECT md5(string_agg(c.oid || attname || atttypid || attnotnull, ',' ORDER BY c.oid, attnum))
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace),
       (SELECT md5(string_agg(oid || tgname || tgenabled::text, ',' ORDER BY oid)) FROM pg_trigger),
       (SELECT md5(string_agg(oid || conname, ',' ORDER BY oid)) FROM pg_constraint),
       (SELECT md5(string_agg(oid || md5(prosrc), ',' ORDER BY oid)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
     ) AS shape`,
  );
  return rows[0]?.shape ?? '';
}

async function createOnServer(template: { adminUrl: string; database: string }): Promise<TestDatabase> {
  const name = `switchboard_test_${randomUUID().replaceAll('-', '')}`;
  await runOnServer(template.adminUrl, `CREATE DATABASE "${name}" TEMPLATE "${template.database}"`);
  const url = new URL(template.adminUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    [Symbol.asyncDispose]: () => dropOnServer(template.adminUrl, name),
  };
}

/** Insufficient privilege, and a database that is in use. */
const passing = new Set(['42501', '55006']);

/**
 * Only a superuser may end the server's own work on a database, such as an autovacuum: whoever is none waits for it. And on a
 * busy machine sessions take a while to end.
 */
async function dropOnServer(adminUrl: string, name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await runOnServer(adminUrl, `DROP DATABASE "${name}" WITH (FORCE)`);
    } catch (error) {
      const isPassing = error instanceof pg.DatabaseError && passing.has(error.code ?? '');
      if (!isPassing || attempt === 60) throw error;
      await sleep(500);
    }
  }
}

async function runOnServer(url: string, sql: string): Promise<void> {
  await connect(url, (client) => client.query(sql));
}

async function connect<Result>(url: string, use: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

function copyFolder(from: string, to: string): Promise<void> {
  return cp(from, to, { recursive: true, mode: constants.COPYFILE_FICLONE });
}
