import { afterAll, beforeAll, expect, test } from 'vitest';
import { listViolations, listViolationsOfThemes } from './axe.ts';
import { readMessages, type Stage, say, setStage, waitForEnd } from './page.ts';

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
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('button', { name: 'Approve' }).click();
  await waitForEnd(page);
  expect(await readMessages(page)).toContain('Order 1046 is refunded');
  expect(await listViolationsOfThemes(page)).toEqual([]);
});

test('Who presses Enter while a turn runs keeps the text, and is told so; afterwards it is sent', async () => {
  const page = await stage.open();
  // It waits for a decision, and so does not end before it is stopped.
  await say(page, 'Please refund order 1043');
  await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 60_000 });
  await say(page, 'What time is it?');
  const status = page.locator('.composer [role="status"]');
  await expect.poll(() => status.textContent()).toContain('Your text stays here');
  expect(await page.getByLabel('Message', { exact: true }).inputValue()).toBe('What time is it?');
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect.poll(() => status.textContent(), { timeout: 60_000 }).toBe('');
  await page.getByLabel('Message', { exact: true }).press('Enter');
  await waitForEnd(page);
  expect(await readMessages(page)).toContain('What time is it?');
});
