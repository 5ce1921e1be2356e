import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readMessages, type Stage, say, setStage, waitForEnd } from './page.ts';

const require = createRequire(import.meta.url);
const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('A first turn is shown with its handoff, its call and its answer, and has a place in the list', async () => {
  const page = await stage.open();
  await say(page, 'Where is my order 1042?');
  await page.getByText('handed over to').first().waitFor({ state: 'attached', timeout: 60_000 });
  await waitForEnd(page);
  const shown = await readMessages(page);
  expect(shown).toMatch(/Where is my order 1042\?[\s\S]*supervisor[\s\S]*orders[\s\S]*lookup_order[\s\S]*order 1042/);
  await page.getByText('lookup_order').click();
  await page.getByText('Espresso machine', { exact: false }).first().waitFor();
  expect(await page.locator('.conversation').first().innerText()).toBe('Where is my order 1042?');
  expect(stage.troubles).toEqual([]);
});

test('The page has no violation that axe knows of, in light and in dark, while a call waits for approval and after', async () => {
  const page = await stage.open({ colorScheme: 'light' });
  expect(await listViolations(page)).toEqual([]);
  await say(page, 'Please refund order 1046');
  await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 60_000 });
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await listViolations(page), colorScheme).toEqual([]);
  }
  await page.getByRole('button', { name: 'Approve' }).click();
  await waitForEnd(page);
  expect(await readMessages(page)).toContain('Order 1046 is refunded');
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await listViolations(page), colorScheme).toEqual([]);
  }
});

/** What axe finds, as the id of its rule and the elements. */
async function listViolations(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(require.resolve('axe-core/axe.min.js'), 'utf8'));
  return page.evaluate(async () => {
    // @ts-expect-error axe has just been put there
    const { violations } = await window.axe.run(document);
    return violations.map(
      (violation: { id: string; nodes: { html: string; failureSummary: string }[] }) =>
        `${violation.id}: ${violation.nodes.map(({ html, failureSummary }) => html.slice(0, 200) + failureSummary).join(' | ')}`,
    );
  });
}
