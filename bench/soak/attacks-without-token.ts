import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Attack, AttackTarget } from './attack.ts';

const sockets = 4;
/** What an attacker lets wait in its own process before it waits itself. */
const maxBuffered = 4 * 1024 * 1024;
const pauseMs = 20;

/** Pings of 250 KB before connection_init, whose pongs nobody reads. */
export const sendPings: Attack = (target, signal, count) => {
  const ping = JSON.stringify({ type: 'ping', payload: { x: 'x'.repeat(250_000) } });
  return onSockets(target, signal, count, async (socket) => {
    socket.pause();
    while (isUsable(socket, signal)) {
      if (socket.bufferedAmount < maxBuffered) {
        socket.send(ping);
        count('sent');
      }
      await sleep(pauseMs);
    }
  });
};

/** Documents of 200 KB with thousands of unknown fields, on sockets whose connection_init has no token. */
export const sendInvalidDocuments: Attack = (target, signal, count) => {
  const fields = Array.from({ length: 20_000 }, (_none, index) => `viewr${index}`).join(' ');
  const document = JSON.stringify({ id: '1', type: 'subscribe', payload: { query: `{ ${fields} }` } });
  return onSockets(target, signal, count, async (socket) => {
    const acknowledged = Promise.race([once(socket, 'message'), once(socket, 'close')]);
    socket.send(JSON.stringify({ type: 'connection_init' }));
    await acknowledged;
    socket.on('message', (text) => count(String(text).includes('"data"') ? 'answered with data' : 'refused'));
    while (isUsable(socket, signal)) {
      if (socket.bufferedAmount < maxBuffered) {
        socket.send(document.replace('"1"', `"${crypto.randomUUID()}"`));
        count('sent');
      }
      await sleep(pauseMs * 5);
    }
  });
};

/** 500 requests in one write on each of four connections, again and again. */
export const pipelineRequests: Attack = async (target, signal, count) => {
  const body = JSON.stringify({ query: '{ viewer { userId } }' });
  const request = `POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const all = request.repeat(500);
  await Promise.all(
    Array.from({ length: sockets }, async () => {
      while (!signal.aborted) {
        let answers = 0;
        const socket = openSocket(target, (text) => {
          answers += text.split('HTTP/1.1 ').length - 1;
        });
        socket.write(all);
        count('sent');
        for (let waited = 0; waited < 5_000 && answers < 500 && !socket.destroyed && !signal.aborted; waited += 100) {
          await sleep(100);
        }
        if (answers >= 500) count('all answered');
        else if (socket.destroyed) count('closed by the server');
        socket.destroy();
        await sleep(200);
      }
    }),
  );
};

const hosts = ['a b', '', '[', '%', 'x'.repeat(2_000), 'a:b:c', 'evil.test/..', '127.0.0.1:99999', 'é', '@', '\\'];

/** Requests whose Host is odd. A 500, or a stack trace in an answer, is counted. */
export const sendOddHosts: Attack = async (target, signal, count) => {
  for (let index = 0; !signal.aborted; index++) {
    const host = hosts[index % hosts.length] ?? '';
    const path = index % 2 === 0 ? '/graphql' : '/health';
    let text = '';
    const socket = openSocket(target, (chunk) => {
      text += chunk;
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    await Promise.race([once(socket, 'close'), sleep(5_000)]);
    socket.destroy();
    count('sent');
    if (/^HTTP\/1\.1 5/.test(text)) count('answered with a 5xx');
    if (/\n\s+at .*:\d+:\d+/.test(text) || text.includes('node_modules')) count('answered with a stack trace');
    await sleep(pauseMs);
  }
};

/** Opens a connection that is its user's to destroy; errors of it are expected. */
export function openSocket({ url }: AttackTarget, onText: (text: string) => void): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  socket.setEncoding('latin1').on('data', onText);
  return socket;
}

/** Keeps so many sockets busy; one that the server closes is opened again a moment later. */
async function onSockets(
  { url }: AttackTarget,
  signal: AbortSignal,
  count: (what: string) => void,
  use: (socket: WebSocket) => Promise<void>,
): Promise<void> {
  await Promise.all(
    Array.from({ length: sockets }, async () => {
      while (!signal.aborted) {
        const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
          perMessageDeflate: false,
        });
        socket.on('error', () => {});
        const opened = await Promise.race([once(socket, 'open').catch(() => null), sleep(5_000, null)]);
        if (opened) await use(socket).catch(() => {});
        if (!signal.aborted) count(opened ? 'closed by the server' : 'not opened');
        socket.terminate();
        await sleep(200);
      }
    }),
  );
}

function isUsable(socket: WebSocket, signal: AbortSignal): boolean {
  return socket.readyState === WebSocket.OPEN && !signal.aborted;
}
