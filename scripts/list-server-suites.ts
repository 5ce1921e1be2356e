import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

// For .ci/run: node scripts/list-server-suites.ts [suite]...
// Prints which suites, of all or of those that are named, use the PostgreSQL or the Redis that they are given. The others do
// the same with them as without, so that one run of them is enough.

const usesServer = /\bcreateTestDatabase\(|databaseTemplate|TEST_DATABASE_URL|TEST_REDIS_URL|\bstartRedis\(/;
/** Suites that only start processes on a data folder have the embedded database either way. */
const usesFolder = /\bcreateTestDataFolder\(/;
const usesMore = /\b(?:createTestDatabase|startTestApp|shareApp|openGraph|startRedis)\(|TEST_DATABASE_URL|hasRedis/;
/** It makes databases for those who ask for one. */
const maker = join('test', 'support', 'database', 'database.ts');
const imported = /^(?:import|export)\s+(?!type\b)[^;]*?from '(\.[^']+)'|^import '(\.[^']+)'|import\('(\.[^']+)'\)/gm;

const [, , ...named] = process.argv;
// What npm test does not run has commands of its own.
const isElsewhere = (suite: string) => /^test\/(?:browser|durability\/long)\//.test(suite);
const suites =
  named.length > 0
    ? named
    : globSync('test/**/*.test.ts')
        .sort()
        .filter((suite) => !isElsewhere(suite));
for (const suite of suites) {
  const code = readFileSync(suite, 'utf8');
  const isOfFolders = usesFolder.test(code) && !usesMore.test(code);
  if (!isOfFolders && needsServer(suite)) console.log(suite);
}

/** Whether a module, or what it imports of the tests, asks for a server. */
function needsServer(file: string, seen = new Set<string>()): boolean {
  if (seen.has(file) || !file.startsWith('test') || !existsSync(file)) return false;
  seen.add(file);
  const code = readFileSync(file, 'utf8');
  if (file !== maker && usesServer.test(code)) return true;
  return [...code.matchAll(imported)].some(([, from, alone, lazily]) =>
    needsServer(join(dirname(file), from ?? alone ?? lazily ?? ''), seen),
  );
}
