import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { z } from 'zod';

/** A database and a migrations folder that do not go together, or a migration that failed. Its message is for the operator. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

interface Migration {
  readonly name: string;
  readonly sql: string;
}

/** The key under which `prisma migrate` takes its advisory lock: whoever migrates, one at a time. */
const advisoryLockKey = 72_707_369;

/** As `prisma migrate` makes it, so that either can go on where the other stopped. */
const createTable = `
  CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id                  VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum            VARCHAR(64) NOT NULL,
    finished_at         TIMESTAMPTZ,
    migration_name      VARCHAR(255) NOT NULL,
    logs                TEXT,
    rolled_back_at      TIMESTAMPTZ,
    started_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count INTEGER NOT NULL DEFAULT 0
  )`;

/** Where the migrations of this repository are. */
export const migrationsFolder = join(import.meta.dirname, '../../prisma/migrations');

/**
 * Applies what the database lacks, in order, each migration in a transaction of its own together with its row in
 * `_prisma_migrations`; two that try at once wait for each other.
 *
 * @param url of the database, with the rights to change its schema
 * @param folder as Prisma lays it out: `<timestamp>_<name>/migration.sql`
 * @returns the names of what was applied, oldest first; empty when there was nothing to do
 * @throws {MigrationError} when an applied migration was edited, is missing from the folder or had failed before, and
 *   when one fails now; what was applied before it stays
 */
export async function applyMigrations(url: string, folder = migrationsFolder): Promise<string[]> {
  const migrations = await readMigrations(folder);
  await using client = await connect(url);
  await client.sql.query('SELECT pg_advisory_lock($1)', [advisoryLockKey]);
  try {
    await client.sql.query(createTable);
    const pending = findPending(migrations, await readApplied(client.sql));
    for (const migration of pending) await applyMigration(client.sql, migration);
    return pending.map((migration) => migration.name);
  } finally {
    await client.sql.query('SELECT pg_advisory_unlock($1)', [advisoryLockKey]);
  }
}

/**
 * The names of the migrations that the database lacks, oldest first; it changes nothing.
 *
 * @throws {MigrationError} when the database and the folder do not go together: see applyMigrations
 */
export async function pendingMigrations(url: string, folder = migrationsFolder): Promise<string[]> {
  const migrations = await readMigrations(folder);
  await using client = await connect(url);
  const found = await client.sql.query("SELECT to_regclass('_prisma_migrations') IS NOT NULL AS found");
  const applied = z.tuple([z.object({ found: z.boolean() })]).parse(found.rows)[0].found
    ? await readApplied(client.sql)
    : [];
  return findPending(migrations, applied).map((migration) => migration.name);
}

async function connect(url: string) {
  const sql = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  // Without a listener, a connection that breaks between two statements would end the process; the next one reports it.
  sql.on('error', () => {});
  await sql.connect();
  return { sql, [Symbol.asyncDispose]: () => sql.end() };
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.sort().map(async (name) => ({ name, sql: await readFile(join(folder, name, 'migration.sql'), 'utf8') })),
  );
}

const appliedRows = z.array(
  z.object({ migration_name: z.string(), checksum: z.string(), finished_at: z.date().nullable() }),
);

async function readApplied(sql: pg.Client): Promise<z.infer<typeof appliedRows>> {
  const { rows } = await sql.query(
    'SELECT migration_name, checksum, finished_at FROM _prisma_migrations WHERE rolled_back_at IS NULL ORDER BY started_at',
  );
  return appliedRows.parse(rows);
}

function findPending(migrations: readonly Migration[], applied: z.infer<typeof appliedRows>): Migration[] {
  const byName = new Map(migrations.map((migration) => [migration.name, migration]));
  for (const row of applied) {
    const migration = byName.get(row.migration_name);
    if (migration === undefined) {
      throw new MigrationError(
        `The database has the migration ${row.migration_name}, which is not in the migrations folder: ` +
          'it belongs to a newer or another Switchboard.',
      );
    }
    if (row.finished_at === null) {
      throw new MigrationError(
        `The migration ${row.migration_name} had failed before. Mend the database by hand, then set rolled_back_at ` +
          'in its row of _prisma_migrations and migrate again.',
      );
    }
    if (!checksumsOf(migration.sql).includes(row.checksum)) {
      throw new MigrationError(
        `The migration ${row.migration_name} was edited after it had been applied. ` +
          'Put it back as it was, and write the change as a new migration.',
      );
    }
  }
  const done = new Set(applied.map((row) => row.migration_name));
  return migrations.filter((migration) => !done.has(migration.name));
}

async function applyMigration(sql: pg.Client, migration: Migration): Promise<void> {
  const startedAt = new Date();
  await sql.query('BEGIN');
  try {
    // Without parameters a whole script goes as one message, which the server splits: it knows strings and functions.
    await sql.query(migration.sql);
    await sql.query(
      `INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, started_at, applied_steps_count)
       VALUES ($1, $2, now(), $3, $4, 1)`,
      [randomUUID(), checksum(migration.sql), migration.name, startedAt],
    );
    await sql.query('COMMIT');
  } catch (cause) {
    await sql.query('ROLLBACK').catch(() => {});
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MigrationError(`The migration ${migration.name} failed and was rolled back: ${reason}`, { cause });
  }
}

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Of the text as it is, and as a checkout with other line ends would have it: that is no edit. */
function checksumsOf(text: string): string[] {
  const unix = text.replaceAll('\r\n', '\n');
  return [text, unix, unix.replaceAll('\n', '\r\n')].map(checksum);
}
