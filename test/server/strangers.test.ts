import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { openRawSocket, type RawSocket } from '../support/clients/raw-socket.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { type Server, startServer } from '../support/server.ts';

/**
 * Attacks by a stranger without a token, on a server in a process of its own, so that its memory can be measured.
 * The figures are printed with VERBOSE_ATTACKS=1.
 */
let server: Server;
let wsUrl: string;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-attack-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const database = stack.use(await createTestDatabase());
  server = stack.use(await startServer(folder, { DATABASE_URL: database.url, LOG_LEVEL: 'silent' }));
  wsUrl = `${server.url.replace('http', 'ws')}/graphql`;
});
afterAll(() => stack.disposeAsync());

const megabyte = 1024 * 1024;

/** Resident memory of the server, in megabytes. */
async function readMemory(): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** Runs an attack and measures the highest memory of the server above the beginning, and the slowest /health. */
async function measure(name: string, attack: () => Promise<void>) {
  const before = await readMemory();
  let [highest, slowest, over] = [before, 0, false];
  const watch = (async () => {
    while (!over) {
      const startedAt = performance.now();
      await fetch(`${server.url}/health`).then((response) => response.text());
      slowest = Math.max(slowest, performance.now() - startedAt);
      highest = Math.max(highest, await readMemory());
      await pause(20);
    }
  })();
  await attack();
  over = true;
  await watch;
  const figures = { grownBy: Math.round(highest - before), slowestMs: Math.round(slowest) };
  if (process.env.VERBOSE_ATTACKS) process.stdout.write(`${name}: ${JSON.stringify(figures)}\n`);
  return figures;
}

async function openSockets(count: number, init: object | null = null): Promise<RawSocket[]> {
  return Promise.all(Array.from({ length: count }, () => openRawSocket(wsUrl, init)));
}

/** Sends messages of `size` bytes until `bytes` were sent, or the socket is closed, or nothing is accepted for three seconds. */
async function flood(socket: WebSocket, bytes: number, size: number, send: () => void): Promise<void> {
  let sent = 0;
  let last = 0;
  let lastChange = performance.now();
  while (sent < bytes && socket.readyState === WebSocket.OPEN && performance.now() - lastChange < 3_000) {
    if (socket.bufferedAmount > megabyte) {
      if (socket.bufferedAmount !== last) lastChange = performance.now();
      last = socket.bufferedAmount;
      await pause(5);
      continue;
    }
    send();
    sent += size;
    lastChange = performance.now();
    // Other sockets of this process, and the watch.
    if (sent % megabyte < size) await pause(1);
  }
}

describe.runIf(process.platform === 'linux')('A stranger without a token', () => {
  test('A stranger cannot fill the memory with pings whose pongs are never read', async () => {
    const sockets = await openSockets(4);
    const payload = JSON.stringify({ type: 'ping', payload: { x: 'x'.repeat(250_000) } });
    const { grownBy } = await measure('pings', async () => {
      await Promise.all(
        sockets.map(({ socket }) => {
          socket.pause();
          return flood(socket, 60 * megabyte, payload.length, () => socket.send(payload));
        }),
      );
    });
    for (const { socket } of sockets) socket.terminate();
    expect(grownBy).toBeLessThan(150);
  }, 120_000);

  test('A stranger cannot fill the memory with control frames either', async () => {
    const sockets = await openSockets(4);
    const { grownBy } = await measure('control frames', async () => {
      await Promise.all(
        sockets.map(({ socket }) => {
          socket.pause();
          return flood(socket, 20 * megabyte, 65_500, () => {
            for (let count = 0; count < 500; count += 1) socket.ping('x'.repeat(125));
          });
        }),
      );
    });
    for (const { socket } of sockets) socket.terminate();
    expect(grownBy).toBeLessThan(150);
  }, 120_000);

  test('A stranger has no document parsed, and loses the socket after 64 KB', async () => {
    const sockets = await openSockets(4, {});
    const fields = Array.from({ length: 1_200 }, (_, n) => `conversatio${n}`).join(' ');
    let id = 0;
    const figures = await measure('documents', async () => {
      await Promise.all(
        sockets.map(({ socket }) =>
          flood(socket, 7 * megabyte, fields.length, () => {
            id += 1;
            socket.send(JSON.stringify({ type: 'subscribe', id: String(id), payload: { query: `{ ${fields} }` } }));
          }),
        ),
      );
      await Promise.all(sockets.map(({ closed }) => Promise.race([closed, pause(60_000)])));
    });
    for (const { closed } of sockets) expect(await closed).toMatchObject({ code: 1008 });
    expect(figures.grownBy).toBeLessThan(150);
  }, 120_000);

  test('A stranger has no document parsed over HTTP', async () => {
    const { slowestMs } = await measure('documents over HTTP', async () => {
      const query = `{ ${'a '.repeat(900_000)} }`;
      const send = () =>
        fetch(`${server.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ query }),
        });
      const answers = await Promise.all(Array.from({ length: 8 }, send));
      for (const answer of answers) {
        expect(answer.status).toBe(401);
        expect(await answer.text()).toContain('UNAUTHENTICATED');
      }
    });
    expect(slowestMs).toBeGreaterThan(0);
  });

  test('A stranger cannot queue requests on one connection without end', async () => {
    const { port, hostname } = new URL(server.url);
    const request = `POST /graphql HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"query":"{"}`;
    await measure('pipelined requests', async () => {
      await Promise.all(
        Array.from({ length: 4 }, async () => {
          const socket = connect(Number(port), hostname);
          socket.on('error', () => {});
          let text = '';
          socket.on('data', (chunk) => {
            text += chunk;
          });
          socket.write(request.repeat(500));
          await Promise.race([once(socket, 'close'), pause(10_000)]);
          const answered = text.split('HTTP/1.1 ').length - 1;
          expect(socket.closed).toBe(true);
          expect(answered).toBeLessThan(100);
        }),
      );
    });
  }, 60_000);
});
