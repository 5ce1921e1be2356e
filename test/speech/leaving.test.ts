import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { readAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { speakInTones } from '../support/scripted-model/speech.ts';

const listenQuery = 'mutation ($audio: File!) { transcribeAudio(audio: $audio) { text } }';
const speakQuery = 'mutation ($text: String!) { synthesizeSpeech(text: $text) { url } }';
const wav = new Uint8Array(speakInTones('Is anybody there?', 8_000));

/** Providers that never answer, or never get to the end; what was asked of them, and is not over. */
const began: (() => void)[] = [];
const open = new Set<object>();
const hold = (request: object, answer: { once(event: 'close', listener: () => void): unknown }) => {
  open.add(request);
  answer.once('close', () => open.delete(request));
  for (const tell of began.splice(0)) tell();
};
let reply: (response: ServerResponse) => void = () => {};
const provider = createServer(async (request: IncomingMessage, response) => {
  await request.resume().toArray();
  hold(request, response);
  reply(response);
});
const streaming = new WebSocketServer({ server: createServer().listen(0, '127.0.0.1') });
streaming.on('connection', (socket) => hold(socket, socket));

let app: TestApp;
beforeAll(async () => {
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`;
  app = await startTestApp({
    env: { STT_API_URL: url, STT_API_KEY: 'k', STT_MODEL: 'm', TTS_API_URL: url, TTS_API_KEY: 'k', TTS_MODEL: 'm' },
  });
  await app.query('{ viewer { userId } }');
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  provider.close();
  provider.closeAllConnections();
  streaming.options.server?.close();
});
afterEach(() => {
  reply = () => {};
});

/** When a provider is asked the next time. */
const asked = () => new Promise<void>((resolve) => began.push(resolve));

async function listen(signal: AbortSignal, to = app) {
  const form = new FormData();
  form.append('operations', JSON.stringify({ query: listenQuery, variables: { audio: null } }));
  form.append('map', '{"0":["variables.audio"]}');
  form.append('0', new File([wav], 'x'));
  const headers = { authorization: `Bearer ${await to.token()}`, 'graphql-require-preflight': '1' };
  return readAnswer(await fetch(`${to.url}/graphql`, { method: 'POST', headers, body: form, signal }));
}

async function speak(signal: AbortSignal) {
  const headers = { authorization: `Bearer ${await app.token()}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ query: speakQuery, variables: { text: 'Hello?' } });
  return readAnswer(await fetch(`${app.url}/graphql`, { method: 'POST', headers, body, signal }));
}

/** Asks, leaves when the provider works at it, and waits until that has ended. */
async function leaveMidway(ask: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const leaving = new AbortController();
  const working = asked();
  const answer = ask(leaving.signal);
  await working;
  leaving.abort();
  await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
  await expect.poll(() => open.size, { timeout: 60_000 }).toBe(0);
}

const beginning = (response: ServerResponse) => void response.writeHead(200).write(wav.subarray(0, 5_000));

describe('a client that leaves', () => {
  test('A client that leaves ends its transcription', () => leaveMidway(listen));

  test('A client that leaves ends its transcription by a streaming provider', async () => {
    const { port } = streaming.address() as AddressInfo;
    const env = { STT_PROVIDER: 'whisper-live', STT_API_URL: `ws://127.0.0.1:${port}` };
    await using streamed = await startTestApp({ env });
    await leaveMidway((signal) => listen(signal, streamed));
  });

  test.each([
    ['nothing of it', () => {}],
    ['its beginning', beginning],
  ])('A client that leaves ends its speech when %s has come: no clip is left', async (_, answer) => {
    reply = answer;
    await leaveMidway(speak);
    await expect.poll(() => app.app.db.speechClip.count(), { timeout: 60_000 }).toBe(0);
  });

  test('A client that leaves is not a failure of the provider', async () => {
    const operations = () => app.logs.filter((line) => line.msg === 'operation').length;
    const before = operations();
    app.logs.length = 0;
    await leaveMidway(listen);
    await expect.poll(operations, { timeout: 60_000 }).toBe(1);
    expect(before).toBeGreaterThan(0);
    expect(app.logs.filter((line) => line.msg !== 'operation')).toEqual([]);
  });
});

test('A file counts as an upload until its operation has ended, however long its provider takes', async () => {
  const leaving = new AbortController();
  const never = new AbortController().signal;
  const pending: Promise<unknown>[] = [];
  for (let count = 0; count < 3; count += 1) {
    const working = asked();
    pending.push(listen(leaving.signal));
    await working;
  }
  expect(await listen(never)).toMatchObject({
    status: 429,
    errors: [{ message: expect.stringContaining('at most 3 per user'), extensions: { code: 'RATE_LIMITED' } }],
  });
  expect(open.size).toBe(3);
  leaving.abort();
  await Promise.allSettled(pending);
  await expect.poll(() => open.size, { timeout: 60_000 }).toBe(0);
  // There is room again, also after operations that went well and that failed.
  const answers = [...Array.from({ length: 5 }, () => 200), 401, 500, 401, 500];
  for (const status of answers) {
    reply = (response) => void response.writeHead(status).end('{"text":"Yes."}');
    await expect.poll(async () => (await listen(never)).status, { timeout: 60_000 }).toBe(status === 200 ? 200 : 502);
  }
});
