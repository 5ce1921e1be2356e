import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { schema } from '../../src/boot/schema.ts';
import { shareApp } from '../support/app.ts';
import { openReceiver } from './receiver.ts';
import { createWebhook, localReceivers, openAdmin, tellOfRun } from './support.ts';

const app = shareApp({ env: localReceivers });
const root = join(import.meta.dirname, '../..');
const example = z.object({
  readWebhook: z.function({ input: [z.string(), z.string(), z.record(z.string(), z.string())], output: z.unknown() }),
});

async function readBlocks(language: string): Promise<string[]> {
  const page = await readFile(join(root, 'docs/tickets.md'), 'utf8');
  const blocks = page.matchAll(/^```(\w+)[^\n]*\n([\s\S]*?)^```$/gm);
  return [...blocks].flatMap(([, found, code = '']) => (found === language ? [code] : []));
}

test('The documents of docs/tickets.md fit the schema', async () => {
  const documents = await readBlocks('graphql');
  expect(documents.length).toBeGreaterThan(1);
  for (const document of documents) expect(validate(schema, parse(document)), document).toEqual([]);
});

test('The example of docs/tickets.md accepts what is sent, and refuses a changed body, a changed id and another secret', async () => {
  const [code = ''] = await readBlocks('ts');
  await using resources = new AsyncDisposableStack();
  // In the repository: there the package is found.
  const folder = resources.adopt(await mkdtemp(join(root, 'node_modules/.verify-example-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const file = join(folder, 'example.mjs');
  await writeFile(file, stripTypeScriptTypes(code));
  const { readWebhook } = example.parse(await import(pathToFileURL(file).href));

  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  const { secret } = await createWebhook(admin, receiver.url);
  const id = await tellOfRun(app, admin.tenant);
  const [request] = await receiver.waitFor(1);
  if (request === undefined) throw new Error('Nothing was received.');
  const { body } = request;
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  expect(readWebhook(secret, body, headers)).toMatchObject({ type: 'run.ended', version: 1, data: { id } });
  expect(() => readWebhook(secret, body.replace('COMPLETED', 'FAILED'), headers)).toThrow();
  expect(() => readWebhook(secret, body, { ...headers, 'webhook-id': 'whd_other' })).toThrow();
  const old = String(Math.floor(Date.now() / 1000) - 600);
  expect(() => readWebhook(secret, body, { ...headers, 'webhook-timestamp': old })).toThrow();
  expect(() => readWebhook(`whsec_${Buffer.alloc(32, 1).toString('base64')}`, body, headers)).toThrow();
});
