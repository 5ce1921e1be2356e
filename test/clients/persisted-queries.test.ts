import { createHash } from 'node:crypto';
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';

const app = shareApp();
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const document = gql`query Who { viewer { userId } }`;

async function openClient(requests: Record<string, unknown>[]) {
  const link = new HttpLink({
    uri: `${app.url}/graphql`,
    headers: { authorization: `Bearer ${await app.token()}` },
    fetch: (url, init) => {
      requests.push(JSON.parse(String(init?.body)));
      return fetch(url, init);
    },
  });
  return new ApolloClient({ link: new PersistedQueryLink({ sha256 }).concat(link), cache: new InMemoryCache() });
}

test('S6 Apollo’s persisted-query link sends a document once, and its hash from then on, whoever asks', async () => {
  const requests: Record<string, unknown>[] = [];
  for (const client of [await openClient(requests), await openClient(requests)]) {
    const { data } = await client.query({ query: document, fetchPolicy: 'network-only' });
    expect(data).toMatchObject({ viewer: { userId: 'alice' } });
    client.stop();
  }
  expect(requests.map(({ query }) => query !== undefined)).toEqual([false, true, false]);
});

const send = (body: object) =>
  app.token().then((token) =>
    fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  );

test.each([
  ['of another document', { version: 1, sha256Hash: sha256('other') }],
  ['that is no hash', { version: 1, sha256Hash: 'x' }],
  ['of another version', { version: 2, sha256Hash: sha256('{ viewer { userId } }') }],
  ['that is null', null],
])('A hash %s is refused, and nothing is stored', async (_what, persistedQuery) => {
  const query = '{ viewer { userId } }';
  const response = await send({ query, extensions: { persistedQuery } });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
  const unknown = await send({ extensions: { persistedQuery: { version: 1, sha256Hash: sha256('other') } } });
  expect(await unknown.json()).toMatchObject({ errors: [{ message: 'PersistedQueryNotFound' }] });
});

test('A persisted query needs a valid token like any other', async () => {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ extensions: { persistedQuery: { version: 1, sha256Hash: sha256('x') } } }),
  });
  expect(response.status).toBe(401);
});
