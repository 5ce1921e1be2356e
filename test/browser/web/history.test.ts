import { afterAll, beforeAll, expect, test } from 'vitest';
import { createConversations } from '../../../bench/web/conversations.ts';
import { type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('Earlier messages come as one scrolls up: each once and in order, and they stay when a turn has ended', async () => {
  const page = await stage.open();
  const token = await page.locator('meta[name="switchboard-token"]').getAttribute('content');
  const [id] = await createConversations(stage.url, token ?? '', [130]);
  await page.goto(`${stage.url}/#${id}`);
  await page.getByText('Answer 129:').waitFor();
  await page.mouse.move(700, 300);
  const isDone = async () => {
    await page.mouse.wheel(0, -3_000);
    return page.getByText('Question 0 of 130').count();
  };
  await expect.poll(isDone, { timeout: 90_000, interval: 50 }).toBe(1);
  const questions = Array.from({ length: 65 }, (_, at) => `Question ${at * 2} of 130`);
  const readQuestions = () => page.locator('.bubble').allTextContents();
  expect(await readQuestions()).toEqual(questions);

  await page.getByRole('button', { name: 'To the newest message' }).click();
  await say(page, 'What time is it?');
  await waitForEnd(page);
  expect(await readQuestions()).toEqual([...questions, 'What time is it?']);
  expect(stage.troubles).toEqual([]);
});
