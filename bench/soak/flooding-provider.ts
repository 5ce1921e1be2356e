import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Chunks that are written at once. */
const slice = 200;
const chunk = (delta: object) => `data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`;
const pair = chunk({ content: 'c' }) + chunk({ reasoning_content: 'r' });

/** A model provider that alternates content and reasoning, a character at a time, until its client leaves. */
export async function startFloodingProvider(): Promise<{ readonly url: string; readonly cut: () => void }> {
  const server = createServer(async (request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const closed = once(response, 'close');
    const text = pair.repeat(slice / 2);
    while (!response.destroyed) {
      if (!response.write(text)) await Promise.race([once(response, 'drain').catch(() => {}), closed]);
      // Others in this process have their turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/v1`, cut: () => server.closeAllConnections() };
}
