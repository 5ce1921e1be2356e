import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openEmbeddedPostgres } from '../src/database/embedded/embedded.ts';
import { FolderInUseError } from '../src/database/embedded/folder-lock.ts';
import { applyMigrations, MigrationError } from '../src/database/migrate.ts';

// npm run migrate: applies the migrations to DATABASE_URL, or to the embedded database in DATA_DIR. It locks for as long
// as its session lasts, which a pooler does not allow: with DATABASE_DIRECT_URL, it goes there.

parseArgs({ options: {} });
if (existsSync('.env')) process.loadEnvFile();

try {
  const url = process.env.DATABASE_DIRECT_URL || process.env.DATABASE_URL;
  const applied = url ? await applyMigrations(url) : await migrateEmbedded();
  for (const name of applied) console.log(`applied ${name}`);
  if (applied.length === 0) console.log('The database is up to date.');
} catch (error) {
  // These are for the operator; anything else is a fault and keeps its stack.
  if (error instanceof MigrationError || error instanceof FolderInUseError) {
    console.error(error.message);
    process.exitCode = 1;
  } else {
    throw error;
  }
}

async function migrateEmbedded(): Promise<string[]> {
  await using postgres = await openEmbeddedPostgres(process.env.DATA_DIR || '.data');
  return await applyMigrations(postgres.url);
}
