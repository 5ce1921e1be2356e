import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, say, setStage, waitForEnd } from './page.ts';

const viewerAnswer = z.object({ viewer: z.object({ userId: z.string() }) });
const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('Usage of the tenant is shown by day, agent, user and model, as bars and as numbers that agree', async () => {
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
  expect(await sumColumns(page, 'Tokens of the conversations that you used last')).toEqual(ofDays);
  await page.getByText(`All users have used ${ofDays[0]?.toLocaleString('en-US')} tokens`).waitFor();
  await page.getByText(/TOKEN_BUDGET_PER_USER_DAILY/).waitFor();
  // The figure stands at the bar, and the headings of numbers above their digits.
  const figure = days
    .locator('tr', { has: page.locator('[data-part="read"]:not([style*=" 0%"])') })
    .locator('.chart-figure');
  expect(await figure.last().isVisible()).toBe(true);
  const heading = days.getByRole('columnheader', { name: 'Model calls' });
  expect(await heading.evaluate((cell) => getComputedStyle(cell).textAlign)).toBe('end');
  await page.locator('.legend').first().getByText('written').waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);

  const { viewer } = viewerAnswer.parse(await stage.ask(page, '{ viewer { userId } }'));
  for (const [choice, row] of [
    ['agent', 'orders'],
    ['user', viewer.userId],
    ['model', 'demo'],
  ] as const) {
    await page.getByLabel('By', { exact: true }).selectOption(choice);
    const table = page.getByRole('table', { name: `Tokens by ${choice}` });
    await table
      .getByRole('row', { name: new RegExp(row) })
      .first()
      .waitFor();
    expect(await sumColumns(page, `Tokens by ${choice}`)).toEqual(ofDays);
  }
  await page.getByLabel('By', { exact: true }).selectOption('day');
  await page.getByLabel('In', { exact: true }).selectOption('the last 30 days');
  await days.locator('tbody tr').nth(29).waitFor();
  expect(await sumColumns(page, 'Tokens by day')).toEqual(ofDays);
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
