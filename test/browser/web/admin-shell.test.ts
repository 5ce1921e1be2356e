import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stage, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('The admin pages are a part of the page that the chat does not load', async () => {
  const chat = await stage.open();
  await chat.getByRole('heading', { name: 'New chat' }).waitFor();
  const scripts = () => chat.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
  expect((await scripts()).filter((name) => /\/assets\/admin-/.test(name))).toEqual([]);

  const page = await stage.open({ path: '/admin' });
  await page.getByRole('navigation', { name: 'Admin' }).getByRole('link', { name: 'Back to the chat' }).click();
  await page.getByRole('heading', { name: 'New chat' }).waitFor();
  expect(stage.troubles).toEqual([]);
});
