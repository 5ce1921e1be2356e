import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DocumentNode, parse, print, separateOperations } from 'graphql';
import type { Browser, Page } from 'playwright-core';
import { expect } from 'vitest';
import { startTestApp, type TestApp } from '../../support/app.ts';
import { launchBrowser } from '../../support/browser.ts';
import { openNewUser, type SocketClient } from '../../support/chat.ts';
import { createProject, listBlocks, type Project } from '../project.ts';
import type { Snapshot } from './front-end/app.ts';
import { openPageProxy, type PageProxy } from './page-proxy.ts';

const root = join(import.meta.dirname, '../../..');

/** The snippets of docs/clients.md that make caches. */
const files = [
  'src/apollo-cache.ts',
  'src/urql-graphcache.ts',
  'relay.config.json',
  'src/relay.ts',
  'src/relay-cache.ts',
];

/** The client libraries that have a page. */
type Library = 'apollo' | 'urql' | 'relay';

/** A server, a browser and a front end. */
export interface Harness {
  readonly app: TestApp;
  readonly project: Project;
  /** Opens a page of a library for a user whom nobody has seen before. Call it after the project was bundled. */
  openTab(library: Library): Promise<Tab>;
}

/** A page, and another tab of the same user. */
interface Tab {
  readonly page: Page;
  readonly proxy: PageProxy;
  /** The other tab: it acts directly, without a cache. */
  readonly other: SocketClient;
  /** What the browser reported as an error or a warning, but for sockets that were cut. */
  readonly troubles: readonly string[];
  /** Loads the page anew, with an empty cache, and starts its app. */
  load(): Promise<void>;
  open(conversationId: string): Promise<void>;
  /**
   * Expects that the page has sent exactly these root fields since the last call, in any order. Each subscription counts
   * once, however often its socket was cut.
   */
  expectOperations(...fields: string[]): Promise<void>;
  /** Waits until what is in the cache equals a fresh read of the server. Fails with the difference. */
  compare(conversationId?: string): Promise<void>;
}

/** Starts what the tests of all libraries share. */
export async function openHarness(resources: AsyncDisposableStack): Promise<Harness> {
  const project = await createProject(resources);
  await copySources(project);
  const proxy = resources.use(
    await openPageProxy((request, response) => {
      const name = (request.url ?? '').slice(1);
      if (!name.endsWith('.js')) {
        response
          .setHeader('content-type', 'text/html')
          .end(`<!doctype html><link rel="icon" href="data:,"><script type="module" src="/${name}.js"></script>`);
        return;
      }
      readFile(join(project.folder, 'out', name)).then(
        (code) => response.setHeader('content-type', 'text/javascript').end(code),
        () => response.writeHead(404).end(),
      );
    }),
  );
  const app = resources.use(await startTestApp({ env: { ALLOWED_ORIGINS: proxy.origin } }));
  proxy.target = app.url;
  const browser = await launchBrowser(resources);
  const documents = separateOperations(parse(await readFile(join(root, 'examples/cache.graphql'), 'utf8')));
  return { app, project, openTab: (library) => openTab({ app, proxy, browser, documents }, library) };
}

/** The front end has the files of its folder and, as a reader of docs/clients.md, its snippets and those of examples/. */
async function copySources(project: Project): Promise<void> {
  const sources = [join(import.meta.dirname, 'front-end'), join(root, 'examples')];
  for (const folder of sources) {
    for (const name of await readdir(folder)) {
      if (/\.(ts|graphql)$/.test(name)) await copyFile(join(folder, name), join(project.folder, 'src', name));
    }
  }
  const snippets = listBlocks(await readFile(join(root, 'docs/clients.md'), 'utf8'));
  for (const { file, code } of snippets) {
    if (file !== undefined && files.includes(file)) await writeFile(join(project.folder, file), code);
  }
}

interface Shared {
  readonly app: TestApp;
  readonly proxy: PageProxy;
  readonly browser: Browser;
  /** The documents of examples/cache.graphql by the names of their operations. */
  readonly documents: Readonly<Record<string, DocumentNode>>;
}

async function openTab({ app, proxy, browser, documents }: Shared, library: Library): Promise<Tab> {
  const other = await openNewUser(app);
  const page = await browser.newPage();
  const troubles: string[] = [];
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    if (!/^(WebSocket connection|Failed to load resource)/.test(message.text())) troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(String(error)));
  await page.addInitScript((token) => {
    window.token = token;
  }, other.token);

  const ask = async (name: string, variables: Record<string, unknown>) => {
    const document = documents[name];
    if (!document) throw new Error(`examples/cache.graphql has no operation ${name}.`);
    return (await app.query(print(document), variables, { token: other.token })).data;
  };
  const readFresh = async (id?: string): Promise<Snapshot> => ({
    list: (await ask('CachedList', {})).conversations,
    conversation: id === undefined ? undefined : (await ask('CachedOpen', { id })).conversation,
  });
  return {
    page,
    proxy,
    other,
    troubles,
    async load() {
      await page.goto(`${proxy.origin}/${library}`);
      await page.waitForFunction(() => window.app !== undefined);
      await page.evaluate(() => window.app?.start());
    },
    open: (conversationId) => page.evaluate((id) => window.app?.open(id), conversationId),
    async expectOperations(...fields) {
      const sent: string[] = [];
      const take = () => {
        for (const { kind, field } of proxy.takeOperations()) {
          if (kind !== 'subscription' || !sent.includes(field)) sent.push(field);
        }
        return sent.toSorted();
      };
      await expect.poll(take, { timeout: 20_000, interval: 25 }).toEqual(fields.toSorted());
    },
    async compare(conversationId) {
      const read = async () => {
        const cached = await page.evaluate(() => window.app?.snapshot());
        const fresh = await readFresh(conversationId);
        return { cached: simplify(cached), fresh: simplify(fresh) };
      };
      const isEqual = ({ cached, fresh }: { cached: unknown; fresh: unknown }) =>
        JSON.stringify(cached) === JSON.stringify(fresh);
      await expect
        .poll(async () => isEqual(await read()), { timeout: 20_000, interval: 25 })
        .toBe(true)
        .catch(() => {});
      const { cached, fresh } = await read();
      expect(cached).toEqual(fresh);
    },
  };
}

/**
 * What is compared. Left out: what is a position to read on from and no state (`lastSeq`, and the cursor of a conversation,
 * which is its time), and what libraries add. The list is in the order in which docs/clients.md says to show it.
 */
const ignored = new Set(['lastSeq', 'pageInfo']);

function simplify(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(simplify);
  if (typeof value !== 'object' || value === null) return value;
  const { edges, ...fields } = value as Record<string, unknown>;
  const simple = Object.fromEntries(
    Object.entries(fields)
      .filter(([key]) => !key.startsWith('__') && !ignored.has(key))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => [key, simplify(field)]),
  );
  return edges === undefined ? simple : { ...simple, edges: simplifyEdges(edges) };
}

function simplifyEdges(edges: unknown): unknown {
  const simple = simplify(edges) as { cursor?: string; node: { updatedAt?: string; id: string } }[];
  if (simple.some(({ node }) => node.updatedAt === undefined)) return simple;
  return simple
    .map(({ node }) => ({ node }))
    .sort((a, b) => `${b.node.updatedAt}${b.node.id}`.localeCompare(`${a.node.updatedAt}${a.node.id}`));
}
