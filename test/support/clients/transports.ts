import { print } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { applyText } from '../../../examples/turn-text.ts';
import {
  TurnDocument,
  type TurnEventFragment,
  TurnEventsDocument,
  type TurnEventsSubscription,
  type TurnEventsSubscriptionVariables,
  type TurnSubscription,
  type TurnSubscriptionVariables,
} from '../../generated/graphql.ts';

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
export interface TransportClient extends AsyncDisposable {
  /** Reads a stream to its end. @throws when it was cut, or answered with errors */
  follow(stream: TurnStream, onEvent: (event: TurnEventFragment) => void): Promise<void>;
}

/** Opens a client. `retries`: how often it comes back by itself. */
export type OpenTransport = (url: string, token: string, retries: number) => TransportClient;

export function openWsTransport(
  url: string,
  token: string,
  retries: number,
  webSocketImpl = WebSocket,
): TransportClient {
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

export const openSseTransport: OpenTransport = (url, token, retries) => {
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
