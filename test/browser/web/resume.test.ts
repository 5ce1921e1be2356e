import { afterAll, beforeAll, expect, test } from 'vitest';
import { cutSockets, readMessages, type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

/** What the demo model says after the tool was called: an order is refunded once. */
const refunded = /Order 1046 is refunded|The refund did not happen/g;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('A turn whose socket is cut again and again is shown once, without a gap or a repeat', async () => {
  const page = await stage.open();
  const countCuts = await cutSockets(page);
  // The page is read again, so that its socket is one that can be cut.
  await page.reload();
  await say(page, 'Where is my order 1042?');
  await waitForEnd(page);
  expect(countCuts()).toBeGreaterThan(1);
  const shown = await readMessages(page);
  await page.reload();
  await waitForEnd(page);
  expect(await readMessages(page)).toBe(shown);
  expect(shown.match(/for a total of/g)).toHaveLength(1);
  expect(stage.troubles).toEqual([]);
});

test('A page that is loaded again in the middle of a turn goes on with it, before and after an approval', async () => {
  const page = await stage.open();
  await say(page, 'Where is my order 1042?');
  await page.locator('[data-writing="true"]').waitFor({ timeout: 60_000 });
  await page.reload();
  await waitForEnd(page);
  expect((await readMessages(page)).match(/for a total of/g)).toHaveLength(1);
  expect((await readMessages(page)).match(/Where is my order 1042/g)).toHaveLength(1);

  await say(page, 'Please refund order 1046');
  await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 60_000 });
  await page.reload();
  await page.getByRole('button', { name: 'Approve' }).click();
  await waitForEnd(page);
  expect((await readMessages(page)).match(refunded)).toHaveLength(1);
  expect((await readMessages(page)).match(/refund_order/g)).toHaveLength(1);
  expect(stage.troubles).toEqual([]);
});

test('Two tabs show the same turn, and one of them approves what the other has asked for', async () => {
  const first = await stage.open();
  await say(first, 'Where is my order 1042?');
  await waitForEnd(first);
  const second = await stage.open({ beside: first, path: `/${new URL(first.url()).hash}` });
  await waitForEnd(second);
  await say(first, 'Please refund order 1046');
  await second.getByRole('button', { name: 'Approve' }).click({ timeout: 60_000 });
  await Promise.all([first, second].map((page) => page.getByText(refunded).first().waitFor()));
  await Promise.all([first, second].map(waitForEnd));
  await expect.poll(() => readMessages(second)).toBe(await readMessages(first));

  await second.getByLabel('Conversation menu').click();
  await second.getByRole('button', { name: 'Rename' }).click();
  await second.getByLabel('Title').fill('Refund of 1046');
  await second.getByRole('button', { name: 'Save' }).click();
  await first.getByRole('heading', { name: 'Refund of 1046' }).waitFor();
  expect(stage.troubles).toEqual([]);
});

test('A message can be edited, answered again, and each version is a click away', async () => {
  const page = await stage.open();
  await say(page, 'Where is my order 1042?');
  await waitForEnd(page);
  await page.locator('.bubble').hover();
  await page.getByRole('button', { name: 'Edit message' }).click();
  await page.getByLabel('Edit message').fill('Where is my order 1043?');
  await page.getByRole('button', { name: 'Send' }).first().click();
  await page.getByText('order 1043 ').first().waitFor({ timeout: 60_000 });
  await page.getByText('2 / 2').waitFor({ timeout: 60_000 });
  expect(await readMessages(page)).not.toContain('1042');
  await page.getByRole('button', { name: 'Earlier version' }).click();
  await page.getByText('1 / 2').waitFor();
  await expect.poll(() => readMessages(page)).not.toContain('1043');
  expect(await readMessages(page)).toContain('1042');
  expect(stage.troubles).toEqual([]);
});
