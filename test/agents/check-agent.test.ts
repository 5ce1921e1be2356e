import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { formatId } from '../../src/api/ids.ts';
import { putSecret } from '../../src/secrets/stored-secrets.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';

const key = 'sk-agents-own-key-0123456789';
const secretWords = 'inner words of the provider';

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

/** Providers by the first part of their path. Whatever they say of an error holds the key and words of their own. */
const providers: Record<string, (response: ServerResponse, request: IncomingMessage) => void> = {
  works: (response, request) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk({ content: `You said it to ${request.headers.authorization === `Bearer ${key}`}.` }));
    const usage = { prompt_tokens: 7, completion_tokens: 3 };
    response.end(`${chunk({}, 'stop')}data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
  },
  'wrong-key': (response) =>
    fail(response, 401, { error: { message: `${secretWords} ${key}`, code: 'invalid_api_key' } }),
  'wrong-key-400': (response) =>
    fail(response, 400, { error: { message: `API key not valid. ${secretWords} ${key}` } }),
  forbidden: (response) => fail(response, 403, { error: { message: `${secretWords} ${key}` } }),
  'unknown-model': (response) =>
    fail(response, 404, { error: { message: `${secretWords} ${key}`, code: 'model_not_found' } }),
  'unknown-model-400': (response) =>
    fail(response, 400, { error: { message: `m is not a valid model ID ${secretWords}` } }),
  'no-such-path': (response) => fail(response, 404, `<p>${secretWords} ${key}</p>`),
  busy: (response) => fail(response, 429, { error: { message: `${secretWords} ${key}` } }),
  'no-quota': (response) => fail(response, 429, { error: { message: secretWords, code: 'insufficient_quota' } }),
  refuses: (response) => fail(response, 400, { error: { message: secretWords, code: 'content_filter' } }),
  broken: (response) => fail(response, 500, { error: { message: `${secretWords} ${key}` } }),
  hangs: () => {},
  'hangs-later': (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk({ content: 'One moment' }));
  },
  drips: (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const text = chunk({ content: 'never' });
    let at = 0;
    const timer = setInterval(() => response.write(text[at++ % text.length]), 20);
    response.once('close', () => clearInterval(timer));
  },
  'drips-an-error': (response) => {
    response.writeHead(500, { 'content-type': 'application/json' });
    const timer = setInterval(() => response.write(' '), 20);
    response.once('close', () => clearInterval(timer));
  },
  'web-page': (response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(`<html>${secretWords}</html>`);
  },
  'other-json': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(`{"hello":"${secretWords}"}`);
  },
  endless: (response) => pour(response, 200, chunk({ content: 'x'.repeat(16_000) })),
  'endless-line': (response) => pour(response, 200, 'x'.repeat(64_000)),
  'endless-error': (response) => pour(response, 500, 'x'.repeat(64_000)),
  'breaks-off': (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(chunk({ content: 'Once upon' }));
  },
};

function fail(response: ServerResponse, status: number, body: object | string): void {
  const isPage = typeof body === 'string';
  response.writeHead(status, { 'content-type': isPage ? 'text/html' : 'application/json' });
  response.end(isPage ? body : JSON.stringify(body));
}

/** Writes for ever, as fast as it is read. */
function pour(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/event-stream' });
  const more = () => {
    while (!response.destroyed && response.write(text));
  };
  response.on('drain', more);
  more();
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

let app: TestApp;
/** One that waits for no more than a second. */
let hasty: TestApp;
let provider: Server;
let providerUrl: string;
let trapUrl: string;
let closedUrl: string;
let visits = 0;
let aborted = 0;
const trap = createServer((_request, response) => void response.end());
beforeAll(async () => {
  trap.on('connection', () => visits++);
  trapUrl = `http://127.0.0.1:${await listen(trap)}`;
  provider = createServer((request, response) => {
    const name = request.url?.split('/')[1] ?? '';
    if (name === 'redirects') response.writeHead(307, { location: trapUrl }).end();
    else providers[name]?.(response, request);
    response.once('close', () => {
      if (!response.writableFinished) aborted++;
    });
  });
  const port = await listen(provider);
  providerUrl = `http://127.0.0.1:${port}`;
  const closed = createServer();
  const closedPort = await listen(closed);
  closed.close();
  closedUrl = `http://127.0.0.1:${closedPort}`;
  const allowed = { MODEL_ALLOWED_HOSTS: `127.0.0.1:${port}/, 127.0.0.1:${closedPort}/` };
  app = await startTestApp({ env: allowed });
  hasty = await startTestApp({ env: { ...allowed, AGENT_TEST_TIMEOUT_SECONDS: '1' } });
  // Alice is met: she may have agents.
  for (const { query } of [app, hasty]) await query('{ viewer { userId } }');
});
afterEach(() => app.model.assertDone());
afterAll(async () => {
  for (const server of [provider, trap]) {
    server.closeAllConnections();
    server.close();
  }
  await Promise.all([app[Symbol.asyncDispose](), hasty[Symbol.asyncDispose]()]);
});

interface AgentOptions {
  readonly at?: TestApp;
  readonly ownerId?: string | null;
  readonly isActive?: boolean;
}

/** An agent with a provider of its own: alice's, unless it is said to be another's or, with null, the tenant's. */
async function createAgent(apiUrl: string, options: AgentOptions = {}): Promise<string> {
  const { at = app, ownerId = 'alice', isActive = true } = options;
  const { db, runs } = at.app;
  const config = { provider: 'custom', model: 'm', api: 'CHAT_COMPLETIONS', apiUrl };
  const row = {
    tenantId: 'acme',
    ownerId,
    isActive,
    name: crypto.randomUUID(),
    instructions: 'Be brief.',
    llm: config,
  };
  const { id, tenantId } = await db.agent.create({ data: row });
  const secret = { name: 'llm', origin: new URL(apiUrl).origin, value: key };
  await putSecret(db, runs.agents.keys, { agentId: id, tenantId }, secret);
  return formatId('Agent', id);
}

const usageFields =
  'usage { inputTokens outputTokens totalTokens cachedInputTokens cacheWriteInputTokens reasoningTokens modelCalls complete }';
const document = `mutation ($id: ID!, $prompt: String!) { testAgent(id: $id, prompt: $prompt) {
  ok output error { code message retryable } problem latencyMs timeToFirstTokenMs ${usageFields}
} }`;
const runTest = (id: string, prompt = 'Hello', token?: string) =>
  app.query(document, { id, prompt }, token === undefined ? {} : { token });

test('testAgent reports that an agent works', async () => {
  const id = await createAgent(`${providerUrl}/works/v1`);
  const { data, errors } = await runTest(id);
  expect(errors).toEqual([]);
  const { latencyMs, timeToFirstTokenMs, usage, ...rest } = data.testAgent;
  expect(rest).toEqual({ ok: true, output: 'You said it to true.', error: null, problem: null });
  expect(usage).toMatchObject({ inputTokens: 7, outputTokens: 3, totalTokens: 10, modelCalls: 1, complete: true });
  expect(timeToFirstTokenMs).toBeGreaterThanOrEqual(0);
  expect(latencyMs).toBeGreaterThanOrEqual(timeToFirstTokenMs);
});

test('testAgent sends the instructions and the prompt to the provider, and one tool of its own', async () => {
  const { data } = await app.query('{ currentAgent { id instructions tools { name } } }');
  const { id, instructions } = data.currentAgent;
  app.model.add({
    text: 'All is well.',
    reasoning: ['Hm.'],
    usage: { inputTokens: 11, outputTokens: 4, reasoningTokens: 1 },
    expect: (request) => {
      expect(request).toMatchObject({
        instructions,
        // The agent has tools: a model that cannot use any would refuse each of its turns.
        tools: ['switchboard_probe'],
        messages: [{ role: 'user', content: 'Are you there?' }],
      });
    },
  });
  const before = await app.query(`{ viewer { ${usageFields} } }`);
  const tested = (await runTest(id, 'Are you there?')).data.testAgent;
  expect(tested).toMatchObject({ ok: true, output: 'All is well.', usage: { inputTokens: 11, reasoningTokens: 1 } });
  // It is in the ledger, under the viewer.
  const after = await app.query(`{ viewer { ${usageFields} } }`);
  expect(after.data.viewer.usage.inputTokens - before.data.viewer.usage.inputTokens).toBe(11);
  expect(after.data.viewer.usage.modelCalls - before.data.viewer.usage.modelCalls).toBe(1);
});

test.each([
  ['wrong-key', 'INVALID_KEY', 'MODEL_ERROR'],
  ['wrong-key-400', 'INVALID_KEY', 'MODEL_ERROR'],
  ['forbidden', 'INVALID_KEY', 'MODEL_ERROR'],
  ['unknown-model', 'UNKNOWN_MODEL', 'MODEL_ERROR'],
  ['unknown-model-400', 'UNKNOWN_MODEL', 'MODEL_ERROR'],
  ['no-such-path', 'BAD_ANSWER', 'MODEL_ERROR'],
  ['busy', 'RATE_LIMITED', 'RATE_LIMITED'],
  ['no-quota', 'RATE_LIMITED', 'RATE_LIMITED'],
  ['refuses', 'REFUSED', 'MODEL_REFUSED'],
  ['broken', 'OTHER', 'MODEL_ERROR'],
  ['redirects', 'OTHER', 'MODEL_ERROR'],
  ['web-page', 'BAD_ANSWER', 'MODEL_ERROR'],
  ['other-json', 'BAD_ANSWER', 'MODEL_ERROR'],
  ['endless-line', 'BAD_ANSWER', 'MODEL_ERROR'],
  ['endless-error', 'OTHER', 'MODEL_ERROR'],
])('A provider that %s is told apart: %s', async (name, problem, code) => {
  const { data, errors } = await runTest(await createAgent(`${providerUrl}/${name}/v1`));
  expect(errors).toEqual([]);
  expect(data.testAgent).toMatchObject({ ok: false, output: null, problem, error: { code }, timeToFirstTokenMs: null });
  expect(data.testAgent.usage).toMatchObject({ totalTokens: 0, modelCalls: 0, complete: true });
  // Neither the answer nor the log repeats what it said, or the key.
  expect(JSON.stringify([data, app.logs])).not.toContain(secretWords);
  expect(JSON.stringify([data, app.logs])).not.toContain(key);
  expect(visits).toBe(0);
});

test.each([
  ['hangs', null],
  ['drips', null],
  ['drips-an-error', null],
  ['hangs-later', 'One moment'],
])('testAgent waits no longer than its limit for a provider that %s', async (name, output) => {
  const id = await createAgent(`${providerUrl}/${name}/v1`, { at: hasty });
  const { data } = await hasty.query(document, { id, prompt: 'Hello' });
  expect(data.testAgent).toMatchObject({ ok: false, output, problem: 'TIMEOUT', error: { code: 'MODEL_TIMEOUT' } });
  // What was begun cost something, and nobody knows how much.
  const began = output !== null;
  expect(data.testAgent.usage).toMatchObject({ totalTokens: 0, modelCalls: began ? 1 : 0, complete: !began });
});

test('A provider that breaks off leaves the beginning of its answer', async () => {
  const { data } = await runTest(await createAgent(`${providerUrl}/breaks-off/v1`));
  expect(data.testAgent).toMatchObject({ ok: false, output: 'Once upon', problem: 'BAD_ANSWER' });
  expect(data.testAgent.usage).toMatchObject({ totalTokens: 0, modelCalls: 1, complete: false });
});

test('An answer without end is cut off, and its connection with it', async () => {
  const before = aborted;
  const { data } = await runTest(await createAgent(`${providerUrl}/endless/v1`));
  expect(data.testAgent).toMatchObject({ ok: false, problem: 'BAD_ANSWER' });
  expect(data.testAgent.output).toBe('x'.repeat(10_000));
  await expect.poll(() => aborted).toBeGreaterThan(before);
});

test('testAgent reports a host that nothing listens on', async () => {
  const { data } = await runTest(await createAgent(`${closedUrl}/v1`));
  expect(data.testAgent).toMatchObject({ ok: false, problem: 'UNREACHABLE', error: { code: 'MODEL_ERROR' } });
});

test('Each failure of testAgent has a message of its own', async () => {
  const names = ['wrong-key', 'unknown-model', 'no-such-path', 'busy', 'refuses', 'web-page', 'redirects', 'broken'];
  const urls = [...names.map((name) => `${providerUrl}/${name}/v1`), `${closedUrl}/v1`, `${trapUrl}/v1`];
  const results = await Promise.all(urls.map(async (url) => (await runTest(await createAgent(url))).data.testAgent));
  const messages = results.map((result) => result.error.message);
  expect(new Set(messages).size).toBe(urls.length);
  for (const message of messages) expect(message).toMatch(/^[A-Z].*\.$/);
});

describe('addresses that are not allowed', () => {
  const spell = (host: string) => `http://${host}:${new URL(trapUrl).port}/v1`;

  test.each(['127.0.0.1', 'localhost', '2130706433', '[::ffff:127.0.0.1]', '0x7f.1', '169.254.169.254'])(
    'The address %s is not dialled, neither by testAgent nor by a turn',
    async (host) => {
      const id = await createAgent(spell(host));
      const { data } = await runTest(id);
      expect(data.testAgent).toMatchObject({
        ok: false,
        problem: 'ADDRESS_NOT_ALLOWED',
        error: { code: 'MODEL_ERROR', message: expect.stringMatching(/not allowed/), retryable: false },
      });
      const alice = await openSocketClient(app, 'alice');
      const conversationId = await alice.createConversation({ agentId: id });
      const events = await alice.chatTurn('ws', { conversationId }).rest();
      expect(events.at(-1)).toMatchObject({
        __typename: 'RunFailed',
        error: { code: 'MODEL_ERROR', message: expect.stringMatching(/not allowed/), retryable: false },
      });
      expect(visits).toBe(0);
    },
  );

  test('An address that the operator allows is used by a turn', async () => {
    const alice = await openSocketClient(app, 'alice');
    const agentId = await createAgent(`${providerUrl}/works/v1`);
    const conversationId = await alice.createConversation({ agentId });
    const events = await alice.chatTurn('ws', { conversationId }).rest();
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
    expect(events.find((event) => event.message)?.message?.content).toBe('You said it to true.');
  });
});

describe('the rights to test an agent', () => {
  test('A viewer cannot test the agent of somebody else, of another tenant, or one that does not exist', async () => {
    const id = await createAgent(`${providerUrl}/works/v1`);
    const bob = await app.token({ sub: 'bob' });
    expect((await runTest(id, 'Hello', bob)).errors[0]?.extensions.code).toBe('FORBIDDEN');
    const stranger = await app.token({ sub: 'alice', tenant: 'other' });
    expect((await runTest(id, 'Hello', stranger)).errors[0]?.extensions.code).toBe('FORBIDDEN');
    expect((await runTest(formatId('Agent', crypto.randomUUID()))).errors[0]?.extensions.code).toBe('NOT_FOUND');
    expect((await runTest('agt_nonsense')).errors[0]?.extensions).toMatchObject({
      code: 'BAD_USER_INPUT',
      path: ['id'],
    });
    const { errors } = await app.query(document, { id, prompt: 'Hello' }, { token: null });
    expect(errors[0]?.extensions.code).toBe('UNAUTHENTICATED');
  });

  test('A viewer can test a shared agent, and one that is switched off', async () => {
    const shared = await createAgent(`${providerUrl}/works/v1`, { ownerId: null });
    const bob = await app.token({ sub: 'bob' });
    expect((await runTest(shared, 'Hello', bob)).data.testAgent.ok).toBe(true);
    const off = await createAgent(`${providerUrl}/works/v1`, { isActive: false });
    expect((await runTest(off)).data.testAgent.ok).toBe(true);
  });

  test.each([
    ['', /1 to 10,000/],
    ['x'.repeat(10_001), /1 to 10,000/],
    ['a\u0000b', /U\+0000/],
  ])('testAgent refuses a prompt that is %s', async (prompt, message) => {
    const { errors } = await runTest(await createAgent(`${trapUrl}/v1`), prompt);
    expect(errors[0]).toMatchObject({ message, extensions: { code: 'BAD_USER_INPUT', path: ['prompt'] } });
  });

  test('testAgent is refused beyond RATE_LIMIT_AGENT_TESTS', async () => {
    await using limited = await startTestApp({
      env: { RATE_LIMIT_AGENT_TESTS: '2/60' },
      steps: [{ text: 'One.' }, { text: 'Two.' }],
    });
    const { data } = await limited.query('{ currentAgent { id } }');
    const ask = () => limited.query(document, { id: data.currentAgent.id, prompt: 'Hello' });
    expect([(await ask()).data.testAgent.output, (await ask()).data.testAgent.output]).toEqual(['One.', 'Two.']);
    expect((await ask()).errors[0]?.extensions).toMatchObject({
      code: 'RATE_LIMITED',
      retryAfterMs: expect.any(Number),
    });
  });
});
