import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';

/** How the operations of each API end. */
const paths = { CHAT_COMPLETIONS: '/chat/completions', RESPONSES: '/responses' } as const;
type Api = keyof typeof paths;
const apis: readonly Api[] = ['CHAT_COMPLETIONS', 'RESPONSES'];

let app: TestApp;
let alice: SocketClient;
let server: Server;
let origin: string;
/** Where the operations are: the base URL without the origin. */
let base = '/v1';
let seen: string[] = [];
/** What is wrong with a request, as a status and a body. */
let refuse: (body: { readonly tools?: unknown }) => readonly [status: number, body: object | string] | null = () =>
  null;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    seen.push(request.url ?? '');
    const api = apis.find((name) => request.url === `${base}${paths[name]}`);
    const refusal = api === undefined ? ([404, '404 page not found'] as const) : refuse(JSON.parse(text));
    if (refusal !== null) {
      const [status, body] = refusal;
      response.writeHead(status, { 'content-type': typeof body === 'string' ? 'text/plain' : 'application/json' });
      return void response.end(typeof body === 'string' ? body : JSON.stringify(body));
    }
    const output = [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hi.' }] }];
    const completed = { type: 'response.completed', response: { status: 'completed', output } };
    const chunk = { choices: [{ index: 0, delta: { content: 'Hi.' }, finish_reason: 'stop' }] };
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(`data: ${JSON.stringify(api === 'RESPONSES' ? completed : chunk)}\n\ndata: [DONE]\n\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: `${new URL(origin).host}/` } });
  alice = await openSocketClient(app, 'alice');
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  server.close();
  server.closeAllConnections();
});

/** Tests an agent at this address, and has it take a turn. */
async function tryAgent(api: Api, apiUrl: string, tools: readonly string[] = []) {
  seen = [];
  const llm = { provider: 'custom', model: 'm', apiUrl, api };
  const id = await alice.createAgent({ name: `a${crypto.randomUUID()}`, llm, tools });
  const document = `mutation ($id: ID!) { testAgent(id: $id, prompt: "Hi") { ok output problem error { message } } }`;
  const { testAgent } = await alice.ask(document, { id });
  const conversationId = await alice.createConversation({ agentId: id });
  const end = (await alice.chatTurn('ws', { conversationId }).rest()).at(-1);
  return { testAgent, end };
}

describe.each(apis)('The base URL of a provider (%s)', (api) => {
  const path = paths[api];
  test.each([
    ['/v1', '/v1', 'as it is'],
    ['/v1', '/v1/', 'with a slash'],
    ['/v1', '/v1//', 'with two slashes'],
    ['/v1', '', 'without its version'],
    ['/v1', '/', 'without its version, with a slash'],
    ['/v1', `/v1${path}`, 'with the path of the operation'],
    ['/v1', `/v1${path}/`, 'with the path of the operation and a slash'],
    ['/v1', path, 'with the path of the operation and without its version'],
    ['', '', 'of a server without a version'],
    ['', '/v1', 'of a server without a version, with /v1'],
    ['', `/v1${path}`, 'of a server without a version, with the whole path and /v1'],
    ['/proxy/openai/v1', '/proxy/openai', 'behind a proxy, without its version'],
    ['/api/paas/v4', '/api/paas/v4/', 'with another version'],
  ])('A server at %j is found under the base URL %j: %s', async (at, written) => {
    [base, refuse] = [at, () => null];
    const { testAgent, end } = await tryAgent(api, `${origin}${written}`);
    expect(testAgent).toEqual({ ok: true, output: 'Hi.', problem: null, error: null });
    expect(end).toMatchObject({ __typename: 'RunCompleted' });
    // What was found is known from then on.
    expect(seen.at(-1)).toBe(`${at}${path}`);
    expect(seen.length).toBeLessThanOrEqual(3);
  });

  test('If nothing is at either address, the message says what base URLs look like', async () => {
    base = '/elsewhere/v1';
    const { testAgent, end } = await tryAgent(api, `${origin}/v1`);
    expect(testAgent).toMatchObject({
      ok: false,
      problem: 'BAD_ANSWER',
      error: { message: expect.stringMatching(/no such endpoint: check its API URL, which usually ends in \/v1/) },
    });
    expect(end).toMatchObject({ __typename: 'RunFailed', error: { code: 'MODEL_ERROR', retryable: false } });
  });
});

describe.each(apis)('P43 A model that cannot use tools (%s)', (api) => {
  const refusals: readonly [string, number, object][] = [
    [
      'OpenRouter',
      404,
      { error: { message: 'No endpoints found that support tool use. Try disabling "current_time".', code: 404 } },
    ],
    [
      'Ollama',
      400,
      { error: { message: 'registry.ollama.ai/library/gemma3:4b does not support tools', type: 'api_error' } },
    ],
    [
      'vLLM',
      400,
      {
        object: 'error',
        message: '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        code: 400,
      },
    ],
  ];
  test.each(refusals)(
    'testAgent tries with a tool if the agent has some, and says that the model cannot use any: %s',
    async (_, status, body) => {
      base = '/v1';
      refuse = ({ tools }) => (tools === undefined ? null : [status, body]);
      const message = 'The model cannot use tools: give the agent a model that can, or remove its tools.';
      const withTools = await tryAgent(api, `${origin}/v1`, ['current_time']);
      expect(withTools.testAgent).toMatchObject({ ok: false, error: { message } });
      expect(withTools.end).toMatchObject({ __typename: 'RunFailed', error: { code: 'MODEL_ERROR', message } });
      // It is one request each: another address or another attempt would be of no use.
      expect(seen).toHaveLength(2);
      const without = await tryAgent(api, `${origin}/v1`);
      expect(without.testAgent).toMatchObject({ ok: true });
      expect(without.end).toMatchObject({ __typename: 'RunCompleted' });
    },
  );
});
