import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';

/** What the provider answers, whatever it is asked. */
let answer: readonly [status: number, body: unknown] = [500, {}];
const provider = createServer((_request, response) => {
  const [status, body] = answer;
  const isText = typeof body === 'string';
  response.writeHead(status, { 'content-type': isText ? 'text/plain' : 'application/json' });
  response.end(isText ? body : JSON.stringify(body));
});

let app: TestApp;
let socketClient: SocketClient;
let agentId: string;
beforeAll(async () => {
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  const address = provider.address();
  const host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: `${host}/` } });
  socketClient = await openSocketClient(app, 'alice');
  const llm = { provider: 'custom', model: 'm', apiUrl: `http://${host}`, api: 'CHAT_COMPLETIONS' };
  agentId = await socketClient.createAgent({ name: 'a', instructions: 'Be brief.', llm });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  provider.closeAllConnections();
  provider.close();
});

async function testAgent(status: number, body: unknown) {
  answer = [status, body];
  const document =
    'mutation ($id: ID!) { testAgent(id: $id, prompt: "Hi") { ok problem error { message retryable } } }';
  return (await socketClient.ask(document, { id: agentId })).testAgent;
}

const invalidUrl = 'Invalid URL (POST /model/chat/completions)';
test.each<[string, unknown]>([
  ['OpenAI', { error: { message: invalidUrl, type: 'invalid_request_error', param: null, code: null } }],
  ['Groq', { error: { message: 'Unknown request URL: POST /openai/v2/models.', code: 'unknown_url' } }],
  ['Azure', { error: { code: '404', message: 'Resource not found' } }],
  ['FastAPI', { detail: 'Not Found' }],
  ['Anthropic', { type: 'error', error: { type: 'not_found_error', message: 'Not Found' } }],
  ['Go', '404 page not found'],
  ['a page', '<p>There is no such page. See our models.</p>'],
  ['a proxy', { message: 'no Route matched with those values' }],
  ['a bare error', { error: 'Not Found' }],
  ['nothing', ''],
])('A wrong address is not reported as an unknown model: 404 of %s', async (_, body) => {
  expect(await testAgent(404, body)).toMatchObject({
    ok: false,
    problem: 'BAD_ANSWER',
    error: { message: expect.stringMatching(/endpoint.*API URL/), retryable: false },
  });
});

test('A path that does not accept POST is reported as a wrong address', async () => {
  expect(await testAgent(405, { detail: 'Method Not Allowed' })).toMatchObject({ problem: 'BAD_ANSWER' });
});

test.each<[string, number, unknown]>([
  ['OpenAI', 404, { error: { message: 'The model `m` does not exist.', param: null, code: 'model_not_found' } }],
  ['OpenAI, of another kind of model', 404, { error: { message: 'No chat.', param: 'model', code: null } }],
  ['Azure', 404, { error: { code: 'DeploymentNotFound', message: 'It does not exist.' } }],
  ['Azure, in words', 404, { error: { code: '404', message: 'The API deployment for this resource is missing.' } }],
  ['Ollama', 404, { error: "model 'm' not found" }],
  ['Ollama, later', 404, { error: { message: 'model "m" not found, try pulling it first', type: 'api_error' } }],
  ['vLLM', 404, { object: 'error', message: 'The model `/models/m` does not exist.', code: 404 }],
  ['vLLM, later', 404, { error: { message: 'The model `m` does not exist.', type: 'NotFoundError', code: 404 } }],
  ['Google', 404, [{ error: { code: 404, message: 'models/m is not found for API version v1main' } }]],
  ['OpenRouter', 404, { error: { message: 'No endpoints found for a/m.', code: 404 } }],
  ['Anthropic', 404, { type: 'error', error: { type: 'not_found_error', message: 'model: m' } }],
  ['Mistral', 400, { object: 'error', message: 'Invalid model: m', type: 'invalid_model', code: '1500' }],
  ['GitHub', 400, { error: { code: 'unknown_model', message: 'm' } }],
])('A model that the provider does not know is reported as unknown: %s', async (_, status, body) => {
  expect(await testAgent(status, body)).toMatchObject({
    ok: false,
    problem: 'UNKNOWN_MODEL',
    error: { message: expect.stringMatching(/does not know this model/) },
  });
});

test('A wrong key is reported as such, however the provider wraps the error', async () => {
  const error = { code: 400, message: 'API key not valid. Please pass a valid API key.', status: 'INVALID_ARGUMENT' };
  expect(await testAgent(400, [{ error }])).toMatchObject({ problem: 'INVALID_KEY' });
  expect(await testAgent(400, { code: 'x', error: 'Incorrect API key provided.' })).toMatchObject({
    problem: 'INVALID_KEY',
  });
});
