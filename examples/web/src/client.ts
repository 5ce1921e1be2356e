import { subscribeAndResume } from '@switchboard/client';
import { cacheExchange } from '@urql/exchange-graphcache';
import { createClient } from 'graphql-ws';
import { Client, type Exchange, fetchExchange, type RequestPolicy, subscriptionExchange } from 'urql';
import { cacheOptions } from './cache.ts';
import { setConnection } from './connection.ts';
import { getToken, refreshToken } from './token.ts';

// Whoever reads a shared conversation has no token.
const authorize = (): Record<string, string> => {
  const token = getToken();
  return token === null ? {} : { authorization: `Bearer ${token}` };
};

const socketUrl = new URL('/graphql', location.href).href.replace(/^http/, 'ws');

/** The one socket of the page: turns and subscriptions share it. It comes back by itself, as often as it takes. */
export const socket = createClient({
  url: socketUrl,
  connectionParams: authorize,
  lazyCloseTimeout: 3_000,
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => true,
  retryWait: async (tries) => {
    // What a closed socket says of a token may be that it has expired.
    if (tries > 0) await refreshToken();
    await new Promise((go) => setTimeout(go, Math.min(200 * 2 ** tries, 5_000)));
  },
  on: {
    connected: () => setConnection(true),
    closed: (event) => setConnection(event instanceof CloseEvent && event.wasClean && event.code === 1000),
  },
});

/** A socket for what must not begin again by itself: it is open while somebody subscribes, and does not come back. */
export const socketOfOneTry = createClient({ url: socketUrl, connectionParams: authorize, retryAttempts: 0 });

const send: typeof fetch = async (input, init) => {
  // The server takes a file only with a header that a form of another site cannot send.
  const upload = init?.body instanceof FormData && { 'graphql-require-preflight': '1' };
  // The browser would log a form that the server refuses as a resource that has failed to load.
  const own = () => ({ 'graphql-failure-status': '200', ...upload, ...authorize() });
  const attempt = () => fetch(input, { ...init, headers: { ...init?.headers, ...own() } });
  const response = await attempt();
  return response.status === 401 && (await refreshToken()) !== null ? attempt() : response;
};

/** Queries and mutations over HTTP, subscriptions over the socket, and what remembers answers. */
export const createPageClient = (cache: Exchange, requestPolicy: RequestPolicy): Client =>
  new Client({
    url: '/graphql',
    requestPolicy,
    preferGetMethod: false,
    fetch: send,
    exchanges: [
      cache,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables }) => ({
          subscribe: ({ next, ...sink }) => {
            const tell = ({ data = null, ...rest }: { data?: Record<string, unknown> | null }) =>
              next({ ...rest, data });
            return { unsubscribe: subscribeAndResume(socket, { query, variables }, { ...sink, next: tell }) };
          },
        }),
      }),
    ],
  });

/** The client of the chat: one normalised cache, so that a change is seen wherever its object is shown. */
export const client = createPageClient(cacheExchange(cacheOptions), 'cache-first');
