import { once } from 'node:events';
import { createServer, request as sendRequest } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { type BodyLimits, BodyTooSlowError, readBody } from '../../src/server/requests/body.ts';

/** Reads one body with limits; `write` is given the request to write it. */
async function read(limits: BodyLimits, write: (request: ReturnType<typeof sendRequest>) => void) {
  const result = Promise.withResolvers<unknown>();
  const server = createServer((incoming, response) => {
    readBody(incoming, limits)
      .then(
        (body) => body.length,
        (error: unknown) => error,
      )
      .then((outcome) => {
        result.resolve(outcome);
        response.end();
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const request = sendRequest({ port, host: '127.0.0.1', method: 'POST' }).on('error', () => {});
  onTestFinished(() => {
    request.destroy();
    server.closeAllConnections();
    server.close();
  });
  write(request);
  return await result.promise;
}

const patient = { maxBytes: 1_000, totalMs: 600_000 };

test('A body that drips, or takes too long, is given up', async () => {
  const drip = (request: ReturnType<typeof sendRequest>) => void request.write('x');
  expect(await read({ ...patient, totalMs: 50 }, drip)).toBeInstanceOf(BodyTooSlowError);
  expect(await read({ ...patient, pace: { bytes: 2, everyMs: 50 } }, drip)).toBeInstanceOf(BodyTooSlowError);
});

test('A body that keeps up is read, however long it takes', async () => {
  const write = (request: ReturnType<typeof sendRequest>) => {
    let count = 0;
    const timer = setInterval(() => {
      request.write('xx');
      count += 1;
      if (count < 10) return;
      clearInterval(timer);
      request.end();
    }, 20);
  };
  expect(await read({ ...patient, pace: { bytes: 1, everyMs: 1_000 } }, write)).toBe(20);
});
