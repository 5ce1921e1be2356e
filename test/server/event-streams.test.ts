import { once } from 'node:events';
import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { sendResponse } from '../../src/server/http/send-response.ts';
import { Operation } from '../../src/server/operation/operation.ts';
import { watchStream } from '../../src/server/operation/watch-stream.ts';
import { shareApp } from '../support/app.ts';
import { edgeSchema, flood } from './edge-schema.ts';

const edge = shareApp({ schema: edgeSchema });

async function subscribe(url: string, query: string, signal?: AbortSignal) {
  return fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await edge.token()}`,
      accept: 'text/event-stream',
      'content-type': 'application/json',
    },
    body: JSON.stringify({ query }),
    ...(signal ? { signal } : {}),
  });
}

test('A stream carries its headers, and no Content-Encoding', async () => {
  const response = await subscribe(edge.url, 'subscription { sometimes }');
  expect(response.headers.get('x-accel-buffering')).toBe('no');
  expect(response.headers.get('cache-control')).toBe('no-store, no-transform');
  expect(response.headers.get('content-encoding')).toBeNull();
  expect(await response.text()).toContain('event: complete');
});

test('A reader that does not read holds up its own source', async () => {
  const controller = new AbortController();
  const response = await subscribe(edge.url, 'subscription { flood }', controller.signal);
  expect(response.status).toBe(200);
  let before = -1;
  await expect
    .poll(
      () => {
        const still = flood.taken === before;
        before = flood.taken;
        return still;
      },
      { interval: 500, timeout: 20_000 },
    )
    .toBe(true);
  controller.abort();
  await response.body?.cancel().catch(() => {});
});

/** Sends one response to a client that does not read, with a short stall limit. */
async function sendToSilentReader(body: BodyInit, type: string) {
  const sent = Promise.withResolvers<string>();
  const server = createServer((_request, response) => {
    response.once('close', () => sent.resolve(response.writableFinished ? 'finished' : 'destroyed'));
    const uncounted = () => new DisposableStack();
    sendResponse(new Response(body, { headers: { 'content-type': type } }), response, uncounted, 50).catch(sent.reject);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const request = sendRequest({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  request.on('error', () => {}).on('response', (response) => response.on('error', () => {}).pause());
  onTestFinished(() => {
    request.destroy();
    server.closeAllConnections();
    server.close();
  });
  request.end();
  return sent.promise;
}

test('A stream that a reader does not read ends, and its source is left', async () => {
  let left = false;
  const endless = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
    cancel: () => {
      left = true;
    },
  });
  expect(await sendToSilentReader(endless, 'text/event-stream')).toBe('destroyed');
  await expect.poll(() => left).toBe(true);
});

test('A long response that a client does not read ends as well', async () => {
  expect(await sendToSilentReader(new Uint8Array(32 * 1024 * 1024), 'application/json')).toBe('destroyed');
});

test('A subscription whose next event fails ends with the error, and its source is left', async () => {
  let left = false;
  const source: AsyncIterableIterator<never> = {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => Promise.reject(new Error('The database is away.')),
    return: async () => {
      left = true;
      return { done: true, value: undefined };
    },
  };
  const operation = new Operation({
    requestId: 'request',
    transport: 'http',
    logger: pino({ level: 'silent' }),
    statements: { count: 0, owner: null },
    onMasked: () => {},
  });
  const stream = watchStream(source, operation, null);
  expect((await stream.next()).value?.errors?.[0]?.extensions.code).toBe('INTERNAL');
  expect((await stream.next()).done).toBe(true);
  expect(left).toBe(true);
});

test('A long response arrives whole, whatever its characters, though it is encoded in pieces', async () => {
  // Characters of one to four bytes, so that pieces would end in the middle of some.
  const text = JSON.stringify({ data: 'aé世😀'.repeat(60_000), shifted: `a${'😀'.repeat(70_000)}` });
  const server = createServer((_request, response) => {
    const uncounted = () => new DisposableStack();
    void sendResponse(new Response(text, { headers: { 'content-type': 'application/json' } }), response, uncounted);
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect((await response.text()) === text).toBe(true);
});
