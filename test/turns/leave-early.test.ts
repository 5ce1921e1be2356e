import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ModelServer, startModelServer } from '../../src/demo/server.ts';
import { startTestApp, type TestApp } from '../support/app.ts';

// A model that would take its time, whoever asks and however often.
let model: ModelServer;
let app: TestApp;
beforeAll(async () => {
  model = await startModelServer({ respond: () => ({ text: ['one', ' two'], delayMs: 10_000 }) });
  app = await startTestApp({ env: { OPENAI_BASE_URL: model.url } });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await model.close();
});

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

test('A reader over SSE that leaves before the stream begins has left: its run is cancelled, nothing stays open', async () => {
  const { db, runs } = app.app;
  const lines = () => app.logs.filter((line) => line.msg === 'operation' && line.type === 'subscription').length;
  for (const ms of [0, 1, 2, 4, 8, 12, 16, 24, 40, 80]) {
    const created = await app.query('mutation { createConversation { id } }');
    await leaveAfter(ms, created.data.createConversation.id);
  }
  // What was on its way in may begin only now.
  await sleep(1_000);
  const statuses = async () => (await db.run.findMany({ select: { status: true } })).map(({ status }) => status);
  await expect.poll(async () => new Set(await statuses())).toEqual(new Set(['CANCELLED']));
  const started = (await statuses()).length;
  expect(started).toBeGreaterThan(0);
  await expect.poll(lines).toBeGreaterThanOrEqual(started);
  await expect.poll(() => [runs.running.size, runs.log.runIds()]).toEqual([0, []]);
});
