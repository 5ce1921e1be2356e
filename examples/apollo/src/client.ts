import { ApolloClient, InMemoryCache } from '@apollo/client';
import { cacheOptions, createLink } from '@switchboard/client/apollo';
import { createClient } from 'graphql-ws';

/** Your application asks its own sign-in here. */
const getToken = () => document.querySelector('meta[name="switchboard-token"]')?.getAttribute('content') ?? '';
const url = new URL('/graphql', location.href).href;

/** The one socket of the page: turns and subscriptions share it. */
export const socket = createClient({
  url: url.replace(/^http/, 'ws'),
  connectionParams: () => ({ authorization: `Bearer ${getToken()}` }),
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => true,
  retryWait: (tries) => new Promise((go) => setTimeout(go, Math.min(200 * 2 ** tries, 5_000))),
});

export const client = new ApolloClient({
  link: createLink({ url, socket, getToken }),
  cache: new InMemoryCache(cacheOptions),
});
