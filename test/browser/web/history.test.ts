import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { createConversations } from '../../../bench/web/conversations.ts';
import { holdFrom, type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

/** Creates a conversation with so many messages. @returns its id */
async function createLong(page: Page, length: number): Promise<string> {
  const token = await page.locator('meta[name="switchboard-token"]').getAttribute('content');
  const [id = ''] = await createConversations(stage.url, token ?? '', [length]);
  return id;
}

test('Earlier messages come as one scrolls up: each once and in order, and they stay when a turn has ended', async () => {
  const page = await stage.open();
  await page.goto(`${stage.url}/#${await createLong(page, 130)}`);
  await page.getByText('Answer 129:').waitFor();
  await page.mouse.move(700, 300);
  const isDone = async () => {
    await page.mouse.wheel(0, -3_000);
    return page.getByText('Question 0 of 130').count();
  };
  await expect.poll(isDone, { timeout: 90_000, interval: 50 }).toBe(1);
  const questions = Array.from({ length: 65 }, (_, at) => `Question ${at * 2} of 130`);
  const readQuestions = () => page.locator('.bubble').allTextContents();
  expect(await readQuestions()).toEqual(questions);

  await page.getByRole('button', { name: 'To the newest message' }).click();
  await say(page, 'What time is it?');
  await waitForEnd(page);
  expect(await readQuestions()).toEqual([...questions, 'What time is it?']);
  expect(stage.troubles).toEqual([]);
});

test('A page of messages is rendered a few in each frame, from its end on, which stays in view', async () => {
  const page = await stage.open();
  const id = await createLong(page, 40);
  await page.addInitScript(() => {
    const counts: number[] = [];
    Object.assign(window, { counts });
    new MutationObserver(() => counts.push(document.querySelectorAll('.message').length)).observe(document, {
      childList: true,
      subtree: true,
    });
  });
  await page.goto(`${stage.url}/#${id}`);
  await page.reload();
  await page.getByText('Question 0 of 40').waitFor({ state: 'attached' });
  const counts = z.array(z.number()).parse(await page.evaluate('window.counts'));
  const added = counts.map((count, at) => count - (counts[at - 1] ?? 0));
  expect(Math.max(...added)).toBeLessThanOrEqual(10);
  expect(counts.at(-1)).toBe(40);
  const toEnd = () =>
    page.locator('.thread').evaluate(({ scrollHeight, scrollTop, clientHeight }) => {
      return Math.round(scrollHeight - scrollTop - clientHeight);
    });
  await expect.poll(toEnd).toBeLessThanOrEqual(1);
  expect(stage.troubles).toEqual([]);
});

test('Whoever is at the very top stays where they are when earlier messages come', async () => {
  const page = await stage.open();
  await page.goto(`${stage.url}/#${await createLong(page, 100)}`);
  await page.getByText('Question 60 of 100').waitFor({ state: 'attached' });
  // As the key Home does: immediately, from the end.
  await page.locator('.thread').evaluate((thread) => {
    thread.scrollTop = 0;
  });
  const question = page.getByText('Question 60 of 100');
  await page.getByText('Question 20 of 100').waitFor({ state: 'attached' });
  await expect.poll(() => question.evaluate((element) => element.getBoundingClientRect().top)).toBeGreaterThan(0);
  expect(await question.evaluate((element) => element.getBoundingClientRect().top)).toBeLessThan(200);
  expect(stage.troubles).toEqual([]);
});

test('Whoever has scrolled up while a turn runs stays there when it ends', async () => {
  const page = await stage.open();
  const release = await holdFrom(page, '"RunCompleted"');
  await page.goto(`${stage.url}/#${await createLong(page, 30)}`);
  await page.reload();
  await page.getByText('Answer 29:').waitFor();
  await say(page, 'What time is it?');
  await page.locator('.message[data-writing] .prose').last().waitFor({ timeout: 60_000 });
  const thread = page.locator('.thread');
  await thread.evaluate((element) => {
    element.scrollTop = 300;
  });
  await page.getByRole('button', { name: 'To the newest message' }).waitFor();
  release();
  await waitForEnd(page);
  await page.getByRole('button', { name: 'Answer again' }).last().waitFor({ state: 'attached' });
  expect(await page.locator('[data-writing]').count()).toBe(0);
  expect(await thread.evaluate(({ scrollTop }) => scrollTop)).toBeLessThan(1_000);
  expect(stage.troubles).toEqual([]);
});
