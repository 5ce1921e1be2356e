import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('Ratings from the chat are listed with their agent, scenario and version, filtered, and lead to the run', async () => {
  const chat = await stage.open();
  await say(chat, 'Where is my order 1042?');
  await waitForEnd(chat);
  await chat.getByRole('button', { name: 'Good answer' }).last().click();
  await chat.locator('[aria-label="Good answer"][aria-pressed="true"]').waitFor();
  const other = await stage.open({ beside: chat });
  await other.getByLabel('Who answers').selectOption({ label: 'assistant' });
  await say(other, 'What time is it?');
  await waitForEnd(other);
  await other.getByRole('button', { name: 'Bad answer' }).last().click();
  await other.locator('[aria-label="Bad answer"][aria-pressed="true"]').waitFor();
  await comment(other, 'It is not my time.');

  const page = await stage.open({ beside: chat, path: '/admin/feedback' });
  const rows = page.getByRole('table', { name: 'Feedback' }).locator('tbody tr');
  const good = rows.filter({ hasText: 'orders' });
  const bad = rows.filter({ hasText: 'assistant' });
  await good.getByText('version 1').waitFor({ timeout: 60_000 });
  await bad.getByText('It is not my time.').waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByLabel('Rating').selectOption('bad');
  await good.waitFor({ state: 'detached' });
  await bad.getByText('bad').waitFor();
  await page.getByLabel('Rating').selectOption('any');
  await page.getByLabel('Agent').selectOption('orders');
  await bad.waitFor({ state: 'detached' });
  await good.waitFor();
  await page.getByLabel('Agent').selectOption('any');
  await page.getByLabel('Scenario').selectOption('Customer support');
  await good.waitFor();
  await page.getByLabel('Agent').selectOption('assistant');
  await page.getByText('Nobody has said anything like that.').waitFor();
  await page.getByLabel('Agent').selectOption('any');
  await good.waitFor();
  await bad.waitFor({ state: 'detached' });
  await page.getByLabel('Scenario').selectOption('any');
  await good.getByRole('link', { name: 'open' }).click();
  await page.getByRole('heading', { name: 'Where is my order 1042?' }).waitFor();
  expect(stage.troubles).toEqual([]);
});

const rated = z.object({
  feedback: z.object({ edges: z.tuple([z.object({ node: z.object({ message: z.object({ id: z.string() }) }) })]) }),
});

/** Adds a comment to the bad rating, as another client does. */
async function comment(page: Page, text: string): Promise<void> {
  const list = await stage.ask(page, '{ feedback(rating: DOWN) { edges { node { message { id } } } } }');
  const [{ node }] = rated.parse(list).feedback.edges;
  await stage.ask(
    page,
    'mutation ($id: ID!, $text: String) { setFeedback(messageId: $id, rating: DOWN, comment: $text) { id } }',
    { id: node.message.id, text },
  );
}
