import { diffMigrations } from './schema-engine.ts';

// npm run migrate:check: fails when prisma/migrations and prisma/schema.prisma do not agree.

const sql = await diffMigrations();
if (sql !== '') {
  console.error('prisma/schema.prisma has changes that no migration makes. Write one: npm run migrate:new -- name\n');
  console.error(sql);
  process.exitCode = 1;
} else {
  console.log('prisma/migrations and prisma/schema.prisma agree.');
}
