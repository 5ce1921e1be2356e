import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { startModelServer } from '../../src/demo/server.ts';
import { launchBrowser, startAsItsUser } from '../../test/support/browser.ts';
import { writeTable } from '../statistics.ts';
import { createConversations, writeMarkdown } from './conversations.ts';
import { type Frames, traceFrames, waitInPage } from './trace.ts';

// npm run bench:web: how smoothly the chat page of examples/web streams, opens and scrolls, by the trace of a Chromium.

const [tokens, perSecond, inPage, long] = [2_000, 200, 500, 5_000];

await using resources = new AsyncDisposableStack();
spawnSync(process.execPath, [join(import.meta.dirname, '../../scripts/web.ts'), '--build'], { stdio: 'inherit' });
const folder = resources.adopt(await mkdtemp(join(tmpdir(), 'switchboard-bench-web-')), (path) =>
  rm(path, { recursive: true, force: true }),
);
const model = await startModelServer({
  models: ['bench'],
  respond: () => ({ text: writeMarkdown(tokens), delayMs: 1_000 / perSecond }),
});
resources.defer(() => model.close());
const { origin: url } = new URL(
  await startAsItsUser(resources, folder, {
    OPENAI_BASE_URL: model.url,
    OPENAI_API_KEY: 'bench',
    MODEL: 'bench',
    TITLES: 'none',
    RATE_LIMIT_ANSWER_BYTES: '0',
  }),
);
const browser = await launchBrowser(resources);
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
const token = /name="switchboard-token" content="([^"]+)"/.exec(await (await fetch(url)).text())?.[1] ?? '';
const [short = '', large = ''] = await createConversations(url, token, [inPage, long]);
const rows: string[][] = [];

// The first content, without anything in the caches of the browser, and then with it.
for (const name of ['the page, nothing cached', 'the page, cached']) {
  const page = await context.newPage();
  await page.goto(url);
  await page.getByRole('heading', { name: 'How can we help?' }).waitFor();
  const painted = await page.evaluate(
    () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN,
  );
  rows.push([name, `first content ${painted.toFixed(0)} ms`, '', '', '', '']);
  await page.close();
}

const opened = await context.newPage();
await opened.goto(url);
await opened.getByRole('heading', { name: 'How can we help?' }).waitFor();
// Nobody chooses a conversation sooner. In this time the browser starts a process for the page that may come next.
await opened.waitForTimeout(3_000);
let shownAfter = 0;
add(
  `a conversation of ${long} messages is opened`,
  await traceFrames(browser, opened, async () => {
    const began = performance.now();
    await opened.evaluate((id) => {
      location.hash = id;
    }, large);
    await waitInPage(opened, '.prose');
    shownAfter = performance.now() - began;
    await opened.waitForTimeout(1_000);
  }),
);
rows.push([`its last message is there after`, `${shownAfter.toFixed(0)} ms`, '', '', '', '']);
add(
  'it is scrolled up through its messages',
  await traceFrames(browser, opened, async () => {
    await scrollUp(opened, 8_000);
  }),
);
rows.push(['messages in the page then', String(await opened.locator('.message').count()), '', '', '', '']);
await opened.close();

const page = await context.newPage();
await page.goto(`${url}/#${short}`);
await page.getByText(`Answer ${inPage - 1}:`).waitFor();
while ((await page.locator('.message').count()) < inPage) await scrollUp(page, 300);
await page.getByRole('button', { name: 'To the newest message' }).click();
await page.locator('#composer').focus();
await page.waitForTimeout(1_000);
add(
  `${tokens} tokens at ${perSecond}/s into ${await page.locator('.message').count()} messages`,
  await traceFrames(browser, page, async () => {
    await page.keyboard.insertText('Write a long answer');
    await page.keyboard.press('Enter');
    await waitInPage(page, '.messages > .message[data-writing="true"]');
    await waitInPage(page, '.send[aria-label="Send"]');
    await page.waitForTimeout(1_000);
  }),
);

console.log(`${cpus().length} cores, Chromium ${browser.version()}, no GPU\n`);
console.log(
  writeTable(['', 'longest task', 'in CPU time', 'longest frame', "the page's work in it", '99 %', 'frames'], rows),
);

function add(name: string, { longestTask, longestTaskCpu, longestFrame, workInIt, p99Frame, frames }: Frames): void {
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  rows.push([name, ms(longestTask), ms(longestTaskCpu), ms(longestFrame), ms(workInIt), ms(p99Frame), String(frames)]);
}

/** Turns the wheel as a person does, for a while. */
async function scrollUp(page: Page, forMs: number): Promise<void> {
  await page.mouse.move(700, 400);
  for (const end = performance.now() + forMs; performance.now() < end; ) {
    await page.mouse.wheel(0, -400);
    await page.waitForTimeout(30);
  }
}
