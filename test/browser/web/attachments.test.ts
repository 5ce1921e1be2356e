import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listViolations } from './axe.ts';
import { type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources, { ATTACHMENT_MAX_MB: '1' });
});
afterAll(() => resources.disposeAsync());

const textFile = (name: string, text: string) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(text) });
const chosen = (page: Page) => page.getByRole('list', { name: 'Files of the message' });

/** Drops or pastes a file, as the browser does it: the event that it sends to the page. */
function give(page: Page, kind: 'drop' | 'paste', name: string, text: string): Promise<void> {
  return page.evaluate(
    ([kind, name, text]) => {
      const data = new DataTransfer();
      data.items.add(new File([text], name, { type: 'text/plain' }));
      const place = kind === 'paste' ? document.getElementById('composer') : document.querySelector('.head');
      const shared = { bubbles: true, cancelable: true };
      place?.dispatchEvent(
        kind === 'paste'
          ? new ClipboardEvent('paste', { ...shared, clipboardData: data })
          : new DragEvent('drop', { ...shared, dataTransfer: data }),
      );
    },
    [kind, name, text] as const,
  );
}

test('Files are chosen, dropped and pasted, one is taken away, and the others are sent with the message', async () => {
  const page = await stage.open();
  await page
    .locator('input[type="file"]')
    .setInputFiles([textFile('first.txt', 'One.'), textFile('wrong.txt', 'Two.')]);
  await give(page, 'drop', 'dropped.md', '# Three');
  await give(page, 'paste', 'pasted.csv', 'a,b');
  await expect.poll(() => chosen(page).locator('[data-state="stored"]').count()).toBe(4);
  await chosen(page).getByRole('button', { name: 'Remove wrong.txt' }).click();
  await say(page, 'Please keep these files');
  // At once, and when the message is stored.
  const shown = page.locator('.message.user .attachments');
  const names = ['first.txt', 'dropped.md', 'pasted.csv'];
  await shown.waitFor();
  expect(await shown.locator('.file-name span[dir]').allTextContents()).toEqual(names);
  expect(await chosen(page).count()).toBe(0);
  await waitForEnd(page);
  await page.reload();
  await waitForEnd(page);
  expect(await shown.locator('.file-name span[dir]').allTextContents()).toEqual(names);

  const download = page.waitForEvent('download');
  await shown.getByRole('button', { name: /first\.txt/ }).click();
  expect((await download).suggestedFilename()).toBe('first.txt');
  expect(stage.troubles).toEqual([]);
});

test('What a model is not given of a file is said beside it, before it is sent and in the message', async () => {
  const page = await stage.open();
  const bytes = Buffer.from([0x50, 0x4b, 3, 4, ...Array<number>(60).fill(0)]);
  await page
    .locator('input[type="file"]')
    .setInputFiles({ name: 'archive.bin', mimeType: 'application/octet-stream', buffer: bytes });
  const notice = await chosen(page).locator('[data-state="stored"] .file-note').innerText();
  expect(notice).not.toBe('');
  await say(page, 'What is this?');
  await waitForEnd(page);
  expect(await page.locator('.message.user .file-note').innerText()).toBe(notice);

  // A new version of the message has its files, too.
  await page.locator('.bubble').hover();
  await page.getByRole('button', { name: 'Edit message' }).click();
  await page.getByLabel('Edit message').fill('What is this file?');
  await page.getByRole('button', { name: 'Send' }).first().click();
  await page.getByText('2 / 2').waitFor({ timeout: 60_000 });
  await waitForEnd(page);
  expect(await page.locator('.message.user .file-note').innerText()).toBe(notice);
  expect(stage.troubles).toEqual([]);
});

test('A file that the server refuses says why, and no message goes without it by accident', async () => {
  const page = await stage.open();
  await page
    .locator('input[type="file"]')
    .setInputFiles([
      { name: 'large.txt', mimeType: 'text/plain', buffer: Buffer.alloc(1_200_000, 'a') },
      textFile('empty.txt', ''),
    ]);
  const failed = chosen(page).locator('[data-state="failed"]');
  await expect.poll(() => failed.count()).toBe(2);
  expect(await failed.first().innerText()).toContain('at most 1 MB (ATTACHMENT_MAX_MB)');
  expect(await failed.last().innerText()).toContain('is empty');
  await page.getByLabel('Message', { exact: true }).fill('With files');
  expect(await page.getByRole('button', { name: 'Send' }).isDisabled()).toBe(true);
  for (const name of ['large.txt', 'empty.txt']) await page.getByRole('button', { name: `Remove ${name}` }).click();
  expect(await page.getByRole('button', { name: 'Send' }).isEnabled()).toBe(true);

  const many = Array.from({ length: 21 }, (_, index) => textFile(`${index}.txt`, `Text ${index}`));
  await page.route('**/graphql', (route) => route.abort());
  await page.locator('input[type="file"]').setInputFiles(many);
  await page.getByText('A message has at most 20 files').waitFor();
  await expect.poll(() => failed.count()).toBe(20);
  expect(await failed.first().innerText()).toContain('could not be reached');
  // It would go on to read the list, and to be refused.
  await page.close();
  // The browser itself complains of each request that fails.
  expect(stage.troubles.splice(0).filter((trouble) => !trouble.startsWith('Failed to load resource'))).toEqual([]);
});

test('How far a file is, is shown while it is sent', async () => {
  const page = await stage.open();
  let go = () => {};
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  await page.route('**/graphql', async (route) => {
    if (route.request().headers()['content-type']?.startsWith('multipart/')) await held;
    await route.continue();
  });
  await page.locator('input[type="file"]').setInputFiles([textFile('slow.txt', 'Slow.')]);
  await page.getByRole('progressbar', { name: 'Upload of slow.txt' }).waitFor();
  go();
  await chosen(page).locator('[data-state="stored"]').waitFor();
  expect(await page.getByRole('progressbar').count()).toBe(0);
  expect(stage.troubles).toEqual([]);
});

/** A picture of one pixel. */
const dot = {
  name: 'dot.png',
  mimeType: 'image/png',
  buffer: Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==',
    'base64',
  ),
};

test('An image is shown in its message, in a room of its own, and by another address when the first one is refused', async () => {
  const page = await stage.open();
  const image = page.getByRole('img', { name: 'dot.png' });
  const width = () => image.evaluate((node) => (node instanceof HTMLImageElement ? node.naturalWidth : -1));
  const room = async () => {
    const { width = 0, height = 0 } = (await image.boundingBox()) ?? {};
    return { width, height };
  };
  await page.locator('input[type="file"]').setInputFiles([dot]);
  await chosen(page).locator('[data-state="stored"]').waitFor();
  await say(page, 'What is in this picture?');
  await waitForEnd(page);
  await expect.poll(width).toBe(1);
  const loaded = await room();
  expect(loaded).toEqual({ width: 192, height: 144 });
  expect(await listViolations(page)).toEqual([]);
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'dot.png' }).click();
  expect((await download).suggestedFilename()).toBe('dot.png');

  // The first address is refused, as one that has expired is.
  let go = () => {};
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  let asked = 0;
  await page.route('**/attachments/*', async (route) => {
    asked += 1;
    if (asked > 1) return route.continue();
    await held;
    await route.fulfill({ status: 404 });
  });
  await page.reload();
  await image.waitFor();
  expect(await room()).toEqual(loaded);
  go();
  await expect.poll(width).toBe(1);
  expect(asked).toBe(2);

  // A file that is gone has its name.
  await page.unroute('**/attachments/*');
  await page.route('**/attachments/*', (route) => route.fulfill({ status: 404 }));
  await page.reload();
  await page.locator('.message.user').getByText('dot.png').waitFor();
  expect(await image.count()).toBe(0);
  // The browser itself complains of each file that is refused.
  expect(stage.troubles.splice(0).filter((trouble) => !trouble.startsWith('Failed to load resource'))).toEqual([]);
});

test('A suggestion takes the files with it that were chosen before, and waits for those that are on their way', async () => {
  const page = await stage.open();
  let go = () => {};
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  await page.route('**/graphql', async (route) => {
    if (route.request().headers()['content-type']?.startsWith('multipart/')) await held;
    await route.continue();
  });
  await page.locator('input[type="file"]').setInputFiles([textFile('mine.txt', 'Mine.')]);
  await page.getByRole('progressbar', { name: 'Upload of mine.txt' }).waitFor();
  await page.getByRole('button', { name: 'What time is it?' }).click();
  expect(await page.getByLabel('Message', { exact: true }).inputValue()).toBe('What time is it?');
  go();
  await chosen(page).locator('[data-state="stored"]').waitFor();
  await page.getByRole('button', { name: 'Where is my order 1042?' }).click();
  await waitForEnd(page);
  expect(await page.locator('.bubble').allTextContents()).toEqual(['Where is my order 1042?']);
  expect(await page.locator('.message.user .file-name span[dir]').allTextContents()).toEqual(['mine.txt']);
  expect(stage.troubles).toEqual([]);
});
