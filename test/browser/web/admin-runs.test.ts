import { afterAll, beforeAll, expect, test } from 'vitest';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('A run is listed with its outcome and shown with a bar for each model, each call and each wait, while it waits and when it has ended', async () => {
  const chat = await stage.open();
  await say(chat, 'Please refund order 1046');
  await chat.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 60_000 });
  const page = await stage.open({ beside: chat, path: '/admin/runs' });
  const rows = page.getByRole('table', { name: 'Runs' }).locator('tbody tr');
  const row = rows.filter({ hasText: 'billing' });
  await row.getByRole('link').click({ timeout: 60_000 });
  await page.getByRole('heading', { name: 'Please refund order 1046' }).waitFor();
  await page.getByText('waits for approval').waitFor();
  const bars = page.locator('.timeline li');
  await bars.filter({ hasText: /^model supervisor/ }).waitFor();
  await bars.filter({ hasText: /^approval refund_order.*waits for the user/s }).waitFor();

  await chat.getByRole('button', { name: 'Approve' }).click();
  await waitForEnd(chat);
  // The page follows a run until it has ended.
  await page.getByText('completed').waitFor({ timeout: 60_000 });
  expect((await bars.allInnerTexts()).map((text) => text.split(/\s+/).slice(0, 2).join(' '))).toEqual([
    'model supervisor',
    'model billing',
    'approval refund_order',
    'tool lookup_order',
    'tool refund_order',
    'model billing',
  ]);
  await bars.filter({ hasText: /^approval refund_order.*waited for the user/s }).waitFor();
  // In the order of their beginnings.
  const places = await bars
    .locator('.timeline-bar')
    .evaluateAll((all) => all.map((bar) => bar.getBoundingClientRect().left));
  expect(places).toEqual(places.toSorted((a, b) => a - b));
  expect(await page.getByRole('link', { name: 'Please refund order 1046' }).getAttribute('href')).toMatch(/^\/#conv_/);
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('link', { name: 'Runs' }).first().click();
  await row.getByText('completed').waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);

  await page.getByLabel('Outcome').selectOption('failed');
  await page.getByText('No run is like that.').waitFor();
  await page.getByLabel('Outcome').selectOption('completed');
  await page.getByLabel('Agent').selectOption('billing');
  await page.getByLabel('Began in').selectOption('the last hour');
  await row.waitFor();
  await page.getByLabel('User').fill('nobody');
  await page.getByText('No run is like that.').waitFor();
  expect(stage.troubles).toEqual([]);
});

test('A run took what the list says; an own one says so if what was said in it cannot be read', async () => {
  const chat = await stage.open();
  await say(chat, 'What time is it?');
  await waitForEnd(chat);
  const page = await stage.open({ beside: chat, path: '/admin/runs' });
  const row = page.getByRole('table', { name: 'Runs' }).locator('tbody tr').first();
  await row.getByText('completed').waitFor();
  const listed = await row.locator('.number').allInnerTexts();
  await row.getByRole('link').click();
  await page.getByRole('heading', { name: 'What time is it?' }).waitFor();
  const took = page.locator('.facts > div').filter({ hasText: /^Took/ }).locator('dd');
  expect(listed).toContain(await took.innerText());

  await page.route('**/graphql', (route) =>
    route.request().postData()?.includes('query OwnRun') ? route.abort() : route.fallback(),
  );
  await page.reload();
  await page.getByText('The server cannot be reached').waitFor();
});
