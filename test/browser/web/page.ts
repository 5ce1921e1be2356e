import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { z } from 'zod';
import { launchBrowser, startAsItsUser } from '../../support/browser.ts';

/** A server as `npm start` starts it, and a browser. */
export interface Stage {
  readonly url: string;
  readonly browser: Browser;
  /** Opens the chat page in a context of its own, or in that of another page. */
  open(options?: OpenOptions): Promise<Page>;
  /** Sends an operation with the token of a page. @returns its data */
  ask(page: Page, query: string, variables?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** What browsers have complained about: errors, warnings, and requests to other hosts. */
  readonly troubles: string[];
}

interface OpenOptions extends BrowserContextOptions {
  readonly path?: string;
  /** A tab beside this one. */
  readonly beside?: Page;
}

const answer = z.object({ data: z.unknown(), errors: z.array(z.unknown()).optional() });

/**
 * Starts both, for one suite.
 * @param env variables of the server
 * @param flags of the browser
 */
export async function setStage(
  resources: AsyncDisposableStack,
  env: Readonly<Record<string, string>> = {},
  flags: readonly string[] = [],
): Promise<Stage> {
  const folder = resources.adopt(await mkdtemp(join(tmpdir(), 'switchboard-web-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const { origin: url } = new URL(await startAsItsUser(resources, folder, env));
  const browser = await launchBrowser(resources, flags);
  const troubles: string[] = [];
  return {
    url,
    browser,
    troubles,
    async ask(page, query, variables = {}) {
      const token = await page.locator('meta[name="switchboard-token"]').getAttribute('content');
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ query, variables }),
      });
      const { data, errors } = answer.parse(await response.json());
      if (errors !== undefined) throw new Error(JSON.stringify(errors));
      return data;
    },
    async open({ path = '/', beside, ...options } = {}) {
      const context = beside?.context() ?? (await browser.newContext({ ...options, reducedMotion: 'reduce' }));
      const page = await context.newPage();
      watch(page, url, troubles);
      await page.goto(url + path);
      return page;
    },
  };
}

function watch(page: Page, url: string, troubles: string[]): void {
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(String(error)));
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== 'blob:' && origin !== url) troubles.push(`elsewhere: ${request.url()}`);
  });
}

/** Writes a message and sends it. */
export async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.keyboard.press('Enter');
}

/** The texts of the messages, and of the steps between them, as they stand in the page. */
export async function readMessages(page: Page): Promise<string> {
  // Not innerText: what is far from the screen is not laid out, and would be missing.
  return (await page.locator('.messages').textContent()) ?? '';
}

/** Waits until no turn runs: the last of them has left its usage. */
export async function waitForEnd(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Send' }).waitFor({ timeout: 90_000 });
  await page.locator('.run-end').last().waitFor();
}

/**
 * Keeps back what the server sends from the first message with this word on. For sockets that are opened afterwards.
 * @returns lets it go
 */
export async function holdFrom(page: Page, word: string): Promise<() => void> {
  const held: (() => void)[] = [];
  let isHeld = true;
  await page.routeWebSocket(/graphql/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => {
      if (isHeld && (held.length > 0 || String(message).includes(word))) held.push(() => socket.send(message));
      else socket.send(message);
    });
  });
  return () => {
    isHeld = false;
    for (const send of held.splice(0)) send();
  };
}

/**
 * Cuts the sockets that a page opens from now on, each after its sixth event of a run, up to four of them.
 * @returns how many were cut
 */
export async function cutSockets(page: Page): Promise<() => number> {
  let cuts = 0;
  await page.routeWebSocket(/graphql/, (socket) => {
    const server = socket.connectToServer();
    let events = 0;
    server.onMessage((message) => {
      socket.send(message);
      if (!String(message).includes('"runId"')) return;
      events += 1;
      if (events < 6 || cuts >= 4) return;
      cuts += 1;
      void socket.close({ code: 4000, reason: 'cut by the test' });
      void server.close();
    });
  });
  return () => cuts;
}
