import { createServer, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ModelError } from '../../src/engine/ports.ts';
import { AddressGuard } from '../../src/outbound/address-guard.ts';
import { readAnswer } from '../../src/providers/llm/answer.ts';
import { ChatCompletionsReader } from '../../src/providers/llm/chat-completions.ts';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { ResponsesReader } from '../../src/providers/llm/responses.ts';
import { StepAccumulator } from '../../src/providers/llm/step.ts';
import { collect, requestFor } from '../support/scripted-model/model-step.ts';
import { errors } from './field/errors.ts';
import { type FieldStream, streams } from './field/streams.ts';

// Tens of thousands of short streams are read here: this is room, not an expectation.
vi.setConfig({ testTimeout: 120_000 });

const usualTimeouts = { firstByteMs: 60_000, idleMs: 60_000, usageMs: 60_000, endMs: 60_000, moreTextMs: 60_000 };
const toolNames = ['lookup_order', 'current_time'];

function writeBody({ frames }: FieldStream): Buffer {
  return Buffer.from(
    frames.map((frame) => (typeof frame === 'string' ? frame : `data: ${JSON.stringify(frame)}\n\n`)).join(''),
  );
}

/** Reads a body that arrives in these chunks. */
function readChunks({ api, end, contentType }: FieldStream, chunks: readonly Buffer[]) {
  const rest = chunks.filter((chunk) => chunk.length > 0);
  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const chunk = rest.shift();
      if (chunk !== undefined) controller.enqueue(chunk);
      // Nothing comes any more, for as long as the test runs.
      else if (end === 'stay open') await new Promise(() => {});
      else if (end === 'break') controller.error(new TypeError('terminated'));
      else controller.close();
    },
  });
  const response = new Response(body, { headers: { 'content-type': contentType ?? 'text/event-stream' } });
  const accumulator = new StepAccumulator([]);
  const context = { apiKey: 'key', toolNames };
  const reader =
    api === 'RESPONSES' ? new ResponsesReader(accumulator, context) : new ChatCompletionsReader(accumulator, context);
  const timeouts = end === 'stay open' ? { ...usualTimeouts, endMs: 5 } : usualTimeouts;
  const { signal } = new AbortController();
  return collect(readAnswer({ response, reader, accumulator, apiKey: 'key', timeouts, signal }));
}

type Result = Awaited<ReturnType<typeof readChunks>>;

function expectResult({ expect: wanted }: FieldStream, result: Result): void {
  const { failure, finished, text, reasoning, calls } = result;
  const end = finished?.type === 'finished' ? finished : null;
  if (wanted.failure === undefined) expect(result.thrown).toBeUndefined();
  else expect(failure).toMatchObject(wanted.failure);
  if (wanted.text !== undefined) expect(text).toBe(wanted.text);
  if (wanted.reasoning !== undefined) expect(reasoning).toBe(wanted.reasoning);
  if (wanted.calls !== undefined) expect(calls.map((call) => [call.name, call.arguments])).toEqual(wanted.calls);
  if (wanted.calls !== undefined) expect(new Set(calls.map(({ id }) => id)).size).toBe(calls.length);
  if (wanted.reason !== undefined) expect(end?.reason).toBe(wanted.reason);
  if (wanted.state !== undefined) expect(end?.state).toEqual(wanted.state);
  if (wanted.usage !== undefined) {
    const usage = end?.usage ?? null;
    expect(usage && [usage.inputTokens, usage.outputTokens, usage.reasoningTokens]).toEqual(wanted.usage);
  }
}

describe('Streams as providers were reported to send them', () => {
  test.each(streams.map((stream) => [`${stream.id} (${stream.api})`, stream] as const))(
    'A stream is read as it was meant, whole and cut at every byte: %s',
    async (_, stream) => {
      const body = writeBody(stream);
      for (let at = 0; at < body.length; at++) {
        expectResult(stream, await readChunks(stream, [body.subarray(0, at), body.subarray(at)]));
      }
      expectResult(
        stream,
        await readChunks(
          stream,
          [...body].map((byte) => Buffer.of(byte)),
        ),
      );
    },
  );
});

describe('The same streams over a connection', () => {
  let server: Server;
  let url: string;
  /** What the next request is answered with. */
  let played: { readonly stream: FieldStream; readonly chunks: readonly Buffer[] };
  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const { stream, chunks } = played;
      request.resume();
      response.socket?.setNoDelay();
      response.writeHead(200, { 'content-type': stream.contentType ?? 'text/event-stream' }).flushHeaders();
      for (const chunk of chunks) {
        response.write(chunk);
        // In a packet of its own.
        await sleep(5);
      }
      if (stream.end === 'break') response.destroy();
      else if (stream.end !== 'stay open') response.end();
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, '127.0.0.1', resolve);
    await promise;
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/v1`;
  });
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  const model = createOpenAiModel({ guard: new AddressGuard(['127.0.0.1/']) });
  const tools = toolNames.map((name) => ({ name, description: '', parameters: { type: 'object' } }));
  test.each(streams.map((stream) => [`${stream.id} (${stream.api})`, stream] as const))(
    'A stream over HTTP is read as it was meant, whole and cut in the middle: %s',
    async (_, stream) => {
      const body = writeBody(stream);
      const middle = Math.floor(body.length / 2);
      for (const chunks of [[body], [body.subarray(0, middle), body.subarray(middle)]]) {
        played = { stream, chunks };
        const request = requestFor(stream.api, url, { tools });
        expectResult(stream, await collect(model.stream(request, new AbortController().signal)));
      }
    },
  );
});

describe('Errors as providers were reported to send them', () => {
  test.each(errors.map((error) => [error.id, error] as const))('An error is recognised: %s', async (_, error) => {
    for (const api of ['CHAT_COMPLETIONS', 'RESPONSES'] as const) {
      const dial: typeof fetch = () =>
        Promise.resolve(new Response(JSON.stringify(error.body), { status: error.status }));
      const model = createOpenAiModel({ fetch: dial });
      const result = await collect(model.stream(requestFor(api, 'http://model.test/v1'), new AbortController().signal));
      expect(result.failure).toMatchObject({ code: error.code });
      expect(result.failure?.message).toMatch(error.message ?? /./);
      const { thrown } = result;
      if (!(thrown instanceof ModelError)) throw new Error('The failure is not a ModelError.');
      if (error.retryAfterMs !== undefined) expect(thrown.retryAfterMs).toBe(error.retryAfterMs);
      if (error.contextTokens !== undefined) expect(thrown.contextTokens).toBe(error.contextTokens);
    }
  });
});
