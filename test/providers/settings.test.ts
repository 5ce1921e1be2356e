import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';

/** What the provider was sent. */
const sent: { readonly [name: string]: unknown }[] = [];
const provider = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const json = JSON.parse(body);
  sent.push(json);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const event = request.url?.endsWith('/responses')
    ? { type: 'response.completed', response: { output: [{ type: 'message', content: [{ text: 'Hi.' }] }] } }
    : { choices: [{ index: 0, delta: { content: 'Hi.' }, finish_reason: 'stop' }] };
  response.end(`data: ${JSON.stringify(event)}\n\ndata: [DONE]\n\n`);
});

let app: TestApp;
let url: string;
beforeAll(async () => {
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  const address = provider.address();
  const host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  url = `http://${host}/v1`;
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: host } });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  provider.closeAllConnections();
  provider.close();
});
beforeEach(() => {
  sent.length = 0;
});

const changeSettings = 'mutation ($input: UpdateChatSettingsInput!) { updateChatSettings(input: $input) { id } }';

/** Somebody new with an agent that has these options, and a conversation with it. */
async function meet(options: object, api = 'CHAT_COMPLETIONS') {
  const socketClient = await openSocketClient(app, crypto.randomUUID());
  const llm = { provider: 'custom', model: 'm', apiUrl: url, api, options };
  const agentId = await socketClient.createAgent({ name: 'a', instructions: 'Be brief.', llm });
  const conversationId = await socketClient.createConversation({ agentId });
  return { socketClient, agentId, conversationId };
}

/** The settings in the request of a turn. */
async function runTurn(
  { socketClient, conversationId }: { socketClient: SocketClient; conversationId: string },
  input: object = {},
) {
  const events = await socketClient.chatTurn('ws', { conversationId, ...input }).rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  return settingsOf(sent.at(-1));
}

function settingsOf(body: (typeof sent)[number] | undefined) {
  const names = ['temperature', 'max_tokens', 'max_completion_tokens', 'max_output_tokens', 'top_p'];
  return Object.fromEntries(Object.entries(body ?? {}).filter(([name]) => names.includes(name)));
}

describe('the settings of a turn', () => {
  test.each([
    ['CHAT_COMPLETIONS', {}],
    ['RESPONSES', {}],
  ])('A turn has no temperature if nobody set one: models that reason refuse it (%s)', async (api, settings) => {
    const somebody = await meet({}, api);
    expect(await runTurn(somebody)).toEqual(settings);
    // The row of the settings is there now, and holds the defaults.
    await somebody.socketClient.ask(changeSettings, { input: { model: 'other' } });
    expect(await runTurn(somebody)).toEqual(settings);
    expect(await runTurn(somebody, { temperature: 0.7 })).toEqual({ ...settings, temperature: 0.7 });
    await somebody.socketClient.ask(changeSettings, { input: { temperature: 0 } });
    expect(await runTurn(somebody)).toEqual({ ...settings, temperature: 0 });
  });

  test.each(['max_tokens', 'max_completion_tokens'])(
    'A turn has one token limit, under the name of the options: %s',
    async (name) => {
      const somebody = await meet({ [name]: 500 });
      expect(await runTurn(somebody)).toEqual({ [name]: 500 });
      expect(await runTurn(somebody, { maxTokens: 50 })).toEqual({ [name]: 50 });
    },
  );

  test('A setting of the turn comes before the viewer’s, and that before the options of the agent', async () => {
    const own = { temperature: 0.1, max_tokens: 9_999, top_p: 0.5 };
    const somebody = await meet(own);
    expect(await runTurn(somebody)).toEqual(own);
    expect(await runTurn(somebody, { temperature: 1.5, maxTokens: 50 })).toEqual({
      temperature: 1.5,
      max_tokens: 50,
      top_p: 0.5,
    });
    expect(await runTurn(somebody, { temperature: 0 })).toEqual({ ...own, temperature: 0 });
    await somebody.socketClient.ask(changeSettings, { input: { temperature: 1.1, maxTokens: 70 } });
    expect(await runTurn(somebody)).toEqual({ temperature: 1.1, max_tokens: 70, top_p: 0.5 });
    expect(await runTurn(somebody, { maxTokens: 60 })).toEqual({ temperature: 1.1, max_tokens: 60, top_p: 0.5 });
    // What is the default counts as not set; for a turn it counts.
    await somebody.socketClient.ask(changeSettings, { input: { temperature: null, maxTokens: null, model: 'other' } });
    expect(await runTurn(somebody)).toEqual(own);
    expect(await runTurn(somebody, { temperature: 0.7, maxTokens: 2_000 })).toEqual({
      temperature: 0.7,
      max_tokens: 2_000,
      top_p: 0.5,
    });
  });

  test('A setting goes under the name of the options, and adds nothing that they remove', async () => {
    const somebody = await meet({ temperature: null, max_tokens: null, max_completion_tokens: 5_000 });
    expect(await runTurn(somebody)).toEqual({ max_completion_tokens: 5_000 });
    expect(await runTurn(somebody, { temperature: 1.5, maxTokens: 50 })).toEqual({ max_completion_tokens: 50 });
  });

  test('The same order of settings holds with the Responses API', async () => {
    const somebody = await meet({ temperature: 0.1, max_output_tokens: 9_999 }, 'RESPONSES');
    expect(await runTurn(somebody)).toEqual({ temperature: 0.1, max_output_tokens: 9_999 });
    expect(await runTurn(somebody, { temperature: 1, maxTokens: 50 })).toEqual({
      temperature: 1,
      max_output_tokens: 50,
    });
  });
});

test.each([
  [
    { max_tokens: 9_999, temperature: 0.1 },
    { max_tokens: 8_000, temperature: 0.1 },
  ],
  [{ max_tokens: 7 }, { max_tokens: 7 }],
  [{ max_completion_tokens: 9_999 }, { max_completion_tokens: 8_000 }],
  [{ max_tokens: null, max_completion_tokens: '9999' }, { max_completion_tokens: 8_000 }],
  [{}, { max_tokens: 8_000 }],
])('A test of an agent with %j costs no more than any other', async (options, settings) => {
  const { socketClient, agentId } = await meet(options);
  const tested = await socketClient.ask('mutation ($id: ID!) { testAgent(id: $id, prompt: "Hi") { ok } }', {
    id: agentId,
  });
  expect(tested.testAgent.ok).toBe(true);
  expect(settingsOf(sent.at(-1))).toEqual(settings);
});

test.each(['.', '..'])('No model can be named %s', async (model) => {
  const { socketClient, conversationId } = await meet({});
  const { token } = socketClient;
  const turn = { conversationId, content: 'Hi', idempotencyKey: crypto.randomUUID(), model };
  const start = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';
  const { errors } = await app.query(start, { input: turn }, { token });
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', path: ['input', 'model'] } }]);
  const settings = await app.query(changeSettings, { input: { model } }, { token });
  expect(settings.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', path: ['input', 'model'] } }]);
  const create = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
  for (const kind of ['llm', 'tts', 'stt']) {
    const input = { name: 'a', instructions: 'x', [kind]: { provider: 'openai', model } };
    const answer = await app.query(create, { input }, { token });
    expect(answer.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', path: ['input', kind, 'model'] } }]);
  }
  expect(sent).toEqual([]);
});
