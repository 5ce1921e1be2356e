import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { schema } from '../src/boot/schema.ts';

// npm run schema: writes schema.graphql from the code. With --check, fails where it is not what the code says.

const { values } = parseArgs({ options: { check: { type: 'boolean' } } });
const path = join(import.meta.dirname, '../schema.graphql');
const text = `${printSchema(lexicographicSortSchema(schema))}\n`;

if (values.check) {
  const committed = await readFile(path, 'utf8').catch(() => '');
  if (committed !== text) {
    console.error('schema.graphql is not what the code says. Write it: npm run schema');
    process.exitCode = 1;
  }
} else {
  await writeFile(path, text);
}
