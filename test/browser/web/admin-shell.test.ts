import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stage, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('The admin pages are a part of the page that the chat does not load: its scripts stay under 200 kB', async () => {
  const page = await stage.open();
  await page.getByRole('link', { name: 'Admin' }).waitFor();
  const loaded = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
  const scripts = loaded.filter((name) => name.endsWith('.js'));
  expect(scripts.length).toBeGreaterThan(0);
  const texts = await Promise.all(scripts.map(async (url) => (await fetch(url)).text()));
  expect(texts.join('')).not.toContain('testAgent');
  expect(texts.reduce((bytes, text) => bytes + gzipSync(text).length, 0)).toBeLessThan(200_000);

  await page.getByRole('link', { name: 'Admin' }).click();
  await page.getByRole('heading', { name: 'Agents' }).waitFor();
  await page.getByRole('link', { name: 'Back to the chat' }).click();
  await page.getByRole('heading', { name: 'New chat' }).waitFor();
  expect(stage.troubles).toEqual([]);
});

test('Every page of the navigation opens with the keyboard, and takes the focus to its title', async () => {
  const page = await stage.open({ path: '/admin' });
  const navigation = page.getByRole('navigation', { name: 'Admin' });
  await navigation.getByRole('link', { name: 'Scenarios' }).waitFor();
  const links = (await navigation.getByRole('link').allTextContents()).slice(0, -1);
  // The first one is shown already.
  for (const title of [...links.slice(1), ...links.slice(0, 1)]) {
    await navigation.getByRole('link', { name: title, exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: title }).and(page.locator(':focus')).waitFor();
    // Its own part scrolls, and not the page.
    expect(await page.evaluate(() => document.documentElement.scrollHeight - innerHeight)).toBeLessThanOrEqual(0);
  }
  await page.goBack();
  await page.getByRole('heading', { level: 1, name: links.at(-1) ?? '' }).waitFor();
});

test('On a narrow screen the navigation shows the page that is open, however far it stands in the row', async () => {
  const page = await stage.open({ path: '/admin/runs', viewport: { width: 320, height: 640 } });
  const navigation = page.getByRole('navigation', { name: 'Admin' });
  const isInView = (title: string) =>
    navigation.getByRole('link', { name: title, exact: true }).evaluate((link) => {
      const { left, right } = link.getBoundingClientRect();
      return link.getAttribute('aria-current') === 'page' && left >= 0 && right <= innerWidth;
    });
  await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor();
  await expect.poll(() => isInView('Runs')).toBe(true);
  await page.evaluate(() => {
    history.pushState(null, '', '/admin/agents');
    dispatchEvent(new PopStateEvent('popstate'));
  });
  await page.getByRole('heading', { level: 1, name: 'Agents' }).waitFor();
  await expect.poll(() => isInView('Agents')).toBe(true);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
});

test('Who is no admin is told so, and is shown no pages', async () => {
  const page = await stage.open();
  await page.route('**/graphql', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace('"roles":["admin"]', '"roles":[]') });
  });
  await page.goto(`${stage.url}/admin/agents`);
  await page.getByText('These pages need a token with the role').waitFor();
  expect(await page.getByRole('navigation').getByRole('link').allTextContents()).toEqual(['Back to the chat']);
});
