import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { type Api, collect, requestFor } from '../support/scripted-model/model-step.ts';

/** A server on bare sockets: `onRequest` is called for each request with its number on that connection, from 1. */
async function listen(onRequest: (socket: Socket, n: number) => void) {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    let requests = 0;
    socket.on('error', () => {});
    socket.on('data', () => onRequest(socket, ++requests));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return { url: `http://127.0.0.1:${port}/v1`, connections: () => connections };
}

describe.each<Api>(['RESPONSES', 'CHAT_COMPLETIONS'])('connections for %s', (api) => {
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
  const last =
    api === 'RESPONSES'
      ? {
          type: 'response.completed',
          response: { output: [{ type: 'message', content: [{ type: 'output_text', text: 'Hi.' }] }] },
        }
      : { choices: [{ index: 0, delta: { content: 'Hi.' }, finish_reason: 'stop' }] };
  const event = `data: ${JSON.stringify(last)}\n\ndata: [DONE]\n\n`;
  const answer = `${head}${event.length.toString(16)}\r\n${event}\r\n`;
  const end = '0\r\n\r\n';

  async function runSteps(url: string, count: number) {
    const model = createOpenAiModel();
    for (let step = 0; step < count; step++) {
      const result = await collect(model.stream(requestFor(api, url), new AbortController().signal));
      expect(result.finished).toMatchObject({ reason: 'stop' });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  test('Connections to a provider are used again, also if the end of the body comes late', async () => {
    const server = await listen((socket) => {
      socket.write(answer);
      setTimeout(() => socket.write(end), 5);
    });
    await runSteps(server.url, 6);
    // How many depends on the timers; that there are fewer than steps does not.
    expect(server.connections()).toBeLessThan(6);
  });

  test('Connections that the provider has closed meanwhile are replaced', async () => {
    let resets = 0;
    const server = await listen((socket, n) => {
      if (n === 1) socket.write(answer + end);
      else {
        resets++;
        socket.resetAndDestroy();
      }
    });
    await runSteps(server.url, 6);
    expect(resets).toBeGreaterThan(0);
    expect(server.connections()).toBe(resets + 1);
  });

  test('Connections that are reset before the answer fail the step', async () => {
    const server = await listen((socket) => void socket.resetAndDestroy());
    const stream = createOpenAiModel().stream(requestFor(api, server.url), new AbortController().signal);
    expect((await collect(stream)).failure).toMatchObject({ code: 'MODEL_ERROR', retryable: true });
  });
});
