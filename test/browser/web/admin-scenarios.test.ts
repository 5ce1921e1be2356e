import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('The graph of a scenario is drawn as it is edited, and what the server refuses is marked where it is', async () => {
  const page = await stage.open({ path: '/admin/scenarios' });
  await page.getByRole('link', { name: 'Customer support' }).waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('link', { name: 'Customer support' }).click();
  await page.getByRole('heading', { name: 'Customer support' }).waitFor();
  const graph = page.getByRole('region', { name: 'Graph' });
  await graph.getByRole('link', { name: 'supervisor, begins: hands over to billing, orders' }).waitFor();
  expect(await graph.locator('.edge').count()).toBe(10);

  for (const name of ['supervisor', 'billing', 'orders']) {
    await member(page, name).getByLabel('human_escalation', { exact: true }).uncheck();
  }
  expect(await graph.locator('.edge').count()).toBe(7);
  await press(page, 'Save');
  const refused = '"human_escalation" cannot be reached from the root "supervisor" by handoffs.';
  await member(page, 'human_escalation').getByText(refused).waitFor();
  expect(await graph.locator('.wrong').textContent()).toBe('human_escalation');
  expect(await listViolationsOfThemes(page)).toEqual([]);

  await press(page, 'Remove human_escalation');
  await member(page, 'orders').getByLabel('Conversations begin here').check();
  await member(page, 'billing').getByLabel('When to orders').fill('Whatever is under way.');
  await press(page, 'Save');
  await page.getByText('version 2').waitFor();
  await page.reload();
  await graph.getByRole('link', { name: 'orders, begins' }).waitFor();
  expect(await member(page, 'billing').getByLabel('When to orders').inputValue()).toBe('Whatever is under way.');
  expect(stage.troubles.filter((trouble) => !trouble.includes('status of 400'))).toEqual([]);
});

test('A scenario is made of shared agents, answers in the chat, and is deleted', async () => {
  const page = await stage.open({ path: '/admin/scenarios/new' });
  await page.getByLabel('Name', { exact: true }).fill('Two of us');
  await page.getByLabel('Key').fill('two');
  for (const name of ['billing', 'orders']) {
    await page.getByLabel('Shared agent').selectOption({ label: name });
    await press(page, 'Add it');
  }
  await member(page, 'billing').getByLabel('orders', { exact: true }).check();
  await press(page, 'Create');
  await page.getByRole('heading', { name: 'Two of us' }).waitFor();
  // An update replaces the whole scenario: its guardrails have to survive that.
  await page.goto(`${stage.url}/admin/scenarios`);
  await page.getByRole('link', { name: 'Guarded assistant' }).click();
  await press(page, 'Save');
  await page.getByText('version 2').waitFor();
  const chat = await stage.open({ beside: page });
  await chat.getByLabel('Who answers').selectOption({ label: 'Guarded assistant' });
  await chat.getByLabel('Message', { exact: true }).fill('My password is hunter2');
  await chat.keyboard.press('Enter');
  await chat.getByText('guardrail passwords', { exact: false }).first().waitFor({ timeout: 60_000 });

  await page.goto(`${stage.url}/admin/scenarios`);
  await page.getByRole('link', { name: 'Two of us' }).click();
  await press(page, 'Delete');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('heading', { name: 'Scenarios' }).waitFor();
  await page.getByRole('link', { name: 'Two of us' }).waitFor({ state: 'detached' });
});

const member = (page: Page, name: string): Locator => page.getByRole('group', { name, exact: true });

async function press(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
}
