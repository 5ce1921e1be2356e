import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { AddressGuard } from '../../src/outbound/address-guard.ts';
import { createDial } from '../../src/outbound/dial.ts';
import { readResponse } from '../../src/outbound/read-response.ts';

/** A server that ends with the test. */
async function listen(answer: RequestListener) {
  const server = createServer(answer);
  // It keeps connections for ever: who ends them is the client.
  server.keepAliveTimeout = 0;
  const closed: Promise<unknown>[] = [];
  server.on('connection', (socket) => closed.push(new Promise((resolve) => socket.once('close', resolve))));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  /** One entry for each connection, which resolves when it is closed. */
  return { closed, url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/` };
}

test('Connections are reused, closed when they are idle, and not reused if the server says so', async () => {
  const { closed, url } = await listen((_request, response) => void response.end('ok'));
  const guard = new AddressGuard(['127.0.0.1/']);
  const ask = async (dial: typeof fetch) => expect(await (await dial(url)).text()).toBe('ok');
  const single = createDial({ guard, keepAlive: false });
  await ask(single);
  await ask(single);
  expect(closed).toHaveLength(2);
  await Promise.all(closed);
  const kept = createDial({ guard, idleMs: 1_000 });
  await ask(kept);
  await new Promise((resolve) => setImmediate(resolve));
  await ask(kept);
  expect(closed).toHaveLength(3);
  await Promise.all(closed);
  await ask(kept);
  expect(closed).toHaveLength(4);
});

test('Bytes are sent as well as text, and nothing else', async () => {
  const { url } = await listen((request, response) => void request.pipe(response));
  const bytes = Uint8Array.from([0, 255, 128, 10]);
  const response = await createDial()(url, { method: 'POST', body: bytes });
  expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
  expect(await (await createDial()(url, { method: 'POST', body: 'täxt' })).text()).toBe('täxt');
  await expect(createDial()(url, { method: 'POST', body: new FormData() })).rejects.toThrow(TypeError);
});

test('A body is read up to its limit, and its connection is closed', async () => {
  let sent = 0;
  const { closed, url } = await listen((_request, response) => {
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(1_000))) sent += 1_000;
    };
    response.on('drain', more);
    more();
  });
  const start = await readResponse(await createDial()(url), { maxBytes: 2_500, timeoutMs: 10_000 });
  expect(start).toEqual({ bytes: Buffer.from('x'.repeat(2_500)), cut: 'large' });
  await Promise.all(closed);
  // What the sockets hold, and no more: it is not read ahead of the reader.
  expect(sent).toBeLessThan(50_000_000);
});

test('A body is read as long as it arrives in time', async () => {
  const { closed, url } = await listen((_request, response) => void response.write('drop'));
  const start = await readResponse(await createDial()(url), { maxBytes: 100, timeoutMs: 50 });
  expect(start).toEqual({ bytes: Buffer.from('drop'), cut: 'late' });
  await Promise.all(closed);
});

test('A body that fits is whole; one that breaks off is an error', async () => {
  const whole = await listen((_request, response) => void response.end('exact'));
  const limits = { maxBytes: 5, timeoutMs: 10_000 };
  expect(await readResponse(await createDial()(whole.url), limits)).toEqual({
    bytes: Buffer.from('exact'),
    cut: null,
  });
  const broken = await listen((_request, response) => {
    response.writeHead(200, { 'content-length': '5' });
    response.write('exa', () => response.destroy());
  });
  expect(await readResponse(await createDial()(broken.url), limits)).toEqual({
    bytes: Buffer.from('exa'),
    cut: 'broken',
  });
  expect(await readResponse(new Response(null), limits)).toEqual({ bytes: Buffer.alloc(0), cut: null });
});

test('An answer that is reset in its midst is not asked for again', async () => {
  let asked = 0;
  const { url } = await listen((_request, response) => {
    asked += 1;
    // The first one lets the connection be kept.
    if (asked === 1) return void response.end('ok');
    response.writeHead(200, { 'content-length': '100' });
    response.write('half', () => response.socket?.resetAndDestroy());
  });
  const dial = createDial();
  expect(await (await dial(url)).text()).toBe('ok');
  await new Promise((resolve) => setImmediate(resolve));
  const cut = await readResponse(await dial(url), { maxBytes: 1_000, timeoutMs: 10_000 });
  expect(cut).toMatchObject({ cut: 'broken' });
  // Whatever was sent a second time would come before this one.
  expect(await (await dial(url)).body?.cancel()).toBeUndefined();
  expect(asked).toBe(3);
});
