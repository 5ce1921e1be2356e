import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { listViolations } from './axe.ts';
import { holdFrom, type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

const narrow = { viewport: { width: 320, height: 640 } };
const focused = (page: Page) =>
  page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '');
const hasSidewaysScroll = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

/** Of each table, the directions of its cells, and whether its first column stands on the right. */
const describeTables = (page: Page) =>
  page.locator('.table').evaluateAll((tables) =>
    tables.map((table) => {
      const cells = [...table.querySelectorAll('td')].map((cell) => cell.getBoundingClientRect().left);
      const sides = [...table.querySelectorAll('th, td')].map((cell) => {
        const { direction, textAlign } = getComputedStyle(cell);
        return `${direction} ${textAlign}`;
      });
      return [...new Set(sides), (cells[0] ?? 0) > (cells[1] ?? 0)];
    }),
  );

test('On a narrow screen the list is a drawer: the keyboard stays in it, Escape closes it, and the focus goes back', async () => {
  const page = await stage.open(narrow);
  const opener = page.getByRole('button', { name: 'Conversations' });
  await opener.focus();
  await page.keyboard.press('Enter');
  const drawer = page.getByRole('navigation', { name: 'Conversations' });
  await drawer.getByRole('button', { name: 'New chat' }).waitFor();
  await expect.poll(() => focused(page)).toBe('Close the list');
  for (let press = 0; press < 12; press += 1) {
    await page.keyboard.press('Tab');
    // The page itself has the focus where the browser's own controls would have it.
    const isInside = await page.evaluate(
      () => document.activeElement === document.body || document.activeElement?.closest('.sidebar') !== null,
    );
    expect(isInside).toBe(true);
  }
  expect(await listViolations(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await drawer.waitFor({ state: 'hidden' });
  expect(await focused(page)).toBe('Conversations');

  await opener.click();
  await page.getByRole('button', { name: 'Close the list' }).click();
  await drawer.waitFor({ state: 'hidden' });
  expect(await focused(page)).toBe('Conversations');
  expect(await hasSidewaysScroll(page)).toBe(false);
  expect(stage.troubles).toEqual([]);
});

test('A conversation that is chosen from the drawer is opened, and its field has the focus', async () => {
  const page = await stage.open(narrow);
  await say(page, 'Hello from a small screen');
  await waitForEnd(page);
  await page.getByRole('button', { name: 'Conversations' }).click();
  await page.getByRole('button', { name: 'New chat' }).click();
  await page.getByRole('heading', { name: 'How can we help?' }).waitFor();
  await page.getByRole('button', { name: 'Conversations' }).click();
  await page.locator('.conversation', { hasText: 'Hello from a small screen' }).click();
  await page.locator('.bubble', { hasText: 'Hello from a small screen' }).waitFor();
  await expect.poll(() => focused(page)).toBe('Message');
  expect(await hasSidewaysScroll(page)).toBe(false);
  expect(stage.troubles).toEqual([]);
});

test('Texts have the direction of their letters, in both layouts, and long ones make nothing wider', async () => {
  const page = await stage.open(narrow);
  const created = await stage.ask(page, 'mutation { createConversation(input: { title: "رسالة" }) { id } }');
  const { id } = z.object({ createConversation: z.object({ id: z.string() }) }).parse(created).createConversation;
  const table = '| الاسم | No. |\n|---|---|\n| order | 2 |\n\nand\n\n| Name | عدد |\n|---|---|\n| طلب | 2 |';
  const content = `${'هذه رسالة طويلة جدا عن الطلب رقم 1042. '.repeat(40)}\n\n- ${'كلمة'.repeat(60)}\n- English in between\n\n\`\`\`ts\nconst order = 1042;\n\`\`\`\n\n${table}`;
  for (const role of ['USER', 'ASSISTANT'])
    await stage.ask(page, 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }', {
      input: { conversationId: id, role, content },
    });
  const direction = (selector: string) =>
    page
      .locator(selector)
      .first()
      .evaluate((element) => getComputedStyle(element).direction);
  for (const layout of ['ltr', 'rtl']) {
    await page.goto(stage.url);
    await page.evaluate(
      (direction) => localStorage.setItem('switchboard:appearance', JSON.stringify({ direction })),
      layout,
    );
    await page.goto(`${stage.url}/#${id}`);
    await page.reload();
    await page.locator('.prose').waitFor();
    expect(await direction('html')).toBe(layout);
    expect(await direction('.bubble')).toBe('rtl');
    expect(await direction('.prose p')).toBe('rtl');
    expect(await direction('.prose li:last-child')).toBe('ltr');
    expect(await direction('.prose pre')).toBe('ltr');
    expect(await describeTables(page)).toEqual([
      ['rtl start', true],
      ['ltr start', false],
    ]);
    expect(await hasSidewaysScroll(page)).toBe(false);
    expect(await page.locator('.thread').evaluate((thread) => thread.scrollWidth > thread.clientWidth)).toBe(false);
  }
  expect(stage.troubles).toEqual([]);
});

test('Nothing moves by itself for whoever asked for less motion', async () => {
  const page = await stage.open();
  const release = await holdFrom(page, '"RunStarted"');
  await page.reload();
  await say(page, 'Where is my order 1042?');
  await page.locator('.thinking').waitFor({ timeout: 60_000 });
  const count = () => page.evaluate(() => document.getAnimations().length);
  expect(await count()).toBe(0);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  await expect.poll(count).toBeGreaterThan(0);
  release();
  await waitForEnd(page);
});

test('Nothing jumps while an answer is written and when it is stored', async () => {
  const page = await stage.open();
  await page.evaluate(() => {
    const shifts: number[] = [];
    Object.assign(window, { shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { value, hadRecentInput } = Object(entry);
        if (!hadRecentInput) shifts.push(value);
      }
    }).observe({ type: 'layout-shift' });
  });
  await say(page, 'Where is my order 1042?');
  await waitForEnd(page);
  await say(page, 'How long can I return an unused item?');
  await page.getByRole('button', { name: 'Stop' }).waitFor();
  await waitForEnd(page);
  const shifts = z.array(z.number()).parse(await page.evaluate('window.shifts'));
  // A page of which the sum is below 0.1 counts as one that does not jump.
  expect(shifts.reduce((sum, value) => sum + value, 0)).toBeLessThan(0.04);
  expect(stage.troubles).toEqual([]);
});

test('What stands below the list begins where the list begins, and all that is chosen from is readable in the dark', async () => {
  const page = await stage.open({ colorScheme: 'dark' });
  const starts = await page.locator('.sidebar > .button').evaluateAll((buttons) =>
    buttons.map((button) => {
      const { left } = button.getBoundingClientRect();
      return (button.firstElementChild?.getBoundingClientRect().left ?? 0) - left;
    }),
  );
  expect(starts.length).toBeGreaterThan(2);
  for (const start of starts) expect(start).toBeLessThan(24);
  const voice = await stage.open({ path: '/voice', beside: page });
  const colors = await voice.getByLabel('Scenario').evaluate((select) => {
    const { color, backgroundColor } = getComputedStyle(select);
    const { color: text, backgroundColor: ground } = getComputedStyle(document.body);
    return { chosen: [color, backgroundColor], page: [text, ground] };
  });
  expect(colors.chosen).toEqual(colors.page);
  expect(stage.troubles).toEqual([]);
});

test('An answer stays in the same elements when it is stored', async () => {
  const page = await stage.open();
  const release = await holdFrom(page, '"RunCompleted"');
  await page.reload();
  await say(page, 'What time is it?');
  const written = page.locator('.message[data-writing] .prose > :first-child').last();
  await written.waitFor({ timeout: 60_000 });
  await written.evaluate((element) => Object.assign(element, { isMarked: true }));
  release();
  await waitForEnd(page);
  await page.getByRole('button', { name: 'Answer again' }).waitFor({ state: 'attached' });
  expect(await page.locator('[data-writing]').count()).toBe(0);
  const stored = page.locator('.message.assistant .prose > :first-child').last();
  expect(await stored.evaluate((element) => 'isMarked' in element)).toBe(true);
  expect(stage.troubles).toEqual([]);
});
