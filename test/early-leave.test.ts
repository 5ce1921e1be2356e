import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from './support/app.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

const document = 'subscription ($input: ChatTurnInput!) { chatTurn(input: $input) { __typename seq } }';

/** Asks for a turn over SSE, and is gone after some milliseconds: before, while or after the answer begins. */
async function leaveAfter(ms: number, conversationId: string): Promise<void> {
  const controller = new AbortController();
  const asked = fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${await app.token()}`,
    },
    body: JSON.stringify({
      query: document,
      variables: { input: { conversationId, content: 'hi', idempotencyKey: 'k', onDisconnect: 'CANCEL' } },
    }),
    signal: controller.signal,
  }).catch(() => {});
  await sleep(ms);
  controller.abort();
  await asked;
}

test('a reader over SSE that leaves before the stream begins has left: its run is cancelled, nothing stays open', async () => {
  const { db, runs } = app.app;
  const lines = () => app.logs.filter((line) => line.msg === 'operation' && line.type === 'subscription').length;
  let steps = 0;
  const addStep = () => {
    // A turn that did not get as far as the model leaves its step to the next.
    if (app.model.requests.length < steps) return;
    app.model.add({ text: ['one', ' two'], delayMs: 10_000 });
    steps++;
  };
  for (const ms of [0, 1, 2, 4, 8, 12, 16, 24, 40, 80]) {
    const created = await app.query('mutation { createConversation { id } }');
    addStep();
    await leaveAfter(ms, created.data.createConversation.id);
    await expect.poll(() => db.run.count({ where: { status: { in: ['RUNNING', 'QUEUED'] } } })).toBe(0);
  }
  const started = await db.run.count();
  expect(started).toBeGreaterThan(0);
  expect(await db.run.count({ where: { status: 'CANCELLED' } })).toBe(started);
  await expect.poll(lines).toBeGreaterThanOrEqual(started);
  await expect.poll(() => [runs.active.size, runs.log.runIds()]).toEqual([0, []]);

  if (app.model.requests.length < steps) {
    const created = await app.query('mutation { createConversation { id } }');
    await leaveAfter(500, created.data.createConversation.id);
    await expect.poll(() => app.model.requests.length).toBe(steps);
  }
});
