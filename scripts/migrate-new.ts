import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { migrationsFolder } from '../src/database/migrate.ts';
import { diffMigrations } from './schema-engine.ts';

// npm run migrate:new -- name: writes the difference between prisma/migrations and prisma/schema.prisma as a migration.
// With --empty, a migration to be written by hand.

const { positionals, values } = parseArgs({ allowPositionals: true, options: { empty: { type: 'boolean' } } });
const [name, ...rest] = positionals;
if (name === undefined || rest.length > 0 || !/^[a-z0-9]+(_[a-z0-9]+)*$/.test(name)) {
  console.error('Usage: npm run migrate:new -- a_name_in_snake_case [--empty]');
  process.exit(2);
}

const sql = values.empty ? '-- By hand.\n' : await diffMigrations();
if (sql === '') {
  console.error('prisma/migrations and prisma/schema.prisma agree: nothing to write. --empty starts one by hand.');
  process.exit(1);
}
const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
const folder = join(migrationsFolder, `${timestamp}_${name}`);
await mkdir(folder);
const path = join(folder, 'migration.sql');
await writeFile(path, sql, { flag: 'wx' });
console.log(`Wrote ${relative(process.cwd(), path)}. Read it before you apply it with: npm run migrate`);
