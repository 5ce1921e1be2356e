import { randomUUID } from 'node:crypto';
import { ApolloClient, InMemoryCache } from '@apollo/client';
import { cacheExchange } from '@urql/exchange-graphcache';
import { createClient, type Client as Socket } from 'graphql-ws';
import { fetchExchange, Client as UrqlClient } from 'urql';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import * as apollo from '../../packages/client/src/apollo.ts';
import * as graphcache from '../../packages/client/src/graphcache.ts';
import { createSocketExchange } from '../../packages/client/src/urql.ts';
import {
  HydrateDocument,
  type HydrateQuery,
  TurnDocument,
  type TurnEventFragment,
  type TurnSubscriptionVariables,
} from '../generated/graphql.ts';
import { shareApp } from '../support/app.ts';
import { openNewUser, type SocketClient } from '../support/chat.ts';
import { Transcript } from '../support/clients/transports.ts';
import { openWire } from '../support/clients/wire.ts';
import { modelCalls, scriptTurn } from '../support/scripted-model/long-turn.ts';

// @switchboard/client/apollo, /urql and /graphcache, in the libraries that they are for.

const app = shareApp();
const timeout = 120_000;

// Libraries say on the console what they do not like of a document or an answer.
const complaint = vi.fn();
beforeEach(() => {
  complaint.mockClear();
  vi.spyOn(console, 'warn').mockImplementation(complaint);
  vi.spyOn(console, 'error').mockImplementation(complaint);
});
afterEach(() => {
  expect(complaint.mock.calls).toEqual([]);
});

interface Adapted {
  /** Follows a turn to its end. */
  follow(variables: TurnSubscriptionVariables, onEvent: (event: TurnEventFragment) => void): Promise<void>;
  hydrate(id: string): Promise<HydrateQuery | null | undefined>;
}

function openApollo(socket: Socket, user: SocketClient): Adapted {
  const client = new ApolloClient({
    link: apollo.createLink({ url: `${app.url}/graphql`, socket, getToken: async () => user.token }),
    cache: new InMemoryCache(apollo.cacheOptions),
  });
  return {
    follow: (variables, onEvent) =>
      new Promise((complete, reject) => {
        client.subscribe({ query: TurnDocument, variables }).subscribe({
          next: ({ data, error }) => (data ? onEvent(data.chatTurn) : reject(error)),
          error: reject,
          complete,
        });
      }),
    hydrate: async (id) => (await client.query({ query: HydrateDocument, variables: { id } })).data,
  };
}

function openUrql(socket: Socket, user: SocketClient): Adapted {
  const client = new UrqlClient({
    url: `${app.url}/graphql`,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${user.token}` } },
    exchanges: [cacheExchange(graphcache.cacheOptions), fetchExchange, createSocketExchange(socket)],
  });
  return {
    follow: (variables, onEvent) =>
      new Promise((complete, reject) => {
        client.subscription(TurnDocument, variables).subscribe(({ data, error, hasNext }) => {
          if (error) reject(error);
          else if (!hasNext) complete();
          else if (data) onEvent(data.chatTurn);
        });
      }),
    hydrate: async (id) => (await client.query(HydrateDocument, { id }).toPromise()).data,
  };
}

describe.each([
  ['Apollo Client', openApollo],
  ['urql with graphcache', openUrql],
] as const)('The adapter for %s', (_name, open) => {
  test('A turn whose socket is cut after each event goes on where it was: once at the server, no event twice', {
    timeout,
  }, async () => {
    const user = await openNewUser(app);
    const content = `Where is order 1042? (${randomUUID()})`;
    // Slow enough for most of its events to come one by one.
    app.model.add(...scriptTurn(content, 20));
    const conversationId = await user.createConversation('support');
    await using wire = await openWire(app.url);
    const socket = createClient({
      url: wire.url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${user.token}` },
      retryAttempts: 1_000,
      retryWait: async () => {},
      shouldRetry: () => true,
    });
    const adapted = open(socket, user);
    const transcript = new Transcript();
    await adapted.follow({ input: { conversationId, content, idempotencyKey: randomUUID() } }, (event) => {
      transcript.take(event);
      wire.cut();
    });

    const seqs = transcript.events.map(({ seq }) => seq);
    expect(seqs.length).toBeGreaterThan(10);
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    expect(transcript.last?.__typename).toBe('RunCompleted');
    const { conversation } = (await adapted.hydrate(conversationId)) ?? {};
    const stored = conversation?.messages.edges.flatMap(({ node }) => (node.role === 'ASSISTANT' ? [node] : [])) ?? [];
    expect(stored).toHaveLength(2);
    expect(transcript.texts).toEqual(new Map(stored.map((message) => [message.id, message.content])));
    const requests = app.model.requests.filter(({ messages }) =>
      messages.some((message) => message.role === 'user' && message.content === content),
    );
    expect(requests).toHaveLength(modelCalls);
    await socket.dispose();
  });
});
