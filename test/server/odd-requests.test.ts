import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { edgeSchema } from './edge-schema.ts';

const edge = shareApp({ schema: edgeSchema, env: { GRAPHIQL: 'false' } });

/** Sends bytes to the server, and returns everything that comes back until the connection ends or is quiet. */
async function exchange(text: string | Buffer): Promise<string> {
  const { port, hostname } = new URL(edge.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  let received = '';
  const answered = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      received += chunk;
      const [, length] = /content-length: (\d+)/i.exec(received) ?? [];
      const body = received.split('\r\n\r\n').slice(1).join('\r\n\r\n');
      if (length !== undefined && Buffer.byteLength(body) >= Number(length)) resolve();
    });
  });
  socket.write(text);
  await Promise.race([answered, once(socket, 'close'), pause(10_000)]);
  socket.destroy();
  return received;
}

const body = '{"query":"{ user }"}';
const request = (head: string, content = body) => `${head}\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
const json = 'Content-Type: application/json';

describe('Whatever is odd about a request, the error is ours: JSON with a code, no stack and no path', () => {
  const cases: [name: string, text: string | Buffer, status: number][] = [
    ['a Host with a space', request(`POST /graphql HTTP/1.1\r\nHost: a b\r\n${json}`), 400],
    ['a Host with a slash', request(`POST /graphql HTTP/1.1\r\nHost: a/b\r\n${json}`), 400],
    ['a Host with a user', request(`POST /graphql HTTP/1.1\r\nHost: x@y\r\n${json}`), 400],
    ['a Host with a wrong port', request(`POST /graphql HTTP/1.1\r\nHost: a:99999\r\n${json}`), 400],
    ['a Host with half a bracket', request(`POST /graphql HTTP/1.1\r\nHost: [::1\r\n${json}`), 400],
    ['an empty Host', request(`POST /graphql HTTP/1.1\r\nHost:\r\n${json}`), 400],
    ['a Host of bytes', request(`POST /graphql HTTP/1.1\r\nHost: \xff\xfe\r\n${json}`), 400],
    ['no Host', request(`POST /graphql HTTP/1.1\r\n${json}`), 400],
    ['no Host in HTTP/1.0', request(`POST /graphql HTTP/1.0\r\n${json}`), 400],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['TLS', Buffer.from('16030100a5010000a10303', 'hex'), 400],
    ['a path with a NUL', 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a path with a space', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['an absolute URL', 'GET http://a/graphql HTTP/1.1\r\nHost: a\r\n\r\n', 404],
    ['a star', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', 404],
    ['two slashes', 'GET //graphql HTTP/1.1\r\nHost: a\r\n\r\n', 404],
    ['a broken escape', 'GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n', 404],
    ['a broken escape in a clip', 'GET /speech/%zz HTTP/1.1\r\nHost: a\r\n\r\n', 401],
    ['a broken escape in the query', request(`POST /graphql?x=%zz HTTP/1.1\r\nHost: a\r\n${json}`), 401],
    ['a query like a URL', request(`POST /graphql?//a:99999 HTTP/1.1\r\nHost: a\r\n${json}`), 401],
    ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['TRACE', 'TRACE /graphql HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['an unknown method', 'BREW /graphql HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['an unknown expectation', request(`POST /graphql HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n${json}`), 417],
    ['headers of 100 KB', `GET /graphql HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, 431],
    [
      'two lengths',
      `POST /graphql HTTP/1.1\r\nHost: a\r\n${json}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
      400,
    ],
    ['a negative length', `POST /graphql HTTP/1.1\r\nHost: a\r\n${json}\r\nContent-Length: -1\r\n\r\n`, 400],
    ['an upgrade to h2c', 'GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n', 426],
    ['an upgrade elsewhere', 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', 404],
    [
      'an upgrade without a key',
      'GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      400,
    ],
    [
      'an upgrade with a bad Host',
      'GET /graphql HTTP/1.1\r\nHost: a b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      400,
    ],
    ['an Origin that is no URL', request(`POST /graphql HTTP/1.1\r\nHost: a\r\nOrigin: a b\r\n${json}`), 403],
    ['a token of bytes', request(`POST /graphql HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\r\n${json}`), 401],
    [
      'an Authorization of another scheme',
      request(`POST /graphql HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\n${json}`),
      401,
    ],
  ];

  test.each(cases)('An odd request gets an answer in our form: %s', async (_name, text, status) => {
    const answer = await exchange(text);
    const [head = '', ...rest] = answer.split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    const { errors } = JSON.parse(rest.join('\r\n\r\n'));
    expect(errors).toEqual([
      { message: expect.any(String), extensions: expect.objectContaining({ code: expect.any(String) }) },
    ]);
    expect(answer).not.toMatch(/node_modules|file:\/\/|\.ts|\.js|at \w+ \(/);
  });

  test.each([
    ['application/json', { 'content-encoding': 'gzip' }, 415],
    ['application/json', { 'content-encoding': 'identity' }, 200],
    ['APPLICATION/JSON', {}, 200],
    ['Application/Json; Charset=UTF-8', {}, 200],
    ['application/json ;charset=utf-8', {}, 200],
    ['application/jsonx', {}, 415],
    ['', {}, 415],
    ['*/*', {}, 415],
  ])('Content-Type %j with %j is %i', async (type, more, status) => {
    const headers: Record<string, string> = {
      ...more,
      authorization: `Bearer ${await edge.token()}`,
      'content-type': type,
    };
    const response = await fetch(`${edge.url}/graphql`, { method: 'POST', headers, body: Buffer.from(body) });
    expect(response.status).toBe(status);
    if (status === 200) expect(await response.json()).toEqual({ data: { user: 'alice' } });
    else expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
  });

  test('An Accept header that nothing fits is 406 or ignored, in our form', async () => {
    for (const accept of ['image/png', 'x', '*/*;q=x', 'text/html, image/*']) {
      const answer = await edge.query('{ user }', {}, { headers: { accept } });
      expect([200, 406]).toContain(answer.status);
      if (answer.status !== 200) expect(answer.errors[0]?.extensions.code).toBe('BAD_USER_INPUT');
    }
  });
});

describe('Documents that are nested or repeated beyond measure', () => {
  const failures = () => edge.logs.filter(({ level }) => Number(level) >= 50);
  const nested = (depth: number, open: string, close: string) =>
    `{ echo(text: ${open.repeat(depth)}${close.repeat(depth)}) }`;
  test.each([500, 1_000, 1_900, 20_000])('A list literal nested %i deep is an error of the client', async (depth) => {
    const answer = await edge.query(nested(depth, '[', ']'));
    // What the server says of a failure of its own is shown.
    expect([answer.status, failures()]).toEqual([400, []]);
    expect(['BAD_USER_INPUT', 'QUERY_TOO_COMPLEX']).toContain(answer.errors[0]?.extensions.code);
  });

  test.each([500, 1_900, 20_000])(
    'An object literal, a selection and a type nested %i deep are errors of the client too',
    async (depth) => {
      const documents = [
        nested(depth, '{a:', '}').replaceAll('{}', '{a:1}'),
        `{ ${'a { '.repeat(depth)} b ${'}'.repeat(depth)} }`,
        `query ($a: ${'['.repeat(depth)}Int${']'.repeat(depth)}) { user }`,
      ];
      for (const document of documents) {
        const answer = await edge.query(document);
        expect([document.slice(0, 20), answer.status, failures()]).toEqual([document.slice(0, 20), 400, []]);
        expect(['BAD_USER_INPUT', 'QUERY_TOO_COMPLEX']).toContain(answer.errors[0]?.extensions.code);
      }
    },
  );

  test('Introspection and __typename count towards depth and aliases', async () => {
    const deep = `{ __schema { types { ${'ofType { '.repeat(1_000)} name ${'}'.repeat(1_000)} } } }`;
    const repeated = `{ ${Array.from({ length: 1_000 }, (_, n) => `a${n}: __typename`).join(' ')} }`;
    const both = `{ ${Array.from({ length: 40 }, (_, n) => `a${n}: __schema { description }`).join(' ')} }`;
    for (const document of [deep, repeated, both]) {
      expect((await edge.query(document)).errors[0]?.extensions.code).toBe('QUERY_TOO_COMPLEX');
    }
  });
});
