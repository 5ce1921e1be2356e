import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Each way in which a source can write the rows of runs. All of them: the status and the lease are among the columns. */
const writes: readonly RegExp[] = [
  // Prisma: tx.run.update(…), db.run.createMany(…)
  /\.\s*run\s*\.\s*(create|createMany|createManyAndReturn|update|updateMany|updateManyAndReturn|upsert|delete|deleteMany)\s*\(/g,
  // Prisma, nested in the write of another row: runs: { create: … }
  /\b(runs|run|startedRun)\s*:\s*\{\s*(create|createMany|connectOrCreate|update|updateMany|upsert|delete|deleteMany)\s*:/g,
  // SQL
  /\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)\s+"?runs"?\b/gi,
];

/** Where a text writes the rows of runs. */
function findWrites(source: string): string[] {
  return writes.flatMap((pattern) => [...source.matchAll(pattern)].map(([found]) => found.replace(/\s+/g, ' ')));
}

test('Only src/runs/transitions writes the rows of runs', async () => {
  const elsewhere: string[] = [];
  let inTransitions = 0;
  for await (const file of glob('{src,scripts,bench}/**/*.ts', { cwd: root })) {
    if (file.startsWith('src/generated/')) continue;
    const found = findWrites(readFileSync(join(root, file), 'utf8'));
    if (file.startsWith('src/runs/transitions/')) inTransitions += found.length;
    else elsewhere.push(...found.map((write) => `${file}: ${write}`));
  }
  expect(elsewhere).toEqual([]);
  // It sees the writes that exist.
  expect(inTransitions).toBeGreaterThan(8);
});

test.each([
  'await tx.run.updateMany({ where: { id }, data: { status } })',
  'db.run\n  .create({ data })',
  'tx.conversation.create({ data: { runs: { create: [run] } } })',
  'db.$executeRaw`update runs SET lease_owner = NULL`',
  'db.$executeRaw`INSERT INTO "runs" (id) VALUES (1)`',
])('The search for writes of runs finds a write: %s', (source) => {
  expect(findWrites(source)).toHaveLength(1);
});

test.each(['tx.run.findMany({ where })', 'UPDATE runs_archive SET a = 1', 'SELECT status FROM runs FOR UPDATE'])(
  'The search for writes of runs passes over a read: %s',
  (source) => {
    expect(findWrites(source)).toEqual([]);
  },
);
