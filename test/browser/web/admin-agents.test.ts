import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('An agent is created, what the server refuses stands at its field, and its key can be replaced and never read', async () => {
  const page = await stage.open({ path: '/admin/agents' });
  await page.getByRole('link', { name: 'assistant' }).waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('link', { name: 'New agent' }).click();
  await press(page, 'Create');
  const name = page.getByLabel('Name', { exact: true });
  await page.locator('[aria-invalid="true"]').waitFor();
  expect(await name.evaluate((field) => field === document.activeElement)).toBe(true);
  expect(await name.getAttribute('aria-invalid')).toBe('true');
  expect(await listViolationsOfThemes(page)).toEqual([]);

  await name.fill('tutor');
  await page.getByLabel('Instructions').fill('You explain things with one example each.');
  await page.getByLabel('current_time').check();
  await page.getByLabel('Provider').first().selectOption('custom');
  await page.getByLabel('Model', { exact: true }).fill('some-model');
  await press(page, 'Create');
  await page.getByText('is missing: the provider custom has no default address').first().waitFor();
  await page.getByLabel('Provider').first().selectOption('groq');
  await page.getByLabel('Key', { exact: true }).fill('gsk_first_key_of_the_test_1111');
  await press(page, 'Create');
  await page.getByRole('heading', { name: 'tutor' }).waitFor();
  await page.getByText('which ends in 1111').waitFor();
  expect(await page.content()).not.toContain('gsk_first');

  await page.getByLabel('New key').fill('gsk_second_key_of_the_test_2222');
  await press(page, 'Save');
  await page.getByText('which ends in 2222').waitFor();
  expect(await page.getByLabel('New key').inputValue()).toBe('');
  await page.reload();
  await page.getByText('which ends in 2222').waitFor();
  expect(await page.getByLabel('current_time').isChecked()).toBe(true);
  await page.getByLabel('Remove the stored key').check();
  await press(page, 'Save');
  await page.getByText('No key of its own is stored').waitFor();
  expect(stage.troubles).toEqual([]);
});

test('An agent is tested, talked to, made the default and deleted', async () => {
  const page = await stage.open({ path: '/admin/agents/new' });
  await page.getByLabel('Name', { exact: true }).fill('finder');
  await page.getByLabel('Instructions').fill('You find orders.');
  await page.getByLabel('lookup_order').check();
  await press(page, 'Create');
  await page.getByRole('heading', { name: 'finder' }).waitFor();

  await press(page, 'Test');
  await page.getByText('works').waitFor({ timeout: 60_000 });
  expect(await page.locator('.facts').innerText()).toMatch(/Whole answer after\s+\d+ ms/);
  await page.getByLabel('Message').fill('Where is my order 1042?');
  await press(page, 'Ask');
  const answer = page.getByRole('log');
  await answer.getByText('lookup_order').waitFor({ timeout: 60_000 });
  await answer.getByText('I looked up order 1042').waitFor({ timeout: 60_000 });
  expect(await listViolationsOfThemes(page)).toEqual([]);

  await press(page, 'Make it the default');
  await page.getByText('default', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Agents' }).first().click();
  const row = page.getByRole('row', { name: 'finder' });
  await row.getByText('default').waitFor();
  // What was only tried has left no conversation behind.
  const chat = await stage.open({ beside: page });
  await chat.getByText('Nothing here yet').waitFor();

  await row.getByRole('link').click();
  await press(page, 'Delete');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('heading', { name: 'Agents' }).waitFor();
  await row.waitFor({ state: 'detached' });
});

test('A knowledge base that is ticked without the tool that searches it is said to do nothing, and the tool is ticked on the way', async () => {
  const page = await stage.open({ path: '/admin/knowledge' });
  await page.getByLabel('Name', { exact: true }).fill('Returns');
  await press(page, 'Create');
  await page.getByRole('heading', { name: 'Returns' }).waitFor();
  await page.getByText('There is no document yet. Add one below').waitFor();
  await page.goto(`${stage.url}/admin/agents/new`);
  await page.getByLabel('Returns').check();
  const note = page.getByRole('status').filter({ hasText: 'does not search these bases yet' });
  await note.waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await press(page, 'Tick search_knowledge');
  await note.waitFor({ state: 'detached' });
  expect(await page.getByLabel('search_knowledge').isChecked()).toBe(true);
  await page.getByLabel('search_knowledge').uncheck();
  await note.waitFor();
  await page.getByLabel('Returns').uncheck();
  await note.waitFor({ state: 'detached' });
});

async function press(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
}
