import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';

const app = shareApp();

test('S1 Apollo’s HttpLink alone sends subscriptions as multipart: the error says what works', async () => {
  const accepts: string[] = [];
  const link = new HttpLink({
    uri: `${app.url}/graphql`,
    headers: { authorization: `Bearer ${await app.token()}` },
    fetch: (input, init) => {
      accepts.push(new Headers(init?.headers).get('accept') ?? '');
      return fetch(input, init);
    },
  });
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  const { promise, resolve } = Promise.withResolvers<unknown>();
  client
    .subscribe({ query: gql`subscription { viewerEvents { seq } }` })
    .subscribe({ next: ({ error }) => error && resolve(error), error: resolve, complete: () => resolve(null) });
  const error = await promise;
  client.stop();
  expect(accepts[0]).toContain('multipart/mixed');
  expect(String(error)).toContain('Send "Accept: text/event-stream" to subscribe over HTTP.');
});

test('S2b A query by GET, as urql sends short ones unless it is told otherwise, is refused and says what works', async () => {
  const response = await fetch(`${app.url}/graphql?query=${encodeURIComponent('{ viewer { userId } }')}`, {
    headers: { authorization: `Bearer ${await app.token()}`, accept: 'application/graphql-response+json' },
  });
  expect(response.status).toBe(405);
  expect(response.headers.get('allow')).toContain('POST');
  const { errors } = await response.json();
  expect(errors[0]).toMatchObject({ message: expect.stringContaining('POST'), extensions: { code: 'BAD_USER_INPUT' } });
});
