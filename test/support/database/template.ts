import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { openEmbeddedPostgres } from '../../../src/database/embedded/embedded.ts';
import { applyMigrations, migrationsFolder } from '../../../src/database/migrate.ts';
import { createVectorTable } from '../../../src/knowledge/vectors/prepare.ts';
import { createMemoryVectors } from '../../../src/memories/vectors.ts';

/** What database.ts copies. The folder holds an embedded database in either case. */
export type DatabaseTemplate =
  | { readonly kind: 'embedded'; readonly folder: string }
  | { readonly kind: 'server'; readonly folder: string; readonly adminUrl: string; readonly database: string };

declare module 'vitest' {
  interface ProvidedContext {
    databaseTemplate: DatabaseTemplate;
    /** The seed of the product without its knowledge bases: each tenant would index their documents. */
    plainSeedFile: string;
  }
}

/** The global set-up of vitest: one migrated database, made once, of which each test takes a copy. */
export default async function makeDatabaseTemplate(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-template-'));
  {
    await using postgres = await openEmbeddedPostgres(folder);
    await applyMigrations(postgres.url);
    // As every start would: copies are alike, before a server was started on them and after it.
    await runSql(postgres.url, createVectorTable);
    await runSql(postgres.url, createMemoryVectors);
  }
  project.provide('plainSeedFile', await writePlainSeed(folder));
  const adminUrl = process.env.TEST_DATABASE_URL;
  if (adminUrl === undefined || adminUrl === '') {
    project.provide('databaseTemplate', { kind: 'embedded', folder });
  } else {
    const database = await makeServerTemplate(adminUrl);
    project.provide('databaseTemplate', { kind: 'server', folder, adminUrl, database });
  }
  // The copies are in it, too; a process that was killed ends a moment later.
  return () => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

async function writePlainSeed(folder: string): Promise<string> {
  const content = await readFile(join(import.meta.dirname, '../../../prisma/seed.json'), 'utf8');
  const { knowledgeBases: _, ...seed } = JSON.parse(content);
  const file = join(folder, 'seed.json');
  await writeFile(file, JSON.stringify(seed));
  return file;
}

async function runSql(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}

/** Kept between runs: its name changes with the migrations. */
async function makeServerTemplate(adminUrl: string): Promise<string> {
  const hash = createHash('sha256');
  for (const entry of (await readdir(migrationsFolder)).sort()) {
    if (entry.endsWith('.toml')) continue;
    hash.update(entry).update(await readFile(join(migrationsFolder, entry, 'migration.sql')));
  }
  const admin = new pg.Client({ connectionString: adminUrl });
  await admin.connect();
  try {
    // Another role's template cannot be copied, so each has its own.
    const { rows } = await admin.query<{ role: string }>('SELECT current_user AS role');
    const database = `switchboard_template_${hash
      .update(rows[0]?.role ?? '')
      .digest('hex')
      .slice(0, 16)}`;
    // Two runs of the tests may share the server.
    await admin.query('SELECT pg_advisory_lock(hashtext($1))', [database]);
    const found = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (found.rowCount !== 0) return database;
    // It gets its name when it is whole. Nobody connects to it again: a template that is in use cannot be copied.
    const unfinished = `${database}_unfinished`;
    await admin.query(`DROP DATABASE IF EXISTS "${unfinished}" WITH (FORCE)`);
    await admin.query(`CREATE DATABASE "${unfinished}" TEMPLATE template0`);
    const url = new URL(adminUrl);
    url.pathname = `/${unfinished}`;
    await applyMigrations(url.href);
    await admin.query(`ALTER DATABASE "${unfinished}" RENAME TO "${database}"`);
    return database;
  } finally {
    await admin.end();
  }
}
