import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('Usage is shown by day, agent and conversation, as bars and as numbers that agree', async () => {
  const chat = await stage.open();
  await say(chat, 'Where is my order 1042?');
  await waitForEnd(chat);
  const page = await stage.open({ beside: chat, path: '/admin/usage' });
  const days = page.getByRole('table', { name: 'Tokens by day' });
  await days.waitFor({ timeout: 60_000 });
  await page.getByRole('row', { name: 'Where is my order 1042?' }).waitFor({ timeout: 60_000 });
  // The days are those of the browser: midnight may pass in the middle.
  const ofDays = await sumColumns(page, 'Tokens by day');
  expect(await days.locator('tbody tr').count()).toBe(14);
  expect(ofDays.map((sum) => sum > 0)).toEqual([true, true, true, true]);
  expect(await sumColumns(page, 'Tokens of the conversations that were used last')).toEqual(ofDays);
  await page.getByRole('row', { name: /^orders/ }).waitFor();
  expect(await sumColumns(page, 'Tokens by agent')).toEqual(ofDays);
  await page.getByText('There are none.').waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  expect(stage.troubles).toEqual([]);
});

/** The sums of all columns of a table but the first. */
async function sumColumns(page: Page, name: string): Promise<number[]> {
  const cells = page.getByRole('table', { name, exact: true }).locator('tbody tr');
  const rows = await cells.evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));
  return [1, 2, 3, 4].map((column) =>
    rows.reduce((sum, row) => sum + Number((row[column] ?? '').replace(/\D/g, '')), 0),
  );
}
