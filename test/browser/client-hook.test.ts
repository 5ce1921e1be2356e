import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mintDevelopmentToken } from '../../src/auth/development.ts';
import { launchBrowser, startAsItsUser } from '../support/browser.ts';
import { openWire, type Wire } from '../support/clients/wire.ts';
import { unpackClient } from '../support/packed-client.ts';
import { compileFolder, listBlocks } from './project.ts';

// The application of README.md, in a folder outside of this repository, with the packed package.

const root = join(import.meta.dirname, '../..');
const resources = new AsyncDisposableStack();
let folder: string;
let browser: Browser;
let wire: Wire;
let pageOrigin: string;

beforeAll(async () => {
  folder = resources.adopt(await mkdtemp(join(tmpdir(), 'switchboard-front-end-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  pageOrigin = await servePage();
  const url = await startAsItsUser(resources, folder, { ALLOWED_ORIGINS: pageOrigin });
  wire = resources.use(await openWire(url));
  const claims = { sub: 'alice', tenant: 'default', roles: [], ttlSeconds: 3_600 };
  const token = await mintDevelopmentToken(join(folder, '.data'), claims);
  const section = /\n## Clients\n[\s\S]*?\n## /.exec(await readFile(join(root, 'README.md'), 'utf8'))?.[0] ?? '';
  const app = listBlocks(section).find(({ file }) => file === 'src/main.tsx');
  expect(app?.code.trim().split('\n').length).toBeLessThanOrEqual(50);
  const code = app?.code.replace('ws://127.0.0.1:4000/graphql', wire.url.replace('http', 'ws')).replace('TOKEN', token);
  await mkdir(join(folder, 'src'));
  await writeFile(join(folder, 'src/main.tsx'), code ?? '');
  await writeFile(join(folder, 'src/types.ts'), types);
  await install();
  browser = await launchBrowser(resources);
});
afterAll(() => resources.disposeAsync());

/** The package has types, and not `any`. */
const types = `import { createTurn, type TurnState } from '@switchboard/client';
import { cacheOptions } from '@switchboard/client/graphcache';
import { useChatTurn } from '@switchboard/client/react';
export const use = (state: TurnState) => state.toolCalls[0]?.needsApproval;
// @ts-expect-error a status that the schema does not have
export const isOdd = (state: TurnState) => state.toolCalls[0]?.status === 'ODD';
// @ts-expect-error an input that the schema does not have
export const turn = () => createTurn({ subscribe: () => () => {} }, { conversationId: 'conv_1', contents: '' });
// @ts-expect-error the hook needs a conversation
export const hook = () => useChatTurn({ subscribe: () => () => {} });
// @ts-expect-error the keys are functions
cacheOptions.keys = { RunUsage: 1 };
`;

/** What npm install would do, without the network. */
async function install(): Promise<void> {
  const client = join(folder, 'node_modules/@switchboard/client');
  await mkdir(client, { recursive: true });
  await mkdir(join(folder, 'node_modules/@urql'));
  await unpackClient(client);
  for (const name of [
    'react',
    'react-dom',
    'graphql',
    'graphql-ws',
    '@types',
    '@urql/core',
    '@urql/exchange-graphcache',
  ]) {
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
}

async function servePage(): Promise<string> {
  const server = createServer((request, response) => {
    if (request.url?.endsWith('.js')) {
      readFile(join(folder, 'out/main.js')).then(
        (code) => response.setHeader('content-type', 'text/javascript').end(code),
        () => response.writeHead(404).end(),
      );
      return;
    }
    response
      .setHeader('content-type', 'text/html')
      .end(
        '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/main.js"></script>',
      );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  resources.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Opens the application. `texts` has what its page has shown, each time that it changed. */
async function openPage() {
  const page = await browser.newPage();
  const troubles: string[] = [];
  page.on('console', (message) => {
    // The browser says of every cut that the connection was lost.
    const isCut = message.text().includes('WebSocket connection to');
    if ((message.type() === 'error' && !isCut) || message.type() === 'warning') troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(String(error)));
  const texts: string[] = [];
  await page.exposeFunction('report', (text: string) => {
    if (texts.at(-1) !== text) texts.push(text);
  });
  await page.addInitScript(() => {
    const report = (globalThis as unknown as { report(text: string): void }).report;
    new MutationObserver(() => report(document.querySelector('main')?.innerText ?? '')).observe(document, {
      subtree: true,
      childList: true,
      characterData: true,
    });
  });
  await page.goto(pageOrigin);
  return { page, troubles, texts };
}

async function ask(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message').fill(text);
  await page.getByLabel('Message').press('Enter');
}

const statuses = (page: Page) => page.getByRole('status').allInnerTexts();

test('The application of README compiles with the packed package, and is bundled', async () => {
  expect(await compileFolder(folder, { jsx: 'react-jsx', skipLibCheck: false })).toEqual({ printed: '', status: 0 });
  await build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"development"' },
    build: {
      outDir: 'out',
      minify: false,
      rollupOptions: { input: join(folder, 'src/main.tsx'), output: { entryFileNames: 'main.js' } },
    },
  });
});

test('It streams a turn whose socket is cut again and again, asks for an approval, and goes on to the end', async () => {
  const { page, troubles, texts } = await openPage();
  await ask(page, 'Please refund order 1046');
  // The wire is cut after each change of the page, until a person has to decide.
  let cuts = 0;
  let seen = 0;
  const cutAtChanges = () => {
    if (texts.length === seen) return;
    seen = texts.length;
    cuts += 1;
    wire.cut();
  };
  const cutUntil = (text: string) =>
    expect
      .poll(
        async () => {
          cutAtChanges();
          return await statuses(page);
        },
        { timeout: 60_000, interval: 20 },
      )
      .toEqual([text]);
  await cutUntil('WAITING');
  wire.cut();
  await page.getByRole('button', { name: 'Approve' }).click();
  await cutUntil('COMPLETED');
  expect(cuts).toBeGreaterThan(3);
  const shown = await page.locator('main').innerText();
  expect(shown).toMatch(/refund_order .*1046.* SUCCEEDED/);
  expect(shown.match(/Please refund order 1046/g)).toHaveLength(1);
  // Text grows: what was shown of an answer is the beginning of what is shown later.
  const lines = shown.split('\n').filter((line) => /^\w+: /.test(line));
  expect(lines.length).toBeGreaterThan(0);
  for (const text of texts) {
    for (const line of text.split('\n').filter((each) => /^\w+: /.test(each))) {
      expect(
        lines.some((whole) => whole.startsWith(line.trimEnd())),
        line,
      ).toBe(true);
    }
  }
  // The next turn is shown below the first one, in the same conversation.
  await ask(page, 'Where is my order 1042?');
  await expect.poll(() => statuses(page), { timeout: 60_000 }).toEqual(['COMPLETED', 'COMPLETED']);
  expect(troubles).toEqual([]);
  await page.close();
});

test('It stops a turn', async () => {
  const { page, troubles } = await openPage();
  await ask(page, 'Please refund order 1046');
  // The turn waits for a person by then: it cannot have ended before it is stopped.
  await expect.poll(() => statuses(page), { timeout: 60_000 }).toEqual(['WAITING']);
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect.poll(() => statuses(page), { timeout: 60_000 }).toEqual(['CANCELLED']);
  expect(await page.getByRole('button').count()).toBe(0);
  expect(troubles).toEqual([]);
  await page.close();
});
