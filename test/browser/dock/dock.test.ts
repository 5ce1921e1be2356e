import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { listViolations, listViolationsOfThemes } from '../web/axe.ts';
import { cutSockets, type Stage, say, setStage } from '../web/page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

/** Opens the page of a shop, and the dock in it. */
async function openDock(options: Parameters<Stage['open']>[0] = {}): Promise<Page> {
  const page = await stage.open({ path: '/dock', ...options });
  await page.getByRole('button', { name: 'Help' }).click();
  return page;
}

const read = async (page: Page) => (await page.locator('switchboard-dock ol').first().textContent()) ?? '';

/** Waits until a text is shown, and then until the dock takes the next message. */
async function waitForAnswer(page: Page, text: string | RegExp): Promise<void> {
  await expect.poll(() => read(page), { timeout: 90_000 }).toMatch(text);
  await page.getByRole('button', { name: 'Send' }).waitFor({ timeout: 90_000 });
}

test('An answer knows the page that the user sees, and the token is nowhere in the dock', async () => {
  const page = await stage.open({ path: '/dock' });
  await page.getByLabel('Note for the courier').fill('Please ring twice');
  await page.getByRole('button', { name: 'Help' }).focus();
  await page.keyboard.press('Enter');
  // The message has the focus, so that a person can write immediately.
  await page.keyboard.type('What do I see?');
  await page.keyboard.press('Enter');
  await waitForAnswer(page, 'Please ring twice');
  // The address of the page itself is no secret of anybody.
  expect(await read(page)).toContain(`${stage.url}/dock – `);
  const token = await page.locator('meta[name="switchboard-token"]').getAttribute('content');
  expect(token).not.toBe('');
  const dock = page.locator('switchboard-dock');
  expect(await dock.evaluate((node) => node.outerHTML + node.shadowRoot?.innerHTML)).not.toContain(token);
  expect(await dock.evaluate((node) => String(Reflect.get(node, 'token')))).toBe('undefined');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Help', expanded: false }).waitFor();
  expect(await dock.evaluate((node) => node.shadowRoot?.activeElement?.textContent)).toBe('Help');
  expect(stage.troubles).toEqual([]);
});

test('A call is approved in a narrow window, without a violation that axe knows of, in light and in dark', async () => {
  const page = await openDock({ viewport: { width: 320, height: 600 }, colorScheme: 'light' });
  expect(await listViolations(page)).toEqual([]);
  await say(page, 'Please refund order 1046');
  await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 60_000 });
  const said = page.locator('switchboard-dock .panel > .hidden');
  await expect.poll(() => said.textContent()).toContain('needs your approval');
  expect(await listViolationsOfThemes(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
  await page.getByRole('button', { name: 'Approve' }).click();
  await waitForAnswer(page, 'Order 1046 is refunded');
  expect(await listViolations(page)).toEqual([]);
  expect(stage.troubles).toEqual([]);
});

test('A turn whose socket is cut again and again is shown once, and is there after the page was loaded again', async () => {
  const page = await stage.open({ path: '/dock' });
  const countCuts = await cutSockets(page);
  await page.reload();
  await page.getByRole('button', { name: 'Help' }).click();
  await say(page, 'Where is my order 1042?');
  await waitForAnswer(page, 'for a total of');
  expect(countCuts()).toBeGreaterThan(1);
  await page.reload();
  await page.getByRole('button', { name: 'Help' }).click();
  await expect.poll(() => read(page), { timeout: 60_000 }).toContain('for a total of');
  const shown = await read(page);
  expect(shown.match(/for a total of/g)).toHaveLength(1);
  expect(shown.match(/Where is my order 1042/g)).toHaveLength(1);
  expect(stage.troubles).toEqual([]);
});

test('A turn is stopped, and the person begins a new conversation', async () => {
  const page = await openDock();
  // It waits for a decision, and so does not end before it is stopped.
  await say(page, 'Please refund order 1043');
  await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 60_000 });
  // What is sent meanwhile stays, and that is said.
  await say(page, 'Never mind');
  const early = page.locator('switchboard-dock .early');
  await expect.poll(() => early.textContent()).toContain('Your text stays here');
  expect(await page.getByLabel('Message', { exact: true }).inputValue()).toBe('Never mind');
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('button', { name: 'Stop' }).click();
  await waitForAnswer(page, 'Stopped');
  expect(await early.textContent()).toBe('');
  expect(await page.getByRole('button', { name: 'Approve' }).count()).toBe(0);
  await page.getByRole('button', { name: 'New conversation' }).click();
  expect(await read(page)).toBe('');
  await say(page, 'What time is it?');
  await waitForAnswer(page, /current_time|[0-9]:[0-9]{2}/);
  expect(await read(page)).not.toContain('1043');
  expect(stage.troubles).toEqual([]);
});

test('What guardrails find is said while a turn runs, and after the page was loaded again', async () => {
  const page = await stage.open({ path: '/dock' });
  const open = async () => {
    await page.locator('switchboard-dock').evaluate((dock) => dock.setAttribute('scenario-key', 'guarded'));
    await page.getByRole('button', { name: 'Help' }).click();
  };
  await open();
  await say(page, 'I am bob@example.com');
  await waitForAnswer(page, 'has replaced a part of the message');
  await say(page, 'My password is hunter2');
  await waitForAnswer(page, 'has blocked the message');
  const notices = page.locator('switchboard-dock .notice');
  const shown = await notices.allTextContents();
  expect(shown).toHaveLength(2);
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.reload();
  await open();
  await expect.poll(() => notices.allTextContents(), { timeout: 60_000 }).toEqual(shown);
  expect(stage.troubles).toEqual([]);
});

const attack = `<script>window.attacked = 'script'</script> <img src=x onerror="window.attacked = 'onerror'">
<iframe src="https://attacker.example/frame"></iframe>

[run](javascript:window.attacked='link') ![pixel](https://attacker.example/pixel.png) [good](https://example.com/page)

| الاسم |
|---|
| <svg onload="window.attacked = 'cell'"></svg> |

- a list
- with \`code\``;

test('What a model writes stays inert in the dock: it runs nothing, loads nothing and leads to no script', async () => {
  const page = await stage.open({ path: '/dock' });
  const token = await page.locator('meta[name="switchboard-token"]').getAttribute('content');
  const ask = async (query: string, variables: object = {}) => {
    const response = await fetch(`${stage.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query, variables }),
    });
    return z.object({ data: z.record(z.string(), z.object({ id: z.string() })) }).parse(await response.json()).data;
  };
  const { createConversation } = await ask('mutation { createConversation { id } }');
  const input = { conversationId: createConversation?.id, role: 'ASSISTANT', content: attack };
  await ask('mutation($input: CreateMessageInput!) { createMessage(input: $input) { id } }', { input });
  await page.evaluate(
    ([url, id]) => sessionStorage.setItem(`switchboard-dock ${url}/graphql {"scenarioKey":"support"}`, String(id)),
    [stage.url, createConversation?.id],
  );
  await page.reload();
  await page.getByRole('button', { name: 'Help' }).click();
  await expect.poll(() => read(page), { timeout: 60_000 }).toContain('<iframe src="https://attacker.example/frame">');
  expect(await page.locator('.answer').locator('script, iframe, img, svg, style, object').count()).toBe(0);
  const targets = await page
    .locator('.answer a')
    .evaluateAll((links) => links.map((link) => link.getAttribute('href')));
  expect(targets).toEqual(['https://attacker.example/pixel.png', 'https://example.com/page']);
  expect(await page.locator('.answer td').count()).toBe(1);
  // A table begins on the side where its letters begin.
  const directions = page
    .locator('.answer td')
    .evaluateAll((cells) => cells.map((td) => getComputedStyle(td).direction));
  expect(await directions).toEqual(['rtl']);
  expect(await page.evaluate('window.attacked')).toBeUndefined();
  expect(stage.troubles).toEqual([]);
});
