import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stage, say, setStage, waitForEnd } from './page.ts';

// The pictures of README.md and examples/web/README.md: with UPDATE_SCREENSHOT=1, they are made anew.

const resources = new AsyncDisposableStack();
const images = join(import.meta.dirname, '../../../docs/images');
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

const sizes = [
  { width: 1280, height: 800 },
  { width: 320, height: 640 },
] as const;

const documents = 'query { knowledgeBases { edges { node { documents { edges { node { status } } } } } } }';

test('The page fits into both widths in both themes: while a call waits for approval, and with an answer and its source', async () => {
  const first = await stage.open();
  // A new server begins to read the documents of the demo when it starts.
  const unread = async () => JSON.stringify(await stage.ask(first, documents)).replaceAll('READY', '');
  await expect.poll(unread, { timeout: 90_000 }).not.toMatch(/QUEUED|INDEXING/);
  for (const viewport of sizes)
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await stage.open({ viewport, colorScheme });
      if (colorScheme === 'light') {
        await say(page, 'Please refund order 1046');
        await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 60_000 });
      } else {
        await say(page, 'How long can I return an unused item?');
        await waitForEnd(page);
        await page.locator('.cite').first().click();
        await page.locator('.quote').waitFor();
      }
      const isWider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      expect(isWider, `${viewport.width} ${colorScheme}`).toBe(false);
      if (process.env.UPDATE_SCREENSHOT !== '1') continue;
      const path = join(images, `chat-${colorScheme}-${viewport.width}.png`);
      await page.evaluate(() => (document.activeElement instanceof HTMLElement ? document.activeElement.blur() : null));
      await page.screenshot({ path, caret: 'hide' });
    }
  expect(stage.troubles).toEqual([]);
});

test('The editor of a scenario fits into its page, with its graph', async () => {
  const page = await stage.open({
    path: '/admin/scenarios',
    viewport: { width: 1280, height: 900 },
    colorScheme: 'light',
  });
  await page.getByRole('link', { name: 'Customer support' }).click();
  const graph = page.getByRole('region', { name: 'Graph' });
  await graph.getByRole('link', { name: 'supervisor, begins' }).waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)).toBe(false);
  expect(stage.troubles).toEqual([]);
  if (process.env.UPDATE_SCREENSHOT !== '1') return;
  await page.evaluate(() => (document.activeElement instanceof HTMLElement ? document.activeElement.blur() : null));
  await page.screenshot({ path: join(images, 'admin-scenario-light-1280.png'), caret: 'hide' });
});
