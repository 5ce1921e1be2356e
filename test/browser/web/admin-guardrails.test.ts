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

test('A text is tried on the guardrails of a scenario', async () => {
  const page = await stage.open({ path: '/admin/guardrails' });
  await page.getByRole('link', { name: 'Guarded assistant' }).waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('link', { name: 'Guarded assistant' }).click();
  await tryText(page, 'I am bob@example.com', 'is redacted');
  await page.getByText('EMAIL', { exact: true }).waitFor();
  await tryText(page, 'My password is hunter2', 'stops the turn');
  await tryText(page, 'Where is my order?', 'passes');
  expect(await listViolationsOfThemes(page)).toEqual([]);
  expect(stage.troubles).toEqual([]);
});

test('Guardrails of an agent are added and removed, and what the server refuses stands at its field', async () => {
  const page = await stage.open({ path: '/admin/guardrails' });
  await page.getByRole('link', { name: 'billing' }).click();
  await page.getByText('Nothing is checked.').waitFor();
  await press(page, 'Add a guardrail');
  await page.getByLabel('Name', { exact: true }).fill('rumours');
  await page.getByLabel('Looks for').selectOption({ label: 'Patterns' });
  await page.getByLabel('Patterns of RE2, one in each line').fill('(unclosed');
  await press(page, 'Save');
  await page.locator('textarea[aria-invalid="true"]').waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByLabel('Patterns of RE2, one in each line').fill('(?i)\\brumour\\b');
  await press(page, 'Save');
  await page.getByText('Saved').waitFor();
  await tryText(page, 'There is a Rumour.', 'stops the turn');

  await press(page, 'Remove rumours');
  await press(page, 'Save');
  await page.getByText('Nothing is checked.').waitFor();
  await page.getByText('Saved').waitFor();
  await tryText(page, 'There is a Rumour.', 'passes');
});

async function tryText(page: Page, text: string, outcome: string): Promise<void> {
  await page.getByLabel('Text', { exact: true }).fill(text);
  await press(page, 'Check');
  await page.locator('.result').getByText(outcome).waitFor({ timeout: 60_000 });
}

async function press(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
}
