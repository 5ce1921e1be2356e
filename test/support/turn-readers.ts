import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { print } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { applyText } from '../../examples/turn-text.ts';
import {
  TurnDocument,
  type TurnEventFragment,
  TurnEventsDocument,
  type TurnEventsSubscription,
  type TurnEventsSubscriptionVariables,
  type TurnSubscription,
  type TurnSubscriptionVariables,
} from '../generated/graphql.ts';
import type { TestStep } from './scripted-model/script.ts';

/** How a client has seen a turn: what it was sent, and what it made of it. */
export class Transcript {
  readonly events: TurnEventFragment[] = [];
  readonly texts = new Map<string, string>();

  take(event: TurnEventFragment): void {
    this.events.push(event);
    if (event.__typename === 'TextDelta' || event.__typename === 'TextRetracted') applyText(this.texts, event);
  }

  get last(): TurnEventFragment | undefined {
    return this.events.at(-1);
  }

  get lastSeq(): number {
    return this.last?.seq ?? 0;
  }

  get types(): Set<TurnEventFragment['__typename']> {
    return new Set(this.events.map((event) => event.__typename));
  }
}

/** A stream to ask for. */
export interface TurnStream {
  readonly query: string;
  readonly variables: Record<string, unknown>;
}

export function askForTurn(variables: TurnSubscriptionVariables): TurnStream {
  return { query: print(TurnDocument), variables };
}

export function askForEvents(variables: TurnEventsSubscriptionVariables): TurnStream {
  return { query: print(TurnEventsDocument), variables };
}

/** A client of one transport. */
export interface TurnReader extends AsyncDisposable {
  /** Reads a stream to its end. @throws when it was cut, or answered with errors */
  follow(stream: TurnStream, onEvent: (event: TurnEventFragment) => void): Promise<void>;
}

/** Opens a client. `retries`: how often it comes back by itself. */
export type OpenReader = (url: string, token: string, retries: number) => TurnReader;

export function openWsReader(url: string, token: string, retries: number, webSocketImpl = WebSocket): TurnReader {
  const client = createWsClient({
    url: url.replace('http', 'ws'),
    webSocketImpl,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: retries,
    retryWait: async () => {},
  });
  return {
    follow: (stream, onEvent) => follow((request, sink) => client.subscribe<TurnData>(request, sink), stream, onEvent),
    [Symbol.asyncDispose]: async () => client.dispose(),
  };
}

export const openSseReader: OpenReader = (url, token, retries) => {
  const client = createSseClient({
    url,
    headers: { authorization: `Bearer ${token}` },
    retryAttempts: retries,
    retry: async () => {},
  });
  return {
    follow: (stream, onEvent) => follow((request, sink) => client.subscribe<TurnData>(request, sink), stream, onEvent),
    [Symbol.asyncDispose]: async () => client.dispose(),
  };
};

type TurnData = TurnSubscription | TurnEventsSubscription;
interface TurnSink {
  next(result: {
    readonly data?: TurnData | null | undefined;
    readonly errors?: readonly { readonly message: string }[] | undefined;
  }): void;
  error(error: unknown): void;
  complete(): void;
}

async function follow(
  subscribe: (stream: TurnStream, sink: TurnSink) => unknown,
  stream: TurnStream,
  onEvent: (event: TurnEventFragment) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  subscribe(stream, {
    next: ({ data, errors }) => {
      if (!data || errors) reject(new Error(JSON.stringify(errors)));
      else onEvent('chatTurn' in data ? data.chatTurn : data.runEvents);
    },
    error: reject,
    complete: resolve,
  });
  await promise;
}

/** A way to the server that can be cut: no goodbye, on either side. */
export interface Wire extends AsyncDisposable {
  /** The address of GraphQL through it. */
  readonly url: string;
  cut(): void;
}

export async function openWire(serverUrl: string): Promise<Wire> {
  const { hostname, port } = new URL(serverUrl);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    const join = (socket: Socket, other: Socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    };
    join(near, far);
    join(far, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The wire has no port.');
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    url: `http://127.0.0.1:${address.port}/graphql`,
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}

/** How often the model is asked in the turn of `scriptTurn`. */
export const modelCalls = 4;

/**
 * A turn with all that a turn can have: a message and a handoff, reasoning and a tool call, and a message whose first
 * try breaks off and is taken back.
 * @param content what the user says in it, and nowhere else
 */
export function scriptTurn(content: string, delayMs = 2): TestStep[] {
  const match: NonNullable<TestStep['match']> = ({ messages }) =>
    messages.some((message) => message.role === 'user' && message.content === content);
  const steps: TestStep[] = [
    {
      text: 'I ask the orders desk for you.',
      calls: [{ name: 'transfer_to_orders', arguments: { reason: 'An order.' } }],
    },
    {
      reasoning: ['They', ' want', ' 1042.'],
      calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }],
    },
    { text: 'Your order 👩‍🚀 was', misbehave: 'truncate' },
    { text: ['Your', ' 📦', ' is', ' on', ' its', ' way', ':', '\n', '“in', ' two', ' days”', '.'] },
  ];
  return steps.map((step) => ({ ...step, match, delayMs }));
}
