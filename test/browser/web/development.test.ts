import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readMessages, type Stage, say, setStage, waitForEnd } from './page.ts';

const script = join(import.meta.dirname, '../../../scripts/web.ts');
const resources = new AsyncDisposableStack();
const troubles: string[] = [];
let stage: Stage;
let url: string;

beforeAll(async () => {
  stage = await setStage(resources);
  url = await startDevelopment(stage.url);
});
afterAll(() => resources.disposeAsync());

/** Starts `npm run web` without npm, beside a server. @returns the address that it prints */
async function startDevelopment(server: string, owner = resources): Promise<string> {
  const env = { ...process.env, SWITCHBOARD_URL: server, NODE_ENV: 'development', NO_COLOR: '1' };
  const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  owner.defer(() => end(child));
  return await new Promise<string>((resolve, reject) => {
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        printed += String(chunk);
        const [address] = /http:\/\/127\.0\.0\.1:\d+/.exec(printed) ?? [];
        if (address !== undefined) resolve(address);
      });
    }
    child.once('exit', (code) => reject(new Error(`It ended with ${code}: ${printed}`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function open(path: string): Promise<Page> {
  const page = await (await stage.browser.newContext({ reducedMotion: 'reduce' })).newPage();
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(String(error)));
  page.on('response', (response) => {
    if (response.status() >= 400) troubles.push(`${response.status()} ${response.url()}`);
  });
  await page.goto(url + path);
  return page;
}

test('In development, nothing in the console is wrong while turns run, wait for approval, are rated and loaded again', async () => {
  const page = await open('/');
  await page.getByRole('heading', { name: 'How can we help?' }).waitFor({ timeout: 90_000 });
  await say(page, 'Please refund order 1046');
  await page.getByRole('button', { name: 'Approve' }).click({ timeout: 90_000 });
  await waitForEnd(page);
  await say(page, 'What time is it?');
  await expect.poll(() => readMessages(page), { timeout: 90_000 }).toContain('The clock says');
  await waitForEnd(page);
  await page.getByRole('button', { name: 'Good answer' }).last().click();
  await page.getByLabel('What was good?').fill('All of it');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'Answer again' }).last().click();
  await page.getByRole('button', { name: 'Earlier version' }).last().waitFor({ timeout: 90_000 });
  await waitForEnd(page);
  await page.getByRole('button', { name: 'Earlier version' }).last().click();
  await page.getByText('All of it').waitFor();
  await page.reload();
  await page.getByText('All of it').waitFor({ timeout: 60_000 });
  expect(troubles).toEqual([]);
});

test('In development, /dock is the page of the dock, which answers', async () => {
  const page = await open('/dock');
  await page.getByRole('heading', { name: 'Your order 1042' }).waitFor();
  await page.getByRole('button', { name: 'Help' }).click({ timeout: 60_000 });
  await say(page, 'What time is it?');
  const shown = () => page.locator('switchboard-dock ol').first().textContent();
  await expect.poll(shown, { timeout: 90_000 }).toContain('The clock says');
  expect(troubles).toEqual([]);
});

test('In development, the page for calls knows where they begin, as the page of the server does', async () => {
  await using other = new AsyncDisposableStack();
  const server = await setStage(other, {
    OPENAI_API_KEY: 'sk-nobody-calls',
    OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
    MODEL: 'nobody',
  });
  const development = await startDevelopment(server.url, other);
  const callsOf = async (page: string) =>
    /<meta name="switchboard-calls" content="([^"]*)"/.exec(await (await fetch(page)).text())?.[1];
  for (const origin of [server.url, development]) {
    expect(await callsOf(`${origin}/voice`)).toBe('http://127.0.0.1:9/v1/realtime/calls');
    expect(await callsOf(`${origin}/`)).toBe('');
  }
});

test('Building says what was built, and where, also if there is nothing to do', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--build']);
  expect(stdout).toMatch(/The chat page and the dock are built.*: \d+ files, \d+ kB, in .*dist.web\n/);
});
