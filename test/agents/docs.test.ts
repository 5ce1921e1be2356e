import { readFile } from 'node:fs/promises';
import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { startTestApp } from '../support/app.ts';

const file = new URL('../../docs/agents.md', import.meta.url);

test('The documents of docs/agents.md fit the schema, and those that need no variables work', async () => {
  const text = await readFile(file, 'utf8');
  const documents = [...text.matchAll(/^```graphql\n(.*?)^```$/gms)].map(([, document = '']) => document);
  expect(documents.length).toBeGreaterThanOrEqual(8);
  await using app = await startTestApp();
  let ran = 0;
  for (const document of documents) {
    expect(validate(schema, parse(document))).toEqual([]);
    if (document.includes('$')) continue;
    expect((await app.query(document.replaceAll('…', '-'))).errors).toEqual([]);
    ran += 1;
  }
  expect(ran).toBe(2);
});
