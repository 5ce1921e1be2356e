import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { launchBrowser, startAsItsUser } from '../support/browser.ts';

const root = join(import.meta.dirname, '../..');
/** With UPDATE_SCREENSHOT=1 the picture of the README is taken again. */
const screenshotPath = process.env.UPDATE_SCREENSHOT === '1' ? join(root, 'docs/images/graphiql-turn.png') : undefined;

test('The run button of GraphiQL streams a turn with a handoff and a tool call', async () => {
  await using resources = new AsyncDisposableStack();
  const folder = resources.adopt(await mkdtemp(join(tmpdir(), 'switchboard-browser-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const url = await startAsItsUser(resources, folder);
  const { page, troubles, frames } = await openPage(resources, url);

  await page.getByRole('button', { name: /^Execute/ }).click();

  const response = page.locator('.graphiql-response .view-lines');
  // Monaco writes no-break spaces.
  const shown = async () => (await response.innerText()).replaceAll('\u00a0', ' ');
  await expect.poll(shown, { timeout: 90_000 }).toContain('"RunCompleted"');
  await expect.poll(shown).toMatch(/"handoffs"[\s\S]*"supervisor"[\s\S]*"orders"/);
  await expect.poll(shown).toMatch(/"toolCalls"[\s\S]*"lookup_order"[\s\S]*"SUCCEEDED"/);
  await page.screenshot({ path: join(folder, 'turn.png') });
  if (screenshotPath !== undefined) {
    await mkdir(dirname(screenshotPath), { recursive: true });
    await page.screenshot({ path: screenshotPath });
  }

  const events = frames.flatMap((frame) => nextFrame.safeParse(JSON.parse(frame)).data?.payload.data.chatTurn ?? []);
  const types = events.map((event) => event.__typename);
  const inOrder = [
    'RunStarted',
    'HandoffOccurred',
    'ToolCallStarted',
    'ToolCallCompleted',
    'TextDelta',
    'RunCompleted',
  ];
  const places = inOrder.map((type) => types.indexOf(type));
  expect(places).toEqual(places.toSorted((a, b) => a - b));
  expect(places[0]).toBe(0);
  expect(types.filter((type) => type === 'TextDelta').length).toBeGreaterThan(1);
  expect(events.flatMap((event) => event.delta ?? []).join('')).toContain('order 1042');
  expect(troubles).toEqual([]);
});

test('A second visit of GraphiQL has a conversation of its own, and its turn runs too', async () => {
  await using resources = new AsyncDisposableStack();
  const folder = resources.adopt(await mkdtemp(join(tmpdir(), 'switchboard-browser-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const url = await startAsItsUser(resources, folder);
  const { page, troubles } = await openPage(resources, url);
  const variables = page.locator('.graphiql-editor-tool .view-lines').first();
  const play = async () => {
    await page.getByRole('button', { name: /^Execute/ }).click();
    const response = page.locator('.graphiql-response .view-lines');
    await expect.poll(() => response.innerText(), { timeout: 90_000 }).toContain('"RunCompleted"');
  };

  const first = await variables.innerText();
  expect(first).toContain('conv_');
  await play();
  await page.reload();
  await expect.poll(() => variables.innerText()).toContain('conv_');
  expect(await variables.innerText()).not.toBe(first);
  await play();
  expect(troubles).toEqual([]);
});

test('The tabs of guardrails, context, orchestration, calls, knowledge, tickets and contacts run without a key', async () => {
  await using resources = new AsyncDisposableStack();
  const folder = resources.adopt(await mkdtemp(join(tmpdir(), 'switchboard-browser-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const url = await startAsItsUser(resources, folder);
  const { page, troubles } = await openPage(resources, url);
  const response = page.locator('.graphiql-response .view-lines');
  const tabs = [
    { name: 'Moderate', operation: 'Moderate', shows: /"flagged": true[\s\S]*"REDACT"/ },
    { name: 'CreateContextSnapshot', operation: null, shows: /"block"[\s\S]*1042/ },
    { name: 'Orchestrate', operation: 'Orchestrate', shows: /"rootAgent"[\s\S]*"confidence"/ },
    { name: 'StartRealtimeSession', operation: 'StartRealtimeSession', shows: /ek_switchboard_demo_/ },
    {
      name: 'SearchKnowledge',
      operation: 'SearchKnowledge',
      shows: /"title": "Returns and refunds"[\s\S]*"Help centre"/,
    },
    { name: 'CreateTicket', operation: 'CreateTicket', shows: /"number": \d+,[\s\S]*"OPEN"/ },
    { name: 'CreateContact', operation: 'CreateContact', shows: /"ada@example\.com"/ },
  ];
  for (const { name, operation, shows } of tabs) {
    const tab = page.locator('.graphiql-tab-button', { hasText: name });
    // The first click can come before GraphiQL listens.
    await expect
      .poll(
        async () => {
          await tab.click();
          return page.locator('.graphiql-tab-active').innerText();
        },
        { timeout: 30_000, interval: 500 },
      )
      .toContain(name);
    // The button follows the editor, which follows the tab.
    const run = async () => {
      await page.getByRole('button', { name: /^Execute/ }).click();
      if (operation !== null) await page.getByRole('menuitem', { name: operation, exact: true }).click();
      await page.waitForTimeout(2_000);
      return (await response.innerText()).replaceAll('\u00a0', ' ');
    };
    await expect.poll(run, { timeout: 60_000, message: name }).toMatch(shows);
    await page.screenshot({ path: join(folder, `${name}.png`) });
  }
  expect(troubles).toEqual([]);
});

const nextFrame = z.object({
  type: z.literal('next'),
  payload: z.object({
    data: z.object({ chatTurn: z.object({ __typename: z.string(), delta: z.string().optional() }) }),
  }),
});

/** Opens GraphiQL and waits until it knows the schema. `troubles`: errors of the page, and requests to other hosts. */
async function openPage(
  resources: AsyncDisposableStack,
  url: string,
): Promise<{ page: Page; troubles: string[]; frames: string[] }> {
  const browser = await launchBrowser(resources);
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });

  const { host } = new URL(url);
  const troubles: string[] = [];
  const frames: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(String(error)));
  page.on('requestfailed', (request) => {
    // A reload ends the workers that were still loading.
    if (!request.url().startsWith('blob:')) troubles.push(`failed: ${request.url()}`);
  });
  page.on('request', (request) => {
    const { protocol, host: asked } = new URL(request.url());
    if (!['blob:', 'data:'].includes(protocol) && asked !== host) troubles.push(`elsewhere: ${request.url()}`);
  });
  page.on('websocket', (socket) => {
    if (new URL(socket.url()).host !== host) troubles.push(`elsewhere: ${socket.url()}`);
    socket.on('framereceived', ({ payload }) => frames.push(String(payload)));
  });

  const introspected = page.waitForResponse((response) => response.request().method() === 'POST');
  await page.goto(url);
  await introspected;
  await page.locator('.graphiql-editor-tool .view-lines').first().waitFor();
  return { page, troubles, frames };
}
