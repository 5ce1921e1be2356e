import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stage, say, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;
let folder: string;

beforeAll(async () => {
  folder = resources.adopt(await mkdtemp(join(tmpdir(), 'switchboard-apollo-')), (path) =>
    rm(path, { recursive: true }),
  );
  // The server builds the chat page, and with it the types of all examples.
  // A page that is put under an address has no host, so the browser takes the server for one of another network.
  stage = await setStage(resources, {}, ['--disable-features=LocalNetworkAccessChecks']);
  const configFile = join(import.meta.dirname, '../../../examples/apollo/vite.config.ts');
  await build({ configFile, logLevel: 'warn', build: { outDir: folder } });
});
afterAll(() => resources.disposeAsync());

const mediaTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
};

/** Opens the page of examples/apollo under the origin of the server, with a token as its development server puts it there. */
async function openApollo(): Promise<Page> {
  const chat = await stage.open();
  const token = (await chat.locator('meta[name="switchboard-token"]').getAttribute('content')) ?? '';
  await chat.context().route(`${stage.url}/apollo/**`, async (route) => {
    const name = new URL(route.request().url()).pathname.replace('/apollo/', '') || 'index.html';
    const body = await readFile(join(folder, name), 'utf8');
    const contentType = mediaTypes[extname(name)] ?? 'image/svg+xml';
    await route.fulfill({ contentType, body: body.replace('token" content=""', `token" content="${token}"`) });
  });
  await chat.context().routeWebSocket(/graphql/, (socket) => {
    const server = socket.connectToServer();
    let events = 0;
    server.onMessage((message) => {
      socket.send(message);
      if (String(message).includes('"runId"')) events += 1;
      if (events !== 5) return;
      cuts += 1;
      void socket.close({ code: 4000, reason: 'cut by the test' });
      void server.close();
    });
  });
  return stage.open({ beside: chat, path: '/apollo/' });
}

let cuts = 0;
const read = async (page: Page) => (await page.locator('.messages').textContent()) ?? '';

test('The page with Apollo Client streams a turn over cut sockets, approves a call, and reads what is stored', async () => {
  const page = await openApollo();
  await page.getByRole('button', { name: 'New conversation' }).click();
  await say(page, 'Please refund order 1046');
  await page.getByRole('button', { name: 'Approve' }).click({ timeout: 90_000 });
  await page.getByRole('button', { name: 'Send' }).waitFor({ timeout: 90_000 });
  await expect.poll(() => read(page), { timeout: 60_000 }).toContain('Order 1046 is refunded');
  expect(cuts).toBeGreaterThan(0);
  // The title is that of the first message, and came with the subscription.
  const listed = page.getByRole('navigation').getByRole('button', { name: 'Please refund order 1046' });
  await listed.waitFor({ timeout: 60_000 });
  await page.reload();
  await listed.click();
  await expect.poll(() => read(page), { timeout: 60_000 }).toContain('Order 1046 is refunded');
  expect((await read(page)).match(/Order 1046 is refunded/g)).toHaveLength(1);
  expect(stage.troubles).toEqual([]);
});

test('The page with Apollo Client goes on with a turn after a reload, and stops it', async () => {
  const page = await openApollo();
  await page.getByRole('button', { name: 'New conversation' }).click();
  await say(page, 'Please refund order 1043');
  await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 90_000 });
  await page.reload();
  await page.getByRole('navigation').getByRole('button', { name: 'Please refund order 1043' }).click();
  await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 90_000 });
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Send' }).waitFor({ timeout: 60_000 });
  await expect.poll(() => page.getByRole('button', { name: 'Approve' }).count()).toBe(0);
  expect(stage.troubles).toEqual([]);
});
