import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { startTestApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';
import { readEventStream, type Transport } from '../support/clients/turn-reader.ts';

const key = 'sk-agents-own-key-of-the-stream-77';
const secretWords = 'inner words of the provider';
const document = `subscription ($id: ID!, $prompt: String!) { testAgentEvents(id: $id, prompt: $prompt) {
  __typename
  ... on AgentTestTextDelta { delta timeToFirstTokenMs }
  ... on AgentTestResult {
    ok output problem latencyMs timeToFirstTokenMs error { code message retryable }
    usage { inputTokens outputTokens totalTokens modelCalls complete }
  }
} }`;
const mutation = `mutation ($id: ID!, $prompt: String!) { testAgent(id: $id, prompt: $prompt) { ok output } }`;

const textEvent = z.strictObject({
  __typename: z.literal('AgentTestTextDelta'),
  delta: z.string(),
  timeToFirstTokenMs: z.int(),
});
const resultEvent = z.strictObject({
  __typename: z.literal('AgentTestResult'),
  ok: z.boolean(),
  output: z.string().nullable(),
  problem: z.string().nullable(),
  latencyMs: z.int(),
  timeToFirstTokenMs: z.int().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  usage: z.record(z.string(), z.unknown()),
});
const answer = z.object({
  data: z.object({ testAgentEvents: z.union([textEvent, resultEvent]) }).nullish(),
  errors: z.array(z.object({ message: z.string(), extensions: z.looseObject({ code: z.string() }) })).optional(),
});
type Event = z.output<typeof textEvent> | z.output<typeof resultEvent>;

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

/** A provider that says what a test has it say, an app that may use it, and an agent of alice's that has it. */
async function begin(env: Record<string, string> = {}) {
  await using starting = new AsyncDisposableStack();
  let requests = 0;
  const provider = createServer((request, response) => {
    requests += 1;
    request.resume();
    if (request.url?.startsWith('/wrong-key')) {
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { message: `${secretWords} ${key}`, code: 'invalid_api_key' } }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    provider.emit('asked', response);
  });
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  starting.defer(() => {
    provider.closeAllConnections();
    provider.close();
  });
  const address = provider.address();
  const host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const app = starting.use(
    await startTestApp({ env: { MODEL_ALLOWED_HOSTS: `${host}/`, AGENT_TEST_TIMEOUT_SECONDS: '600', ...env } }),
  );
  const alice = await openSocketClient(app, 'alice');
  const createAgent = (path = 'v1') =>
    alice.createAgent({ llm: { provider: 'custom', model: 'm', apiUrl: `http://${host}/${path}`, apiKey: key } });
  const id = await createAgent();

  /** Subscribes; `token` is alice's by default. */
  const follow = (over: Transport, more: { id?: string; prompt?: string; token?: string } = {}) => {
    const { token = alice.token, ...given } = more;
    const payload = { query: document, variables: { id, prompt: 'Hello', ...given } };
    const gone = new AbortController();
    const results: AsyncIterator<unknown> =
      over === 'ws' ? app.ws(token).iterate(payload) : readEventStream(app.url, token, payload, gone.signal);
    const next = async () => {
      const step = await results.next();
      return step.done ? null : answer.parse(step.value);
    };
    return {
      /** The next event; null: it was the last. */
      async event(): Promise<Event | null> {
        const step = await next();
        if (step?.errors) throw new Error(JSON.stringify(step.errors));
        return step?.data?.testAgentEvents ?? null;
      },
      /** The code of the error with which it was refused. */
      code: async () => (await next())?.errors?.[0]?.extensions.code,
      leave: () => (over === 'ws' ? results.return?.() : gone.abort()),
    };
  };
  /** The answer of the provider that it begins next. */
  const asked = async (): Promise<ServerResponse> => {
    const [response] = await once(provider, 'asked');
    return response;
  };
  const opened = starting.move();
  return {
    ...{ app, alice, id, createAgent, follow, asked },
    get requests() {
      return requests;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const transports: readonly Transport[] = ['ws', 'sse'];

test.each(transports)(
  'The answer is streamed while the model writes it, over %s, and its result comes last',
  async (over) => {
    await using begun = await begin();
    const { alice, follow, asked } = begun;
    const reader = follow(over);
    const first = reader.event();
    const response = await asked();
    response.write(chunk({ content: 'One ' }));
    // The model has not gone on yet.
    expect(await first).toMatchObject({ __typename: 'AgentTestTextDelta', delta: 'One ' });
    response.write(chunk({ content: 'moment.' }));
    expect(await reader.event()).toMatchObject({ __typename: 'AgentTestTextDelta', delta: 'moment.' });
    const usage = { prompt_tokens: 7, completion_tokens: 3 };
    response.end(`${chunk({}, 'stop')}data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
    const result = await reader.event();
    expect(result).toMatchObject({ ok: true, output: 'One moment.', problem: null, error: null });
    expect(result).toMatchObject({ usage: { inputTokens: 7, outputTokens: 3, modelCalls: 1, complete: true } });
    expect(result?.timeToFirstTokenMs).toBe((await first)?.timeToFirstTokenMs);
    expect(await reader.event()).toBeNull();
    // It is in the ledger, under the viewer.
    expect((await alice.ask('{ viewer { usage { totalTokens modelCalls } } }')).viewer.usage).toEqual({
      totalTokens: 10,
      modelCalls: 1,
    });
  },
);

test.each(transports)('Who leaves in mid-answer, over %s, ends the request to the provider', async (over) => {
  await using begun = await begin();
  const { app, follow, asked } = begun;
  const reader = follow(over);
  const first = reader.event();
  const response = await asked();
  const ended = once(response, 'close');
  response.write(chunk({ content: 'One moment' }));
  expect(await first).toMatchObject({ delta: 'One moment' });
  await reader.leave();
  await ended;
  expect(response.writableFinished).toBe(false);
  // What it has cost is not known, which is written down.
  await expect.poll(() => app.app.db.modelCall.findMany()).toMatchObject([{ complete: false, userId: 'alice' }]);
});

test('When the server closes, the test ends with a result, and the request to the provider with it', async () => {
  await using begun = await begin();
  const reader = begun.follow('sse');
  const first = reader.event();
  const response = await begun.asked();
  const ended = once(response, 'close');
  response.write(chunk({ content: 'One moment' }));
  await first;
  const last = reader.event();
  await Promise.all([begun.app.app.close(), ended]);
  expect(await last).toMatchObject({ ok: false, output: 'One moment', error: { code: 'INTERRUPTED' } });
  expect(begun.app.logs.filter(({ level }) => Number(level) >= 50)).toEqual([]);
});

test('A socket that is closed because the server does ends its test as well', async () => {
  await using begun = await begin();
  const reader = begun.follow('ws');
  const first = reader.event();
  const response = await begun.asked();
  const ended = once(response, 'close');
  response.write(chunk({ content: 'One moment' }));
  await first;
  await Promise.all([begun.app.app.close(), ended]);
  expect(begun.app.logs.filter(({ level }) => Number(level) >= 50)).toEqual([]);
});

test('An answer without end is cut off, in the pieces as in the result', async () => {
  await using begun = await begin();
  const { follow, asked } = begun;
  const reader = follow('ws');
  const first = reader.event();
  const response = await asked();
  const more = () => {
    while (!response.destroyed && response.write(chunk({ content: 'x'.repeat(6_000) })));
  };
  response.on('drain', more);
  more();
  let text = '';
  let event = await first;
  for (; event?.__typename === 'AgentTestTextDelta'; event = await reader.event()) text += event.delta;
  expect(text).toBe('x'.repeat(10_000));
  expect(event).toMatchObject({ ok: false, output: text, problem: 'BAD_ANSWER' });
});

test('What the provider says of a failure, and the key, is in no event and no line of the log', async () => {
  await using begun = await begin({ LOG_LEVEL: 'trace' });
  const { app, createAgent, follow } = begun;
  const reader = follow('sse', { id: await createAgent('wrong-key') });
  const result = await reader.event();
  expect(result).toMatchObject({ ok: false, output: null, problem: 'INVALID_KEY', error: { code: 'MODEL_ERROR' } });
  expect(await reader.event()).toBeNull();
  for (const secret of [key, secretWords]) expect(JSON.stringify([result, app.logs])).not.toContain(secret);
});

test.each(transports)('What testAgent refuses is refused over %s, and no provider is asked', async (over) => {
  await using begun = await begin();
  const { app, follow } = begun;
  const codeOf = (more: Parameters<typeof follow>[1]) => follow(over, more).code();
  expect(await codeOf({ token: await app.token({ sub: 'bob' }) })).toBe('FORBIDDEN');
  expect(await codeOf({ token: await app.token({ sub: 'alice', tenant: 'other' }) })).toBe('FORBIDDEN');
  expect(await codeOf({ id: `agt_${crypto.randomUUID()}` })).toBe('NOT_FOUND');
  expect(await codeOf({ id: 'agt_nonsense' })).toBe('BAD_USER_INPUT');
  expect(await codeOf({ prompt: '' })).toBe('BAD_USER_INPUT');
  expect(await codeOf({ prompt: 'x'.repeat(10_001) })).toBe('BAD_USER_INPUT');
  expect(begun.requests).toBe(0);
});

test.each(['RATE_LIMIT_AGENT_TESTS', 'RATE_LIMIT_MUTATIONS'])('Both ways to test an agent share %s', async (name) => {
  // One point for the agent that is created, where that counts.
  const points = name === 'RATE_LIMIT_MUTATIONS' ? 3 : 2;
  await using begun = await begin({ [name]: `${points}/600` });
  const { app, alice, id, follow, asked } = begun;
  const mutate = () => app.query(mutation, { id, prompt: 'Hello' }, { token: alice.token });
  const end = async () => {
    const response = await asked();
    response.end(`${chunk({ content: 'Yes.' })}${chunk({}, 'stop')}data: [DONE]\n\n`);
  };
  const [{ data }] = await Promise.all([mutate(), end()]);
  expect(data.testAgent).toEqual({ ok: true, output: 'Yes.' });
  const [event] = await Promise.all([follow('ws').event(), end()]);
  expect(event).toMatchObject({ delta: 'Yes.' });
  for (const over of transports) expect(await follow(over).code()).toBe('RATE_LIMITED');
  expect((await mutate()).errors[0]?.extensions.code).toBe('RATE_LIMITED');
  expect(begun.requests).toBe(2);
});

test('A test that is streamed counts as an open stream until its reader leaves', async () => {
  await using begun = await begin({ EVENT_STREAMS_PER_USER: '1' });
  const { follow, asked } = begun;
  const reader = follow('sse');
  const first = reader.event();
  const response = await asked();
  response.write(chunk({ content: 'One moment' }));
  await first;
  expect(await follow('sse').code()).toBe('RATE_LIMITED');
  await reader.leave();
  await once(response, 'close');
  await expect.poll(() => Promise.race([follow('sse').code(), asked().then(() => 'begun')])).toBe('begun');
});
