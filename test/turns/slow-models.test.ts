import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { createScriptedModel, type ScriptedModel } from '../support/scripted-model/script.ts';

let model: ScriptedModel;
/** An app that waits two seconds for the first byte, and one that waits as long as usual. */
const apps: TestApp[] = [];
const clients: SocketClient[] = [];

beforeAll(async () => {
  model = await createScriptedModel();
  const allowed = { MODEL_ALLOWED_HOSTS: new URL(model.url).host };
  for (const env of [{ ...allowed, FIRST_BYTE_TIMEOUT_SECONDS: '2' }, allowed]) {
    const app = await startTestApp({ env });
    apps.push(app);
    clients.push(await openSocketClient(app, 'alice'));
  }
});
afterAll(async () => {
  for (const app of apps) await app[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

/** The end of one turn at the scripted model. */
async function takeTurn(timeout: 'short' | 'usual', api: string, options: Record<string, unknown> = {}) {
  const client = clients[timeout === 'short' ? 0 : 1];
  if (client === undefined) throw new Error('The apps have not started.');
  const llm = { provider: 'custom', model: 'local', apiUrl: model.url, api, options };
  const agentId = await client.createAgent({ name: `a${crypto.randomUUID()}`, llm });
  const conversationId = await client.createConversation({ agentId });
  const before = model.requests.length;
  const events = await client.chatTurn('sse', { conversationId }).rest();
  return { end: events.at(-1), requests: model.requests.length - before };
}

const answers: Readonly<Record<string, readonly object[]>> = {
  CHAT_COMPLETIONS: [{ choices: [{ index: 0, delta: { content: 'Loaded.' }, finish_reason: 'stop' }] }],
  RESPONSES: [
    { type: 'response.output_text.delta', output_index: 0, content_index: 0, delta: 'Loaded.' },
    { type: 'response.completed', response: { status: 'completed', output: [] } },
  ],
};

describe.each(['CHAT_COMPLETIONS', 'RESPONSES'])('P38 A model that is loaded for long (%s)', (api) => {
  const late = {
    __typename: 'RunFailed',
    error: {
      code: 'MODEL_TIMEOUT',
      retryable: true,
      message: expect.stringMatching(/did not begin to answer within [12] seconds.*FIRST_BYTE_TIMEOUT_SECONDS/),
    },
  };

  test.each([
    ['without a word', { misbehave: 'hang-before-headers' } as const],
    ['after its headers', { raw: [60_000] }],
  ])(
    'A turn fails after FIRST_BYTE_TIMEOUT_SECONDS, and is not tried again, which would cancel the load: %s',
    async (_, step) => {
      model.add(step);
      const { end, requests } = await takeTurn('short', api);
      expect(end).toMatchObject(late);
      expect(requests).toBe(1);
    },
  );

  test('The option of an agent shortens the time of the deployment', async () => {
    model.add({ misbehave: 'hang-before-headers' });
    const { end, requests } = await takeTurn('usual', api, { firstByteTimeoutSeconds: 1 });
    expect(end).toMatchObject(late);
    expect(requests).toBe(1);
  });

  test('The option of an agent extends the time of the deployment, and is not sent', async () => {
    model.add({ raw: [3_000, ...(answers[api] ?? [])] });
    const { end, requests } = await takeTurn('short', api, { firstByteTimeoutSeconds: 60 });
    expect(end).toMatchObject({ __typename: 'RunCompleted' });
    expect(requests).toBe(1);
    expect(JSON.stringify(model.requests.at(-1)?.body)).not.toContain('firstByte');
  });

  test('A provider that sends comments while it loads is waited for', async () => {
    const comments = Array.from({ length: 12 }, () => [': still loading\n\n', 300]).flat();
    model.add({ raw: [...comments, ...(answers[api] ?? [])] });
    const { end, requests } = await takeTurn('short', api);
    expect(end).toMatchObject({ __typename: 'RunCompleted' });
    expect(requests).toBe(1);
  });
});
