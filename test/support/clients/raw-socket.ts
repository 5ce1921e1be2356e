import { GRAPHQL_TRANSPORT_WS_PROTOCOL } from 'graphql-ws';
import { WebSocket } from 'ws';
import { z } from 'zod';

/** A client that speaks graphql-transport-ws by hand, to say what a library would not. */
export interface RawSocket extends AsyncDisposable {
  send(message: unknown): void;
  /** The next message that came; also one that came before it was asked for. */
  next(): Promise<{ type: string; id?: string | undefined; payload?: unknown }>;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly socket: WebSocket;
}

/** Opens a socket and, unless `init` is null, gets it acknowledged with those connection parameters. */
export async function openRawSocket(
  wsUrl: string,
  init: object | null = {},
  options: { headers?: Record<string, string>; protocol?: string } = {},
): Promise<RawSocket> {
  const { headers = {}, protocol = GRAPHQL_TRANSPORT_WS_PROTOCOL } = options;
  const socket = new WebSocket(wsUrl, protocol, { headers });
  const came: string[] = [];
  const waiting: ((text: string) => void)[] = [];
  socket.on('message', (data) => {
    const text = String(data);
    const reader = waiting.shift();
    if (reader) reader(text);
    else came.push(text);
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: String(reason) }));
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
  });
  const raw: RawSocket = {
    socket,
    closed,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    async next() {
      const text = came.shift() ?? (await new Promise<string>((resolve) => waiting.push(resolve)));
      return z
        .object({ type: z.string(), id: z.string().optional(), payload: z.unknown().optional() })
        .parse(JSON.parse(text));
    },
    async [Symbol.asyncDispose]() {
      socket.terminate();
      await closed;
    },
  };
  if (init !== null) {
    raw.send({ type: 'connection_init', payload: init });
    const ack = await Promise.race([raw.next(), closed]);
    if (!('type' in ack) || ack.type !== 'connection_ack') throw new Error(`Not acknowledged: ${JSON.stringify(ack)}`);
  }
  return raw;
}
