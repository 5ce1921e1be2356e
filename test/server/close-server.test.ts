import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { closeServer } from '../../src/server/http/close-server.ts';
import { listenOn } from '../../src/server/http/listen.ts';
import { OpenResponses } from '../../src/server/http/open-responses.ts';

const request = 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n';

test('A request on a kept connection that has arrived before the server closes is answered, although nobody had read it', async () => {
  let isLast = false;
  const server = createServer((_request, response) => {
    if (isLast) response.setHeader('connection', 'close');
    response.end('answered');
  });
  const responses = new OpenResponses(server);
  const listening = await listenOn(server, 0, '127.0.0.1');
  const client = connect(listening.port, '127.0.0.1');
  let said = '';
  client.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  const left = once(client, 'close');
  client.write(request);
  await expect.poll(() => said).toContain('answered');
  isLast = true;
  // Nothing runs between the two: the request is in the socket of the server, and nobody has read it.
  client.write(request);
  const closed = closeServer(server, listening, responses);
  await left;
  expect(said.match(/answered/g)).toHaveLength(2);
  await closed;
});
