import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { listViolationsOfThemes } from './axe.ts';
import { readMessages, type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

async function choose(page: Page, name: string): Promise<void> {
  await page.getByLabel('Conversation menu').click();
  await page.getByRole('button', { name, exact: true }).click();
}

const titles = (page: Page) => page.locator('.conversation-title').allInnerTexts();

test('An answer is rated, rated otherwise, and not at all any more', async () => {
  const page = await stage.open();
  await say(page, 'What time is it?');
  await waitForEnd(page);
  const [good, bad] = [
    page.getByRole('button', { name: 'Good answer' }),
    page.getByRole('button', { name: 'Bad answer' }),
  ];
  const pressed = () => Promise.all([good, bad].map((button) => button.last().getAttribute('aria-pressed')));
  await page.locator('.message.assistant').last().hover();
  await good.last().click();
  await expect.poll(pressed).toEqual(['true', 'false']);
  await bad.last().click();
  await expect.poll(pressed).toEqual(['false', 'true']);
  // It is stored, and not only shown.
  await page.reload();
  await waitForEnd(page);
  await expect.poll(pressed).toEqual(['false', 'true']);
  await bad.last().click();
  await expect.poll(pressed).toEqual(['false', 'false']);
  expect(stage.troubles).toEqual([]);
});

test('What was wrong with an answer is written by keyboard, stored, shown after the page was loaded again, and taken back', async () => {
  const page = await stage.open({ colorScheme: 'light' });
  await say(page, 'What time is it?');
  await waitForEnd(page);
  await page.getByRole('button', { name: 'Bad answer' }).last().focus();
  await page.keyboard.press('Enter');
  const field = page.getByLabel('What was wrong?');
  await field.waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  // Behind the button for another answer.
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.type('It is late');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await field.waitFor({ state: 'detached' });
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Change the comment');
  await page.reload();
  await page.locator('.feedback').getByText('It is late').waitFor();
  await page.getByRole('button', { name: 'Change the comment' }).focus();
  await page.keyboard.press('Enter');
  expect(await field.inputValue()).toBe('It is late');
  await page.keyboard.press('Escape');
  await page.locator('.feedback').getByText('It is late').waitFor();
  // The other rating keeps it, until it is taken back.
  await page.getByRole('button', { name: 'Good answer' }).last().click();
  const other = page.getByLabel('What was good?');
  expect(await other.inputValue()).toBe('It is late');
  await other.fill('');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'Add a comment' }).waitFor();
  await page.reload();
  await page.getByRole('button', { name: 'Add a comment' }).waitFor();
  expect(stage.troubles).toEqual([]);
});

test('What is being written of an answer stays when the answer is rated otherwise, and when an input method gives up a word', async () => {
  const page = await stage.open();
  await say(page, 'What time is it?');
  await waitForEnd(page);
  await page.getByRole('button', { name: 'Good answer' }).last().click();
  await page.getByLabel('What was good?').fill('Half a sentence');
  await page.getByRole('button', { name: 'Bad answer' }).last().click();
  const field = page.getByLabel('What was wrong?');
  expect(await field.inputValue()).toBe('Half a sentence');
  await field.dispatchEvent('keydown', { key: 'Escape', isComposing: true });
  await page.getByRole('button', { name: 'Save' }).waitFor();
  expect(await field.inputValue()).toBe('Half a sentence');
  await field.press('Escape');
  await page.getByRole('button', { name: 'Add a comment' }).waitFor();
  // Who rates it otherwise once more is asked again.
  await page.getByRole('button', { name: 'Good answer' }).last().click();
  await page.getByLabel('What was good?').waitFor();
  expect(stage.troubles).toEqual([]);
});

test('A conversation is pinned, archived and found there, renamed, and deleted', async () => {
  const page = await stage.open();
  await say(page, 'Hello to the archive');
  await waitForEnd(page);
  await choose(page, 'Pin');
  await page.getByRole('heading', { name: 'Pinned' }).waitFor();
  await choose(page, 'Unpin');
  await expect.poll(() => page.getByRole('heading', { name: 'Pinned' }).count()).toBe(0);

  await choose(page, 'Archive');
  await expect.poll(() => titles(page)).not.toContain('Hello to the archive');
  await page.getByRole('button', { name: 'Archived' }).click();
  await expect.poll(() => titles(page)).toContain('Hello to the archive');
  await choose(page, 'Take from archive');
  await expect.poll(() => titles(page)).not.toContain('Hello to the archive');
  await page.getByRole('button', { name: 'Back to recent' }).click();
  await expect.poll(() => titles(page)).toContain('Hello to the archive');

  await choose(page, 'Delete');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect.poll(() => titles(page)).not.toContain('Hello to the archive');
  await page.getByRole('heading', { name: 'How can we help?' }).waitFor();
  expect(stage.troubles).toEqual([]);
});

test('A conversation is saved as a file, in both formats', async () => {
  const page = await stage.open();
  await say(page, 'Hello to the file');
  await waitForEnd(page);
  for (const [name, ending] of [
    ['Export as Markdown', 'md'],
    ['Export as JSON', 'json'],
  ] as const) {
    const download = page.waitForEvent('download');
    await choose(page, name);
    const file = await download;
    expect(file.suggestedFilename()).toBe(`Hello to the file.${ending}`);
    expect(await readFile(await file.path(), 'utf8')).toContain('Hello to the file');
  }
  expect(stage.troubles).toEqual([]);
});

test('Whoever has the link of a shared conversation reads what was said until then, without a token', async () => {
  const page = await stage.open();
  await say(page, 'Hello to everybody');
  await waitForEnd(page);
  await choose(page, 'Share a link');
  const field = page.getByRole('textbox', { name: /Whoever has this link/ });
  await expect.poll(() => field.inputValue()).toMatch(/\/shared\/[\w-]{20,}$/);
  const link = z.url().parse(await field.inputValue());
  await page.getByRole('button', { name: 'Done' }).click();
  await say(page, 'A secret');
  await waitForEnd(page);

  const stranger = await stage.open({ path: new URL(link).pathname });
  await stranger.getByRole('heading', { name: 'Hello to everybody' }).waitFor();
  const shared = await readMessages(stranger);
  expect(shared).toContain('Hello to everybody');
  expect(shared).not.toContain('A secret');
  expect(stage.troubles).toEqual([]);
});
