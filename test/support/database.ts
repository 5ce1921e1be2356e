import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { inject } from 'vitest';
import { openEmbeddedPostgres } from '../../src/database/embedded.ts';

export interface TestDatabase {
  /** An ordinary PostgreSQL URL. */
  readonly url: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A migrated and otherwise empty database of its own: on the server of TEST_DATABASE_URL when that is set, else an
 * embedded one. Either is a copy of the template that database-template.ts makes once for a run of the tests.
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

async function createEmbedded(templateFolder: string): Promise<TestDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-test-'));
  await copyFolder(join(templateFolder, 'postgres'), join(folder, 'postgres'));
  const postgres = await openEmbeddedPostgres(folder);
  return {
    url: postgres.url,
    async [Symbol.asyncDispose]() {
      await postgres.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function createOnServer(template: { adminUrl: string; database: string }): Promise<TestDatabase> {
  const name = `switchboard_test_${randomUUID().replaceAll('-', '')}`;
  await runOnServer(template.adminUrl, `CREATE DATABASE "${name}" TEMPLATE "${template.database}"`);
  const url = new URL(template.adminUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    [Symbol.asyncDispose]: () => runOnServer(template.adminUrl, `DROP DATABASE "${name}" WITH (FORCE)`),
  };
}

async function runOnServer(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function copyFolder(from: string, to: string): Promise<void> {
  return cp(from, to, { recursive: true, mode: constants.COPYFILE_FICLONE });
}
