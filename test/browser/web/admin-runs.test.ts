import { afterAll, beforeAll, expect, test } from 'vitest';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('A run is listed with its outcome and shown with a bar for each model and each call, while it waits and when it has ended', async () => {
  const chat = await stage.open();
  await say(chat, 'Please refund order 1046');
  await chat.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 60_000 });
  const page = await stage.open({ beside: chat, path: '/admin/runs' });
  const row = page.getByRole('row', { name: 'Please refund order 1046' });
  await row.getByRole('link').click({ timeout: 60_000 });
  await page.getByRole('heading', { name: 'Please refund order 1046' }).waitFor();
  await page.getByText('waits for approval').waitFor();
  const bars = page.locator('.timeline li');
  await bars.filter({ hasText: /^model supervisor/ }).waitFor();
  await bars.filter({ hasText: 'with the wait for approval' }).waitFor();

  await chat.getByRole('button', { name: 'Approve' }).click();
  await waitForEnd(chat);
  // The page follows a run until it has ended.
  await page.getByText('completed').waitFor({ timeout: 60_000 });
  expect((await bars.allInnerTexts()).map((text) => text.split(/\s+/).slice(0, 2).join(' '))).toEqual([
    'model supervisor',
    'model billing',
    'tool lookup_order',
    'model billing',
    'tool refund_order',
    'model billing',
  ]);
  // Each begins where the one before it has ended.
  const places = await bars
    .locator('.timeline-bar')
    .evaluateAll((all) => all.map((bar) => bar.getBoundingClientRect().left));
  expect(places).toEqual(places.toSorted((a, b) => a - b));
  expect(await page.getByRole('link', { name: 'Please refund order 1046' }).getAttribute('href')).toMatch(/^\/#conv_/);
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('link', { name: 'Runs' }).first().click();
  await row.getByText('completed').waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  expect(stage.troubles).toEqual([]);
});
