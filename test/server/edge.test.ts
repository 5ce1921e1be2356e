import { readFile } from 'node:fs/promises';
import { request as sendRequest } from 'node:http';
import { buildClientSchema, getIntrospectionQuery } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { edgeSchema, ticks } from './edge-schema.ts';

let edge: TestApp;
beforeAll(async () => {
  edge = await startTestApp({ schema: edgeSchema, env: { ALLOWED_ORIGINS: 'https://app.test', DRAIN_SECONDS: '0' } });
});
afterAll(() => edge[Symbol.asyncDispose]());

/** Sends whatever it is told to /graphql, with the token of alice unless `headers` has another. */
async function send(init: RequestInit & { headers?: Record<string, string> }, path = '/graphql') {
  const headers = {
    authorization: `Bearer ${await edge.token()}`,
    'content-type': 'application/json',
    ...init.headers,
  };
  return fetch(`${edge.url}${path}`, { method: 'POST', ...init, headers });
}

const operationLog = (requestId: string) =>
  edge.logs.filter((line) => line.msg === 'operation' && line.requestId === requestId);

describe('errors', () => {
  test('An unexpected error is masked, and the log has it under the request id', async () => {
    const answer = await edge.query('{ boom }');
    expect(answer.status).toBe(500);
    const requestId = answer.headers.get('x-request-id');
    expect(answer.errors).toEqual([
      {
        message: 'Something went wrong.',
        path: ['boom'],
        locations: expect.anything(),
        extensions: { code: 'INTERNAL', requestId },
      },
    ]);
    const logged = edge.logs.filter((line) => line.msg === 'unexpected failure' && line.requestId === requestId);
    expect(logged).toMatchObject([{ err: { message: 'a secret of the inside' } }]);
  });

  test.each(['{ wrongType }', '{ neverNull }', '{ wrongShape { name } }'])(
    'An error of our own making is masked: %s',
    async (document) => {
      const answer = await edge.query(document);
      expect(answer).toMatchObject({ status: 500, errors: [{ message: 'Something went wrong.' }] });
      expect(JSON.stringify(answer.errors)).not.toContain('secret');
    },
  );

  test('The status is 200 for a client that asks for it, if the operation was executed: browsers log other ones', async () => {
    const ask = async (query: string, headers: Record<string, string>) => {
      const answer = await send({ headers, body: JSON.stringify({ query }) });
      return { status: answer.status, ...(await answer.json()) };
    };
    const asking = { 'graphql-failure-status': '200' };
    const masked = { errors: [{ message: 'Something went wrong.', extensions: { code: 'INTERNAL' } }] };
    for (const accept of ['application/json', 'application/graphql-response+json', '*/*']) {
      expect(await ask('{ boom }', { ...asking, accept })).toMatchObject({ status: 200, ...masked });
      expect(await ask('{ boom }', { accept })).toMatchObject({ status: 500, ...masked });
      // It was not executed.
      expect(await ask('{ nothing }', { ...asking, accept })).toMatchObject({ status: 400 });
      expect(await ask('{ user }', { ...asking, accept, authorization: 'Bearer x' })).toMatchObject({ status: 401 });
    }
    expect(await ask('{ boom }', { 'graphql-failure-status': '204' })).toMatchObject({ status: 500 });
  });

  test('The status is 200 if a part of the request worked', async () => {
    const answer = await edge.query('{ user missing }');
    expect(answer).toMatchObject({
      status: 200,
      data: { user: 'alice' },
      errors: [{ extensions: { code: 'NOT_FOUND' } }],
    });
  });

  test.each([
    { document: '{ missing }', status: 404, code: 'NOT_FOUND' },
    { document: '{ a: missing b: missing }', status: 404, code: 'NOT_FOUND' },
    { document: '{ conflict }', status: 409, code: 'CONFLICT' },
    { document: '{ nothing }', status: 400, code: 'BAD_USER_INPUT' },
    { document: '{ user', status: 400, code: 'BAD_USER_INPUT' },
    { document: '{ echo(count: "x") }', status: 400, code: 'BAD_USER_INPUT' },
    { document: '', status: 400, code: 'BAD_USER_INPUT' },
    { document: 'query A { user } query B { user }', status: 400, code: 'BAD_USER_INPUT' },
    { document: 'subscription { refused }', status: 400, code: 'BAD_USER_INPUT' },
  ])('The status is $status for $document in both media types', async ({ document, status, code }) => {
    for (const accept of ['application/json', 'application/graphql-response+json']) {
      const answer = await edge.query(document, {}, { headers: { accept } });
      expect(answer.status).toBe(status);
      expect(answer.errors[0]).toMatchObject({ extensions: { code } });
      expect(answer.headers.get('content-type')).toContain(accept);
    }
  });

  test('Errors carry their details', async () => {
    expect((await edge.query('{ conflict }')).errors).toMatchObject([
      { extensions: { code: 'CONFLICT', runId: 'run_1' } },
    ]);
  });

  test('An error about a variable names its path', async () => {
    const answer = await edge.query('query ($n: Int) { echo(count: $n) }', { n: 'x' });
    expect(answer).toMatchObject({ status: 400, errors: [{ extensions: { code: 'BAD_USER_INPUT', path: ['n'] } }] });
  });
});

describe('the viewer', () => {
  test('The viewer comes from the token; without a token there is none', async () => {
    expect((await edge.query('{ user }')).data).toEqual({ user: 'alice' });
    expect(await edge.query('{ user }', {}, { token: null })).toMatchObject({
      status: 401,
      errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
  });

  test('The viewer is known before the body is read', async () => {
    const answer = await readAnswer(
      await send({ headers: { authorization: 'Bearer x' }, body: 'this is no JSON, and nobody looks' }),
    );
    expect(answer).toMatchObject({ status: 401, errors: [{ message: 'The access token is malformed.' }] });
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  test('A viewer whose token has expired is refused', async () => {
    const answer = await edge.query('{ user }', {}, { token: await edge.token({ ttl: -60 }) });
    expect(answer).toMatchObject({ status: 401, errors: [{ message: 'The access token has expired.' }] });
  });

  test('The viewer appears in the database on first sight, also if many requests come at the same time and after a deletion', async () => {
    const token = await edge.token({ sub: 'newcomer', tenant: 'new' });
    const answers = await Promise.all(Array.from({ length: 10 }, () => edge.query('{ user }', {}, { token })));
    expect(answers.map((answer) => answer.status)).toEqual(Array(10).fill(200));
    const { db } = edge.app;
    expect(await db.user.count({ where: { tenantId: 'new' } })).toBe(1);
    expect(await db.agent.count({ where: { tenantId: 'new' } })).toBeGreaterThan(0);

    await db.user.deleteMany({ where: { tenantId: 'new' } });
    await edge.query('{ boom }', {}, { token });
    await edge.query('{ user }', {}, { token });
    expect(await db.user.count({ where: { tenantId: 'new' } })).toBe(1);
  });
});

describe('requests', () => {
  const body = JSON.stringify({ query: 'mutation { act }' });

  test.each([
    { what: 'GET', init: { method: 'GET' }, path: '/graphql?query=%7Buser%7D', status: 405 },
    {
      what: 'a GET subscription',
      init: { method: 'GET', headers: { accept: 'text/event-stream' } },
      path: '/graphql?query=subscription%7Btick%7D',
      status: 405,
    },
    { what: 'PUT', init: { method: 'PUT', body }, path: '/graphql', status: 405 },
    { what: 'plain text', init: { headers: { 'content-type': 'text/plain' }, body }, path: '/graphql', status: 415 },
    {
      what: 'application/graphql',
      init: { headers: { 'content-type': 'application/graphql' }, body: 'mutation { act }' },
      path: '/graphql',
      status: 415,
    },
    {
      what: 'a form',
      init: { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'query=mutation{act}' },
      path: '/graphql',
      status: 415,
    },
    {
      what: 'multipart',
      init: { headers: { 'content-type': 'multipart/form-data; boundary=x' }, body: '--x--' },
      path: '/graphql',
      status: 415,
    },
    { what: 'a batch', init: { body: `[${body},${body}]` }, path: '/graphql', status: 400 },
    { what: 'broken JSON', init: { body: '{"query":' }, path: '/graphql', status: 400 },
    { what: 'null', init: { body: 'null' }, path: '/graphql', status: 400 },
    { what: 'a number', init: { body: '7' }, path: '/graphql', status: 400 },
    { what: 'no query', init: { body: '{}' }, path: '/graphql', status: 400 },
    {
      what: 'variables that are a list',
      init: { body: '{"query":"{user}","variables":[]}' },
      path: '/graphql',
      status: 400,
    },
    {
      what: 'a body over 2 MB',
      init: { body: JSON.stringify({ query: '{ user }', x: 'x'.repeat(2_000_001) }) },
      path: '/graphql',
      status: 413,
    },
  ])('A request is refused as $what with $status', async ({ init, path, status }) => {
    const response = await send(init, path);
    expect(response.status).toBe(status);
    const text = await response.text();
    expect(text).toContain('"code":"BAD_USER_INPUT"');
    expect(text).not.toContain('"data"');
  });

  test('A request of over 2 MB is refused also if it comes in chunks and does not state its length', async () => {
    const authorization = `Bearer ${await edge.token()}`;
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const request = sendRequest(`${edge.url}/graphql`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
      });
      request.on('response', (response) => resolve(response.statusCode));
      request.on('error', reject);
      request.write('{"query":"{ user }","variables":{"x":"');
      for (let count = 0; count < 22; count += 1) request.write('x'.repeat(100_000));
      request.end('"}}');
    });
    expect(status).toBe(413);
  });

  test('A request to any other path is not found', async () => {
    expect((await send({ body }, '/graphql/x')).status).toBe(404);
    expect((await send({ body }, '/')).status).toBe(404);
  });

  test('A request keeps a sane request id and gets one otherwise', async () => {
    const kept = await edge.query('{ user }', {}, { headers: { 'x-request-id': 'web-1.2:3' } });
    expect(kept.headers.get('x-request-id')).toBe('web-1.2:3');
    const made = await edge.query('{ user }', {}, { headers: { 'x-request-id': 'a b"c' } });
    expect(made.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('pages of other origins', () => {
  const body = JSON.stringify({ query: '{ user }' });

  test('A page of another origin is refused', async () => {
    const answer = await send({ headers: { origin: 'https://evil.test' }, body });
    expect(answer.status).toBe(403);
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    expect((await send({ method: 'OPTIONS', headers: { origin: 'https://evil.test' } })).status).toBe(403);
    expect((await send({ headers: { origin: 'null' }, body })).status).toBe(403);
  });

  test('A page of an origin on the list is accepted, without credentials', async () => {
    const preflight = await send({ method: 'OPTIONS', headers: { origin: 'https://app.test' } });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization');
    const answer = await send({ headers: { origin: 'https://app.test' }, body });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.test');
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull();
  });

  test('A page of the server’s own origin is accepted', async () => {
    expect((await send({ headers: { origin: edge.url }, body })).status).toBe(200);
  });
});

describe('limits', () => {
  test.each([
    { what: 'aliases', document: `{ ${Array.from({ length: 31 }, (_, n) => `a${n}: user`).join(' ')} }` },
    { what: 'the length of aliases', document: `{ ${'a'.repeat(65)}: user }` },
    { what: 'directives', document: `{ ${Array.from({ length: 31 }, () => 'user @skip(if: false)').join(' ')} }` },
    { what: 'tokens', document: `{ ${'user '.repeat(4_001)} }` },
    { what: 'depth', document: `{ ${'... { '.repeat(20)} user ${'}'.repeat(20)} }`, deep: true },
  ])('An operation is limited in $what', async ({ document, deep }) => {
    const answer = await edge.query(deep ? nest(20) : document);
    expect(answer).toMatchObject({ status: 400, errors: [{ extensions: { code: 'QUERY_TOO_COMPLEX' } }] });
    expect(answer.errors[0]?.message).toMatch(/limit of \d+/);
  });

  test('The limit of cost keeps a subscription from starting its source', async () => {
    const before = ticks.opened;
    const answer = await edge.query(
      'subscription { expensive }',
      {},
      { headers: { accept: 'application/json, text/event-stream' } },
    );
    expect(JSON.stringify(answer)).toContain('QUERY_TOO_COMPLEX');
    expect(ticks.opened).toBe(before);
  });

  test('The limits let GraphiQL’s introspection of the real schema pass, and count pages into the cost', async () => {
    await using real = await startTestApp();
    const introspection = await real.query(
      getIntrospectionQuery({
        inputValueDeprecation: true,
        schemaDescription: true,
        specifiedByUrl: true,
        directiveIsRepeatable: true,
      }),
    );
    expect(introspection.errors).toEqual([]);
    expect(buildClientSchema(introspection.data).getQueryType()?.name).toBe('Query');

    const pages = `query ($n: Int) { conversations(first: $n) { edges { node { messages(first: $n) { edges { node {
      content agent { name } conversation { title } } } } } } } }`;
    expect(await real.query(pages, { n: 10 })).toMatchObject({ status: 200, errors: [] });
    expect(await real.query(pages, { n: 100 })).toMatchObject({
      status: 400,
      errors: [{ extensions: { code: 'QUERY_TOO_COMPLEX', cost: 40_301, limit: 20_000 } }],
    });
  });
});

describe('production', () => {
  test('In production the schema is hidden without a token, and GraphiQL does not exist', async () => {
    const env = {
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      ENCRYPTION_KEYS: `k1:${Buffer.alloc(32).toString('base64')}`,
      ALLOWED_ORIGINS: 'https://app.test',
    };
    await using live = await startTestApp({ env, schema: edgeSchema });
    const document = '{ __schema { queryType { name } } }';
    for (const query of [document, '{ __typename }', '{ this is no document']) {
      expect(await live.query(query, {}, { token: null })).toMatchObject({
        status: 401,
        errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
      });
    }
    expect((await live.query(document)).data).toEqual({ __schema: { queryType: { name: 'Query' } } });
    expect((await fetch(`${live.url}/graphql`, { headers: { accept: 'text/html' } })).status).toBe(405);
  });
});

describe('subscriptions over SSE', () => {
  const accept = { accept: 'text/event-stream' };

  test('A subscription over SSE is not begun for a client that cannot read it', async () => {
    const before = ticks.opened;
    const answer = await edge.query('subscription { tick }', {}, { headers: { accept: 'application/json' } });
    expect(answer).toMatchObject({ status: 400, errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
    expect(ticks.opened).toBe(before);
  });

  test('A subscription over SSE masks a failure in its midst, and ends', async () => {
    const text = await (await send({ headers: accept, body: '{"query":"subscription { sometimes }"}' })).text();
    expect(text).toContain('{"data":{"sometimes":0}}');
    expect(text).toContain('INTERNAL');
    const broken = await (await send({ headers: accept, body: '{"query":"subscription { breaks }"}' })).text();
    expect(broken).toContain('{"data":{"breaks":1}}');
    expect(broken).toContain('INTERNAL');
    expect(broken).toContain('event: complete');
    expect(text + broken).not.toContain('secret');
  });

  test('A subscription over SSE that is refused says why in the stream', async () => {
    const response = await send({ headers: accept, body: '{"query":"subscription { refused }"}' });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('NOT_FOUND');
    const masked = await (await send({ headers: accept, body: '{"query":"subscription { badly }"}' })).text();
    expect(masked).toContain('INTERNAL');
    expect(masked).not.toContain('secret');
  });

  test('A subscription over SSE ends its source when the reader leaves', async () => {
    const controller = new AbortController();
    const response = await send({
      headers: accept,
      body: '{"query":"subscription { tick }"}',
      signal: controller.signal,
    });
    const reader = response.body?.getReader();
    let text = '';
    while (!text.includes('"tick":0')) {
      const { value, done } = (await reader?.read()) ?? { done: true };
      if (done) throw new Error(`The stream ended with: ${text}`);
      text += new TextDecoder().decode(value);
    }
    expect(ticks.open).toBe(1);
    controller.abort();
    await expect.poll(() => ticks.open).toBe(0);
  });

  test('A subscription over SSE ends when the token expires', async () => {
    const authorization = `Bearer ${await edge.token({ ttl: 1 })}`;
    const text = await (
      await send({ headers: { ...accept, authorization }, body: '{"query":"subscription { tick }"}' })
    ).text();
    expect(text).toContain('{"data":{"tick":0}}');
    expect(text).toContain('UNAUTHENTICATED');
    await expect.poll(() => ticks.open).toBe(0);
  });
});

describe('the log', () => {
  test('The log has one line per operation, with who, what, how long and how many statements', async () => {
    await edge.query('query Warm { user }');
    const answer = await edge.query('query Count { statements missing }');
    expect(operationLog(answer.headers.get('x-request-id') ?? '')).toMatchObject([
      {
        user: 'alice',
        tenant: 'acme',
        operation: 'Count',
        type: 'query',
        transport: 'http',
        statements: 2,
        durationMs: expect.any(Number),
        errors: ['NOT_FOUND'],
      },
    ]);
  });

  test('The log has operations that were refused, too', async () => {
    const answer = await edge.query('query Bad { nothing }');
    expect(operationLog(answer.headers.get('x-request-id') ?? '')).toMatchObject([
      { operation: 'Bad', errors: ['BAD_USER_INPUT'] },
    ]);
    const nobody = await edge.query('{ user }', {}, { token: 'x' });
    expect(operationLog(nobody.headers.get('x-request-id') ?? '')).toMatchObject([
      { user: null, errors: ['UNAUTHENTICATED'] },
    ]);
  });

  test('The log never has a token, a variable or a text', async () => {
    const token = await edge.token({ sub: 'carol' });
    await edge.query('query ($t: String) { echo(text: $t) boom }', { t: 'my innermost thoughts' }, { token });
    await edge.query('query ($t: Int) { echo(count: $t) }', { t: 'my innermost thoughts' }, { token });
    await edge.query('{ user }', {}, { token: `${token}x` });
    const text = JSON.stringify(edge.logs);
    expect(text).toContain('carol');
    for (const secret of [token, token.split('.')[2], 'innermost']) expect(text).not.toContain(secret);
  });
});

describe('health', () => {
  test('/health says that the process lives, and /ready that it is ready', async () => {
    expect(await (await fetch(`${edge.url}/health`)).json()).toEqual({ status: 'ok' });
    const ready = await fetch(`${edge.url}/ready`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({ ready: true, draining: false, database: 'reachable', pendingMigrations: [] });
  });
});

describe('GraphiQL', () => {
  const page = (headers: Record<string, string> = {}) =>
    new Promise<string>((resolve, reject) => {
      sendRequest(`${edge.url}/graphql`, { headers: { accept: 'text/html', ...headers } }, (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve(text));
      })
        .on('error', reject)
        .end();
    });

  test('GraphiQL needs nothing from other servers', async () => {
    const html = await page();
    expect(html).toContain('subscription Turn');
    expect(html).not.toMatch(/<(script|link)[^>]+(src|href)="https?:/);
  });
});

/** A document whose selection sets lie within each other, by fields of introspection that may be asked to any depth. */
function nest(depth: number): string {
  return `{ __type(name: "Query") { ${'fields { type { '.repeat(depth / 2)} name ${'} }'.repeat(depth / 2)} } }`;
}

test('Browsers get an icon at the addresses where they look for one, also if no page is built; nothing in it can run', async () => {
  const drawn = await readFile(new URL('../../examples/web/public/favicon.svg', import.meta.url), 'utf8');
  for (const path of ['/favicon.ico', '/favicon.svg']) {
    const icon = await fetch(`${edge.url}${path}`);
    expect([icon.status, icon.headers.get('content-type')]).toEqual([200, 'image/svg+xml']);
    expect(icon.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await icon.text()).toBe(drawn);
    expect(await (await fetch(`${edge.url}${path}`, { method: 'HEAD' })).text()).toBe('');
  }
});
