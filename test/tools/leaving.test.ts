import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { readAnswer, startTestApp } from '../support/app.ts';

const document = `mutation {
  executeTool(input: { name: "slow", arguments: {} }) { ok error } }`;

/** A system that takes requests and never answers, and a tool of the tenant's that asks it. */
async function begin() {
  await using starting = new AsyncDisposableStack();
  const system = createServer((request, response) => {
    request.resume();
    system.emit('begun', response);
  });
  system.listen(0, '127.0.0.1');
  await once(system, 'listening');
  starting.defer(() => {
    system.closeAllConnections();
    system.close();
  });
  const address = system.address();
  const host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const app = starting.use(await startTestApp({ env: { MODEL_ALLOWED_HOSTS: `${host}/` } }));
  const input = {
    name: 'slow',
    description: 'Takes long.',
    parameters: { type: 'object' },
    method: 'POST',
    url: `http://${host}/`,
    timeoutMs: 600_000,
  };
  const create = 'mutation ($input: CreateHttpToolInput!) { createHttpTool(input: $input) { id } }';
  const made = await app.query(create, { input }, { token: await app.token({ sub: 'root', roles: ['admin'] }) });
  expect(made.errors).toEqual([]);
  const headers = { authorization: `Bearer ${await app.token()}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ query: document });
  const call = async (signal: AbortSignal | null = null) =>
    readAnswer(await fetch(`${app.url}/graphql`, { method: 'POST', headers, body, signal }));
  /** Resolves when the system has been asked, with the end of its connection. */
  const begun = once(system, 'begun').then(([response]) => ({ ended: once(response, 'close') }));
  const opened = starting.move();
  return { app, call, begun, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

test('A tool that is called directly is aborted when its client leaves', { timeout: 240_000 }, async () => {
  await using begun = await begin();
  const leaving = new AbortController();
  const answer = begun.call(leaving.signal);
  const { ended } = await begun.begun;
  leaving.abort();
  await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
  await ended;
});

test('A tool that is called directly is aborted when the server closes, before the database is', {
  timeout: 240_000,
}, async () => {
  await using begun = await begin();
  // The connection may be gone before the answer is.
  const answer = begun.call().catch(() => null);
  const { ended } = await begun.begun;
  const calls = begun.app.app.runs.tools.deps.calls;
  expect(calls.size).toBe(1);
  await Promise.all([begun.app.app.close(), ended, answer]);
  expect(calls.size).toBe(0);
  expect(begun.app.logs.filter(({ level }) => Number(level) >= 50)).toEqual([]);
});
