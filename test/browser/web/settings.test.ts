import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { listViolations } from './axe.ts';
import { type Stage, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources, { MEMORY: 'all' });
});
afterAll(() => resources.disposeAsync());

const settingsOf = 'query { chatSettings { model temperature maxTokens enabledTools } }';

test('The theme and the layout of a browser stay as they were chosen', async () => {
  const page = await stage.open({ colorScheme: 'light' });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Theme').selectOption('dark');
  await expect.poll(ground).not.toBe(light);
  await page.getByLabel('Layout').selectOption('rtl');
  expect(await listViolations(page)).toEqual([]);
  await page.keyboard.press('Escape');
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Settings');
  await page.reload();
  await page.getByRole('button', { name: 'Settings' }).waitFor();
  expect(await ground()).not.toBe(light);
  const [list, chat] = await Promise.all([page.locator('.sidebar').boundingBox(), page.locator('.main').boundingBox()]);
  // The list is on the right of the chat.
  expect(list?.x).toBeGreaterThanOrEqual((chat?.x ?? 0) + (chat?.width ?? 0) - 1);
  expect(stage.troubles).toEqual([]);
});

test('What holds for all turns is saved, and what the server refuses is told', async () => {
  const page = await stage.open();
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Model').fill('gpt-5-mini');
  await page.getByLabel('Temperature').fill('0.2');
  await page.getByText('Tools that may be used').click();
  await page.getByLabel('lookup_order').check();
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved.').waitFor();
  const saved = { model: 'gpt-5-mini', temperature: 0.2, maxTokens: 2_000, enabledTools: ['lookup_order'] };
  expect(await stage.ask(page, settingsOf)).toEqual({ chatSettings: saved });

  await page.reload();
  await page.getByRole('button', { name: 'Settings' }).click();
  expect(await page.getByLabel('Model').inputValue()).toBe('gpt-5-mini');
  expect(await page.getByLabel('lookup_order').isChecked()).toBe(true);
  await page.getByLabel('Model').fill('');
  await page.getByLabel('Temperature').fill('');
  await page.getByLabel('lookup_order').uncheck();
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved.').waitFor();
  const before = { model: null, temperature: 0.7, maxTokens: 2_000, enabledTools: [] };
  expect(await stage.ask(page, settingsOf)).toEqual({ chatSettings: before });

  // A browser without the check of the form: the server has the last word.
  await page.getByLabel('Temperature').evaluate((field) => field.removeAttribute('max'));
  await page.getByLabel('Temperature').fill('9');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').filter({ hasText: 'temperature' }).waitFor();
});

test('A person sees what agents remember of them, and has it forgotten', async () => {
  const page = await stage.open();
  for (const text of ['I am allergic to nuts.', 'I live in Cairo.'])
    await stage.ask(page, 'mutation ($text: String!) { saveMemory(text: $text) { id } }', { text });
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('button', { name: 'Forget: I live in Cairo.' }).click();
  await expect.poll(() => page.locator('.memories li').allInnerTexts()).toEqual(['I am allergic to nuts.']);
  const left = z
    .object({ memories: z.object({ totalCount: z.number() }) })
    .parse(await stage.ask(page, 'query { memories { totalCount } }'));
  expect(left.memories.totalCount).toBe(1);
});
