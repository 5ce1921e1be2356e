import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { afterAll, describe, expect, test } from 'vitest';
import { readTrustedDocuments } from '../../src/server/requests/trusted-documents.ts';
import { shareApp, startTestApp, type TestApp } from '../support/app.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const folder = await mkdtemp(join(tmpdir(), 'documents-'));
afterAll(() => rm(folder, { recursive: true }));

const who = 'query Who { viewer { userId __typename } }';
const create = 'mutation Create { createConversation { id } }';
const events = 'subscription Events { viewerEvents { seq __typename } }';
const old = '{ removedLongAgo }';
// As GraphQL Code Generator, Apollo and a person write them.
await writeFile(join(folder, 'codegen.json'), JSON.stringify({ c0dec0de: who, 'old-client': old }));
const operations = [{ id: 'apollo-1', name: 'Create', type: 'mutation', body: create }];
await writeFile(
  join(folder, 'apollo.json'),
  JSON.stringify({ format: 'apollo-persisted-query-manifest', version: 1, operations }),
);
await writeFile(join(folder, 'events.graphql'), events);

const only = shareApp({ env: { TRUSTED_DOCUMENTS: folder, TRUSTED_DOCUMENTS_ONLY: 'true' } });

async function post(app: TestApp, body: object) {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await app.token()}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, ...(await response.json()) };
}

async function get(app: TestApp, params: Record<string, string>, headers: Record<string, string> = {}) {
  const response = await fetch(`${app.url}/graphql?${new URLSearchParams(params)}`, {
    headers: { authorization: `Bearer ${await app.token()}`, accept: 'application/json', ...headers },
  });
  return { status: response.status, headers: response.headers, ...(await response.json()) };
}

const byHash = (sha256Hash: string) => ({ extensions: { persistedQuery: { version: 1, sha256Hash } } });

describe('a server that executes trusted documents only', () => {
  test.each([
    ['its documentId', { documentId: 'c0dec0de' }],
    ['its SHA-256 as a documentId', { documentId: `sha256:${sha256(who)}` }],
    ['its id where Apollo’s link puts it', byHash('c0dec0de')],
    ['its SHA-256 where Apollo’s link puts it', byHash(sha256(who))],
    ['its text', { query: who }],
    ['its text with other white space', { query: `# Who am I?\n${who.replaceAll(' ', '\n  ')}` }],
    ['its text and its id', { query: who, ...byHash('c0dec0de') }],
  ])('A trusted document is executed by %s', async (_what, body) => {
    expect(await post(only, body)).toMatchObject({ status: 200, data: { viewer: { userId: 'alice' } } });
  });

  test.each([
    ['another document', { query: '{ viewer { userId } }' }, 403, 'FORBIDDEN'],
    ['introspection', { query: '{ __schema { queryType { name } } }' }, 403, 'FORBIDDEN'],
    ['no GraphQL', { query: '{{{' }, 403, 'FORBIDDEN'],
    ['another document with its hash', { query: '{ a }', ...byHash(sha256('{ a }')) }, 403, 'FORBIDDEN'],
    ['another document with a trusted id', { query: '{ a }', ...byHash('c0dec0de') }, 400, 'BAD_USER_INPUT'],
    ['an unknown documentId', { documentId: 'nobody' }, 404, 'NOT_FOUND'],
  ])('The request is refused if it has %s', async (_what, body, status, code) => {
    expect(await post(only, body)).toMatchObject({ status, errors: [{ extensions: { code } }] });
    // And nothing of it was stored.
    expect(await post(only, byHash(sha256('{ a }')))).toMatchObject({
      errors: [{ message: 'PersistedQueryNotFound' }],
    });
  });

  test('A socket executes trusted documents, by their text or their id, and no others', async () => {
    const client = only.ws(await only.token());
    const run = async (payload: { query: string; extensions?: Record<string, unknown>; documentId?: string }) =>
      (await client.iterate(payload).next()).value;
    expect(await run({ query: who })).toMatchObject({ data: { viewer: { userId: 'alice' } } });
    expect(await run({ query: '', ...byHash('c0dec0de') })).toMatchObject({ data: { viewer: { userId: 'alice' } } });
    expect(await run({ query: '', documentId: 'c0dec0de' })).toMatchObject({ data: { viewer: { userId: 'alice' } } });
    for (const refused of [{ query: '{ viewer { tenantId } }' }, { query: 'subscription { viewerEvents { seq } }' }]) {
      await expect(run(refused)).rejects.toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    }
  });

  test('A document that the schema does not allow any more is named in the log, and the server starts all the same', async () => {
    expect(only.logs).toContainEqual(
      expect.objectContaining({
        msg: 'trusted documents are not valid with this schema',
        invalid: expect.arrayContaining([
          { id: 'old-client', problem: 'Cannot query field "removedLongAgo" on type "Query".' },
        ]),
      }),
    );
    expect(await post(only, { documentId: 'old-client' })).toMatchObject({ status: 400 });
  });
});

describe('GET', () => {
  const extensions = (hash: string) => JSON.stringify(byHash(hash).extensions);

  test('A persisted query can be sent with GET, and what comes back is for this user alone', async () => {
    for (const params of [{ documentId: 'c0dec0de' }, { extensions: extensions(sha256(who)), operationName: 'Who' }]) {
      const answer = await get(only, params);
      expect(answer).toMatchObject({ status: 200, data: { viewer: { userId: 'alice' } } });
      expect(answer.headers.get('cache-control')).toBe('private, no-cache');
      expect(answer.headers.get('vary')).toContain('authorization');
    }
  });

  test.each([
    ['a mutation', { documentId: 'apollo-1' }, 405],
    ['a subscription', { documentId: sha256(events) }, 405],
    ['a document in the URL', { query: who }, 405],
    ['a document in the URL and an id', { query: who, documentId: 'c0dec0de' }, 405],
    ['an unknown id', { documentId: 'nobody' }, 404],
    ['variables that are no JSON', { documentId: 'c0dec0de', variables: '{' }, 400],
    ['extensions that are a list', { documentId: 'c0dec0de', extensions: '[]' }, 400],
  ])('GET is refused for %s, and the answer is not stored', async (_what, params: Record<string, string>, status) => {
    const answer = await get(only, params);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  test('GET needs a token like any other request', async () => {
    const response = await fetch(`${only.url}/graphql?documentId=c0dec0de`);
    expect(response.status).toBe(401);
  });

  test('Apollo’s link can send the hashes of queries with GET', async () => {
    await using app = await startTestApp();
    const methods: (string | undefined)[] = [];
    const link = new HttpLink({
      uri: `${app.url}/graphql`,
      headers: { authorization: `Bearer ${await app.token()}` },
      fetch: (url, init) => {
        methods.push(init?.method);
        return fetch(url, init);
      },
    });
    const persisted = new PersistedQueryLink({ sha256, useGETForHashedQueries: true });
    const client = new ApolloClient({ link: persisted.concat(link), cache: new InMemoryCache() });
    for (let n = 0; n < 2; n++) {
      const { data } = await client.query({ query: gql(who), fetchPolicy: 'network-only' });
      expect(data).toMatchObject({ viewer: { userId: 'alice' } });
    }
    client.stop();
    expect(methods).toEqual(['GET', 'POST', 'GET']);
  });
});

test('Trusted documents beside others save the documents on the way, and change nothing else', async () => {
  await using app = await startTestApp({ env: { TRUSTED_DOCUMENTS: join(folder, 'codegen.json') } });
  expect(await post(app, { documentId: 'c0dec0de' })).toMatchObject({ data: { viewer: { userId: 'alice' } } });
  expect(await post(app, { query: '{ viewer { tenantId } }' })).toMatchObject({
    data: { viewer: { tenantId: 'acme' } },
  });
});

test.each([
  ['is missing', null, /cannot be read/],
  ['is no JSON', '{', /not valid JSON/],
  ['is another JSON', '[1]', /no manifest/],
  ['holds no GraphQL', '{"a":"{{"}', /the document a is not valid GraphQL/],
])('A manifest that %s is refused, by name', async (what, content, message) => {
  const file = join(folder, `${what.replaceAll(' ', '-')}.manifest`);
  const named = `${file}.json`;
  const other = await mkdtemp(join(tmpdir(), 'documents-'));
  const path = content === null ? named : join(other, 'manifest.json');
  if (content !== null) await writeFile(path, content);
  await expect(readTrustedDocuments(path)).rejects.toThrow(message);
  await rm(other, { recursive: true });
});
