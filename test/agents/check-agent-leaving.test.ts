import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { readAnswer, startTestApp } from '../support/app.ts';

const document = 'mutation ($id: ID!) { testAgent(id: $id, prompt: "Hello") { ok output error { code } } }';

/** A provider that begins, and never gets to the end; and an agent of alice's that has it. */
async function begin() {
  await using starting = new AsyncDisposableStack();
  const provider = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'One moment' } }] })}\n\n`);
    provider.emit('begun', response);
  });
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  starting.defer(() => {
    provider.closeAllConnections();
    provider.close();
  });
  const address = provider.address();
  const host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const env = { MODEL_ALLOWED_HOSTS: host, AGENT_TEST_TIMEOUT_SECONDS: '600' };
  const app = starting.use(await startTestApp({ env }));
  const llm = { provider: 'custom', model: 'm', apiUrl: `http://${host}/v1` };
  const create = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
  const made = await app.query(create, { input: { name: 'a', instructions: 'Be brief.', llm } });
  const headers = { authorization: `Bearer ${await app.token()}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ query: document, variables: { id: made.data.createAgent.id } });
  const ask = async (signal: AbortSignal | null = null) =>
    readAnswer(await fetch(`${app.url}/graphql`, { method: 'POST', headers, body, signal }));
  /** Resolves when the provider has begun, with the end of its connection. */
  const begun = once(provider, 'begun').then(([response]) => ({ ended: once(response, 'close') }));
  const opened = starting.move();
  return { app, ask, begun, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

test('A test of an agent ends when its client leaves', { timeout: 240_000 }, async () => {
  await using begun = await begin();
  const leaving = new AbortController();
  const answer = begun.ask(leaving.signal);
  const { ended } = await begun.begun;
  leaving.abort();
  await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
  await ended;
});

test('A test of an agent ends when the server closes, before the database does', { timeout: 240_000 }, async () => {
  await using begun = await begin();
  // The connection may be gone before the answer is.
  const answer = begun.ask().catch(() => null);
  const { ended } = await begun.begun;
  await Promise.all([begun.app.app.close(), ended, answer]);
  expect(begun.app.logs.filter(({ level }) => Number(level) >= 50)).toEqual([]);
});
