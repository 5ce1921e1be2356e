import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type DocumentNode, print } from 'graphql';
import type { Browser, Page } from 'playwright-core';
import { expect } from 'vitest';
import { z } from 'zod';
import type { TestApp } from '../../support/app.ts';
import { openNewUser, type SocketClient } from '../../support/chat.ts';
import './front-end/app.ts';
import { openPageProxy, type PageProxy } from './page-proxy.ts';

/** The client libraries that have a page. */
export type Library = 'apollo' | 'urql' | 'relay';

/** A page, and another tab of the same user. */
export interface Tab {
  readonly page: Page;
  readonly proxy: PageProxy;
  /** The other tab: it acts directly, without a cache. */
  readonly other: SocketClient;
  /** What the browser reported as an error or a warning, but for sockets that were cut. */
  readonly troubles: readonly string[];
  /** Loads the page anew, with an empty cache, and starts its app. */
  load(): Promise<void>;
  open(conversationId: string): Promise<void>;
  /** Sends a message from the page. Resolves when its turn has ended. */
  send(content: string): Promise<void>;
  /** Sends a message in the place of one that stands in the open conversation. Resolves when its turn has ended. */
  edit(messageId: string, content: string): Promise<void>;
  regenerate(messageId: string): Promise<void>;
  select(messageId: string): Promise<void>;
  /** The texts and ids of the open conversation, from the cache. */
  shown(): Promise<{ readonly id: string; readonly content: string }[]>;
  cancel(): Promise<void>;
  close(): Promise<void>;
  /**
   * Expects that the page has sent exactly these root fields since the last call, in any order. Each subscription counts
   * once, however often its socket was cut.
   */
  expectOperations(...fields: string[]): Promise<void>;
  /**
   * Waits until the list and the open conversation in the cache equal a fresh read. Fails with the difference.
   * @param until.status and until the unfinished run has this status; null: there is none
   */
  compare(until?: { readonly status: string | null }): Promise<void>;
}

const shownMessages = z.object({
  messages: z.object({ edges: z.array(z.object({ node: z.object({ id: z.string(), content: z.string() }) })) }),
});

/** What all tabs share. */
export interface Shared {
  readonly app: TestApp;
  readonly browser: Browser;
  /** Serves the pages. */
  readonly serve: Parameters<typeof openPageProxy>[0];
  /** The documents of examples/cache.graphql by the names of their operations. */
  readonly documents: Readonly<Record<string, DocumentNode>>;
}

/** Opens a page for a user whom nobody has seen before, and another tab of the user beside it. */
export async function openTab({ app, browser, serve, documents }: Shared, library: Library): Promise<Tab> {
  const proxy = await openPageProxy(serve, app.url);
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
  let openId: string | undefined;
  const readFresh = async (id?: string) => ({
    list: (await ask('CachedList', {})).conversations,
    conversation: id === undefined ? undefined : (await ask('CachedOpen', { id })).conversation,
  });
  return {
    page,
    proxy,
    other,
    troubles,
    async load() {
      openId = undefined;
      await page.goto(`${proxy.origin}/${library}`);
      await page.waitForFunction(() => window.app !== undefined);
      await page.evaluate(() => window.app?.start());
    },
    async open(conversationId) {
      openId = undefined;
      await page.evaluate((id) => window.app?.open(id), conversationId);
      openId = conversationId;
    },
    send(content) {
      const turn = page.evaluate((text) => window.app?.send(text), content);
      // It fails if the page is reloaded or closed.
      turn.catch(() => {});
      return turn;
    },
    edit: (id, text) => page.evaluate(([of, content]) => window.app?.edit(of, content), [id, text] as const),
    regenerate: (id) => page.evaluate((of) => window.app?.regenerate(of), id),
    select: (id) => page.evaluate((of) => window.app?.select(of), id),
    async shown() {
      const read = shownMessages.parse(await page.evaluate(() => window.app?.conversation()));
      return read.messages.edges.map(({ node }) => node);
    },
    cancel: () => page.evaluate(() => window.app?.cancel()),
    async close() {
      await page.close();
      await proxy[Symbol.asyncDispose]();
    },
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
    async compare(until) {
      const read = async () => {
        const cached = {
          list: await page.evaluate(() => window.app?.list()),
          conversation: openId && (await page.evaluate(() => window.app?.conversation())),
        };
        const fresh = await readFresh(openId);
        return {
          cached: simplify(cached),
          fresh: simplify(fresh),
          status: fresh.conversation?.activeRun?.status ?? null,
        };
      };
      let last = await read();
      const isThere = () =>
        isDeepStrictEqual(last.cached, last.fresh) && (until === undefined || last.status === until.status);
      for (const end = Date.now() + 20_000; !isThere() && Date.now() < end; last = await read()) await sleep(20);
      expect(last.cached).toEqual(last.fresh);
      if (until) expect(last.status).toBe(until.status);
    },
  };
}

/**
 * What is compared. Left out: what is a position to read on from and no state (`lastSeq`, `lastEventSeq`, and the cursor of a conversation,
 * which is its time), and what libraries add. The list is in the order in which docs/clients.md says to show it.
 */
const ignored = new Set(['lastSeq', 'lastEventSeq', 'pageInfo']);

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
