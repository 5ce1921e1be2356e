import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { holdFrom, readMessages, type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

const choose = (page: Page, value: string) => page.locator('.picker select').selectOption(value);

test('What a guardrail replaces in a message is said while the turn runs, and in the message when it is stored', async () => {
  const page = await stage.open();
  const release = await holdFrom(page, '"RunCompleted"');
  await page.reload();
  await choose(page, 'scenario guarded');
  await say(page, 'I am bob@example.com');
  const notice = page.locator('.notice').filter({ hasText: 'has replaced a part of the message' });
  await notice.waitFor({ timeout: 60_000 });
  // The turn runs.
  expect(await page.getByRole('button', { name: 'Stop' }).count()).toBe(1);
  release();
  await waitForEnd(page);
  expect(await notice.count()).toBe(1);
  await page.reload();
  await waitForEnd(page);
  expect(await notice.count()).toBe(1);
  expect(await readMessages(page)).toContain('[EMAIL]');
  expect(await readMessages(page)).not.toContain('bob@example.com');
  expect(stage.troubles).toEqual([]);
});

test('A message that a guardrail blocks says by which one, and that the turn has ended', async () => {
  const page = await stage.open();
  await choose(page, 'scenario guarded');
  await say(page, 'My password is hunter2');
  await page.locator('.notice').filter({ hasText: 'has blocked the message' }).waitFor({ timeout: 60_000 });
  await waitForEnd(page);
  await page.locator('.run-end .problem').waitFor();
  expect(await page.locator('.notice').count()).toBe(1);
  expect(stage.troubles).toEqual([]);
});

test('What is replaced in an answer is said below it', async () => {
  const page = await stage.open();
  const created = await stage.ask(page, 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }', {
    input: {
      name: 'Careful',
      instructions: 'You greet people.',
      guardrails: [
        { name: 'long words', stages: ['OUTPUT'], check: { patterns: ['\\b[a-z]{5,}\\b'] }, action: 'REDACT' },
      ],
    },
  });
  const { id } = z.object({ createAgent: z.object({ id: z.string() }) }).parse(created).createAgent;
  await page.reload();
  await choose(page, `agent ${id}`);
  await say(page, 'Hello there');
  await waitForEnd(page);
  const notice = page.locator('.run-end .notice');
  expect(await notice.innerText()).toContain('The guardrail long words has replaced a part of the answer.');
  expect(await readMessages(page)).toContain('[REDACTED]');
  expect(stage.troubles).toEqual([]);
});
