import { readFile } from 'node:fs/promises';
import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';

test('The documents of docs/context.md fit the schema, and the first one returns the block that is printed', async () => {
  const page = await readFile(new URL('../../docs/context.md', import.meta.url), 'utf8');
  const blocksOf = (language: string) => {
    const blocks = page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm);
    return [...blocks].flatMap(([, found, code = '']) => (found === language ? [code] : []));
  };
  const [create = '', turn = ''] = blocksOf('graphql');
  const [printed = ''] = blocksOf('text');
  for (const document of [create, turn]) expect(validate(schema, parse(document))).toEqual([]);
  await using app = await startTestApp();
  const chat = await openChat(app, 'assistant', { roles: ['admin'] });
  const { createContextSnapshot: snapshot } = await chat.ask(create);
  const [beginning = ''] = printed.split('…');
  expect(beginning.length).toBeGreaterThan(200);
  expect(snapshot.block.startsWith(beginning)).toBe(true);
  expect(snapshot).toMatchObject({ truncated: false, redactions: 1 });
});
