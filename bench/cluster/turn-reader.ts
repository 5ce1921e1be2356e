import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { z } from 'zod';
import type { Frame, TurnCheck } from './turn-check.ts';

const fields = `__typename seq runId
  ... on TextDelta { offset delta }
  ... on TextRetracted { length }
  ... on MessageCompleted { message { content } }
  ... on RunFailed { error { code } }`;
const chatTurn = `subscription ($input: ChatTurnInput!) { chatTurn(input: $input) { ${fields} } }`;
const runEvents = `subscription ($runId: ID!, $after: Int) { runEvents(runId: $runId, after: $after) { ${fields} } }`;

/** A stream to read, from after a seq. */
export type Stream = (after: number) => { readonly query: string; readonly variables: Record<string, unknown> };

/** A turn with a key: it starts, or is attached to. */
export const askForTurn =
  (conversationId: string, content: string, idempotencyKey: string): Stream =>
  (after) => ({ query: chatTurn, variables: { input: { conversationId, content, idempotencyKey, after } } });

/** A run that exists. */
export const askForRun =
  (runId: string): Stream =>
  (after) => ({ query: runEvents, variables: { runId, after } });

const patienceMs = 120_000;
const waitMs = 100;
/** How long an instance that has died may leave a connection open, in milliseconds. */
const connectMs = 5_000;

/** A socket that may be used. */
export async function openSocket(url: string, token: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    perMessageDeflate: false,
    handshakeTimeout: connectMs,
  });
  // Who waits for something hears of it; whoever does not has seen that the socket is closed.
  socket.on('error', () => {});
  const closed = once(socket, 'close').then(() => {
    throw new Error('The socket was closed before it could be used.');
  });
  closed.catch(() => {});
  await Promise.race([once(socket, 'open'), closed]);
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
  await Promise.race([once(socket, 'message'), closed]);
  return socket;
}

/** What happened to a reader beside its events. */
export interface Journey {
  /** How often it connected again. */
  reconnects: number;
  /** Errors that an application would have had to deal with. */
  readonly errors: string[];
}

/**
 * Reads a stream to its last event: if the socket closes, it connects again, to the next instance, and asks for what
 * follows the last seq.
 * @param list the instances in the order in which they are to be tried; asked anew each time
 * @param options.opened a socket to begin with
 */
export async function readTurn(
  stream: Stream,
  check: TurnCheck,
  list: () => readonly string[],
  token: string,
  options: { readonly opened?: WebSocket; readonly onEvent?: () => void } = {},
): Promise<Journey> {
  const journey: Journey = { reconnects: 0, errors: [] };
  const deadline = performance.now() + patienceMs;
  let socket = options.opened ?? null;
  for (let tries = 0; !check.ended; tries++) {
    if (performance.now() > deadline) {
      journey.errors.push(`${check.runId}: no end after ${patienceMs / 1000} s`);
      break;
    }
    if (tries > 0) {
      journey.reconnects += 1;
      await sleep(waitMs);
    }
    const urls = list();
    const url = urls[tries % Math.max(1, urls.length)];
    if (socket === null && url !== undefined) socket = await openSocket(url, token).catch(() => null);
    if (socket === null) continue;
    const { query, variables } = stream(check.seq);
    await readSocket(socket, { query, variables }, check, journey, deadline, options.onEvent);
    socket.terminate();
    socket = null;
  }
  socket?.terminate();
  return journey;
}

/** Reads a stream until it ends, or its socket does. */
async function readSocket(
  socket: WebSocket,
  payload: { readonly query: string; readonly variables: object },
  check: TurnCheck,
  journey: Journey,
  deadline: number,
  onEvent: (() => void) | undefined,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, Math.max(0, deadline - performance.now()));
  socket.on('close', () => resolve());
  socket.on('message', (data) => {
    const message = messageOf(JSON.parse(String(data)));
    if (message.type === 'ping') return socket.send('{"type":"pong"}');
    if (message.type === 'complete') return resolve();
    const errors = message.type === 'error' ? message.payload : message.payload?.errors;
    if (errors !== undefined) {
      journey.errors.push(`${check.runId}: ${JSON.stringify(errors).slice(0, 300)}`);
      return resolve();
    }
    const frame = Object.values(message.payload?.data ?? {})[0];
    if (message.type === 'next' && frame !== undefined) check.see(frame);
    return onEvent?.();
  });
  if (socket.readyState === socket.OPEN) socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }));
  else resolve();
  await promise;
  clearTimeout(timer);
  socket.removeAllListeners('message');
}

// Unchecked shapes, because a schema for each token would cost the client more than the server; what is in them is
// compared with what is expected, value by value, in TurnCheck.
interface Message {
  readonly type: string;
  readonly payload?: { readonly errors?: unknown; readonly data?: Readonly<Record<string, Frame>> };
}
const anyMessage = z.custom<Message>((value) => typeof value === 'object' && value !== null);
const messageOf = (value: unknown) => anyMessage.parse(value);
