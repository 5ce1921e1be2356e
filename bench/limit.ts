import { createServer, request } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { listenOnLoopback } from './listen.ts';

// The baseline `limit`: what nothing on this stack can beat without merging. A plain ws server that passes the
// endpoint's tokens through by hand, one JSON frame per token. No GraphQL, no users, nothing stored.

const endpoint = z.url().parse(process.env.OPENAI_BASE_URL);

const server = createServer();
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => {
  socket.on('message', (data) => passThrough(socket, String(data)));
});

function passThrough(socket: WebSocket, content: string): void {
  const messageId = crypto.randomUUID();
  let seq = 0;
  let offset = 0;
  const call = request(`${endpoint}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  call.on('error', () => socket.close(1011));
  call.on('response', (response) => {
    let rest = '';
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      rest += text;
      let from = 0;
      for (let at = rest.indexOf('\n\n', from); at >= 0; at = rest.indexOf('\n\n', from)) {
        const data = rest.slice(from + 'data: '.length, at);
        from = at + 2;
        if (data === '[DONE]') {
          socket.send(JSON.stringify({ __typename: 'RunCompleted', seq: ++seq }));
          continue;
        }
        const delta = readDelta(JSON.parse(data));
        if (delta === '') continue;
        socket.send(JSON.stringify({ __typename: 'TextDelta', seq: ++seq, messageId, offset, delta }));
        offset += delta.length;
      }
      rest = rest.slice(from);
    });
  });
  call.end(JSON.stringify({ model: 'bench', stream: true, messages: [{ role: 'user', content }] }));
}

/** By hand: a schema per token would not be a limit. */
function readDelta(chunk: { readonly choices: readonly { readonly delta: { readonly content?: string } }[] }): string {
  return chunk.choices[0]?.delta.content ?? '';
}

listenOnLoopback(server);
