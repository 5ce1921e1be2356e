import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { z } from 'zod';

/** The model that writes one long answer: 40 pieces of 20,000 characters. Every other one never stops. */
export const longModel = 'long';
/** The model that writes two megabytes, and then calls a tool that a person has to approve. */
export const askingModel = 'asking';
const askingPieces = 100;
const longPieces = 40;
const longPiece = 'long '.repeat(4_000);

/** Chunks that are written at once. */
const slice = 200;
const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const pair = chunk({ content: 'c' }) + chunk({ reasoning_content: 'r' });
const requested = z.object({ model: z.string() });

/** A model provider that alternates content and reasoning, a character at a time, until its client leaves. */
export async function startFloodingProvider(): Promise<{ readonly url: string; readonly cut: () => void }> {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/v1`, cut: () => server.closeAllConnections() };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { model } = requested.parse(JSON.parse(await text(request)));
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  if (model === longModel || model === askingModel) {
    for (let piece = 0; piece < (model === longModel ? longPieces : askingPieces); piece += 1) {
      response.write(chunk({ content: longPiece }));
      // A tick of its own: what is read together becomes one event.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const call = { name: 'refund_order', arguments: '{"orderNumber":"1042"}' };
    if (model === askingModel)
      response.write(chunk({ tool_calls: [{ index: 0, id: 'call', type: 'function', function: call }] }));
    response.end(`${chunk({}, model === askingModel ? 'tool_calls' : 'stop')}data: [DONE]\n\n`);
    return;
  }
  const closed = once(response, 'close');
  const flood = pair.repeat(slice / 2);
  while (!response.destroyed) {
    if (!response.write(flood)) await Promise.race([once(response, 'drain').catch(() => {}), closed]);
    // Others in this process have their turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
