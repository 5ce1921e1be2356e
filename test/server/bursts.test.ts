import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { listenOn } from '../../src/server/http/listen.ts';

test.runIf(process.platform === 'linux')(
  'A burst of connections is accepted several at a time, so that it keeps others out for few turns of the event loop',
  async () => {
    const server = createServer((_request, response) => void response.end('ok'));
    const listening = await listenOn(server, 0, '127.0.0.1');
    const clients: Socket[] = [];
    onTestFinished(async () => {
      for (const client of clients) client.destroy();
      const closed = listening.close();
      server.closeAllConnections();
      await closed;
    });
    let accepted = 0;
    const all = Promise.withResolvers<void>();
    server.on('connection', () => {
      accepted += 1;
      if (accepted === 400) all.resolve();
    });
    for (let index = 0; index < 400; index += 1) clients.push(connect(listening.port, '127.0.0.1'));
    await once(clients.at(-1) ?? server, 'connect');
    let turns = 0;
    const count = () => {
      turns += 1;
      counting = setImmediate(count);
    };
    let counting = setImmediate(count);
    await all.promise;
    clearImmediate(counting);
    expect(turns).toBeLessThan(200);
    const response = await fetch(`http://127.0.0.1:${listening.port}`);
    expect(await response.text()).toBe('ok');
  },
);

test('A port at which another server listens is refused, though a server has several queues for its own', async () => {
  const first = createServer();
  const listening = await listenOn(first, 0, '127.0.0.1');
  onTestFinished(() => listening.close());
  await expect(listenOn(createServer(), listening.port, '127.0.0.1')).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('Nothing is accepted after a server has closed all its queues', async () => {
  const listening = await listenOn(createServer(), 0, '127.0.0.1');
  await listening.close();
  for (let index = 0; index < 20; index += 1) {
    const client = connect(listening.port, '127.0.0.1');
    await expect(once(client, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  }
});
