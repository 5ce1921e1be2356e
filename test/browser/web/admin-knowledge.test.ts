import { afterAll, beforeAll, expect, test } from 'vitest';
import { listViolationsOfThemes } from './axe.ts';
import { readMessages, type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('A document that an admin uploads is indexed before his eyes, found by a search, and cited by an answer in the chat', async () => {
  const page = await stage.open({ path: '/admin/knowledge' });
  await page.getByRole('link', { name: 'Help centre' }).waitFor({ timeout: 60_000 });
  expect(await listViolationsOfThemes(page)).toEqual([]);

  await page.getByLabel('Name').fill('Office');
  await page.getByLabel('Description').fill('What everybody in the office should know');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { name: 'Office' }).waitFor();
  await page.getByText('There is no document yet.').waitFor();

  const text = 'The office hamster is called Bertram. He sleeps in the printer room and likes sunflower seeds.';
  await page
    .getByLabel('File')
    .setInputFiles({ name: 'hamster.md', mimeType: 'text/markdown', buffer: Buffer.from(text) });
  await page.getByRole('button', { name: 'Add' }).click();
  const row = page.getByRole('row', { name: 'hamster.md' });
  await row.getByText('ready').waitFor({ timeout: 200_000 });
  await page.getByLabel('Words or a question').fill('hamster name');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('cell', { name: text }).waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);

  const chat = await stage.open({ beside: page });
  await chat.getByLabel('Who answers').selectOption({ label: 'Default agent' });
  await say(chat, 'What is the office hamster called?');
  await waitForEnd(chat);
  expect(await readMessages(chat)).toContain('The office hamster is called Bertram.');
  await chat.getByRole('button', { name: 'Source 1' }).first().click();
  await chat.locator('.quote').getByText('hamster.md').waitFor();

  await row.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('There is no document yet.').waitFor();
  await page.getByRole('button', { name: 'Delete the base' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete the base' }).click();
  await page.getByRole('heading', { name: 'Knowledge', exact: true }).waitFor();
  await page.getByRole('link', { name: 'Office' }).waitFor({ state: 'detached' });
  expect(stage.troubles).toEqual([]);
}, 400_000);
