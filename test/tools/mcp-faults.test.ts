import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { nameTool } from '../../src/tools/mcp/mcp-tool.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { startMcpServer, type TestMcpServer } from '../support/mcp/server.ts';

/** What a server written by hand answers a request of a method with; undefined: as an ordinary one does. */
type Answer = (message: { id: number; method?: string; name?: string }, response: ServerResponse) => boolean;

const secret = 'sk-write-only-123456';
let app: TestApp;
let admin: string;
let ordinary: TestMcpServer;
let http: Server;
let answer: Answer;
let tools: readonly string[];
/** The stream of notices. */
let stream: PromiseWithResolvers<ServerResponse>;
let sockets = 0;
let maxSockets = 0;
let waiting: ServerResponse[] = [];
let servers = 0;

beforeAll(async () => {
  ordinary = await startMcpServer([]);
  http = createServer((request, response) => void take(request, response));
  http.on('connection', (socket) => {
    maxSockets = Math.max(maxSockets, ++sockets);
    socket.on('error', () => {});
    socket.once('close', () => {
      sockets -= 1;
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const hosts = [ordinary.port, (http.address() as AddressInfo).port].map((port) => `127.0.0.1:${port}/`);
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: hosts.join(',') } });
  admin = await app.token({ sub: 'root', roles: ['admin'] });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  http.close();
  http.closeAllConnections();
  await ordinary[Symbol.asyncDispose]();
});

/** An MCP server by hand: what the SDK's would never do can be done. */
async function take(request: IncomingMessage, response: ServerResponse) {
  let body = '';
  for await (const chunk of request) body += chunk;
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    stream.resolve(response);
    return;
  }
  if (request.method !== 'POST') return void response.end();
  const { id, method, params } = JSON.parse(body);
  if (answer({ id, method, name: params?.name }, response)) return;
  const reply = (result: unknown) =>
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id, result }));
  if (method === 'initialize') {
    response.setHeader('mcp-session-id', 's');
    const capabilities = { tools: { listChanged: true } };
    reply({ protocolVersion: '2025-03-26', capabilities, serverInfo: { name: 'x', version: '1' } });
  } else if (method === 'tools/list') {
    reply({
      tools: tools.map((name) => ({
        name,
        description: request.headers.authorization,
        inputSchema: { type: 'object' },
      })),
    });
  } else if (method === 'tools/call') reply({ content: [{ type: 'text', text: `done ${params.name}` }] });
  else if (method === 'ping') reply({});
  else response.writeHead(202).end();
}

async function ask(document: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await app.query(document, variables, { token: admin });
  expect(errors).toEqual([]);
  return data;
}

/** Connects a server, and gives its name. */
async function connect(given: readonly string[], behave: Answer = () => false, url?: string, more = {}) {
  [tools, answer, stream] = [given, behave, Promise.withResolvers()];
  const name = `f${++servers}`;
  const input = { name, url: url ?? `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, ...more };
  const create =
    'mutation ($input: CreateMcpServerInput!) { createMcpServer(input: $input) { tools { name description problem } } }';
  const { createMcpServer } = await ask(create, { input });
  return { name, tools: createMcpServer.tools as { name: string; description: string; problem: string | null }[] };
}

async function call(name: string) {
  const document = 'mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { ok result error } }';
  return (await ask(document, { input: { name, arguments: {} } })).executeTool;
}

/** Holds calls of `slow` until they are let go, and does what it is told with those of `bad`. */
function holdSlow(bad: (id: number, response: ServerResponse) => void): { behave: Answer; held: Promise<() => void> } {
  const held = Promise.withResolvers<() => void>();
  const behave: Answer = ({ id, method, name }, response) => {
    if (method !== 'tools/call') return false;
    if (name === 'bad') bad(id, response);
    else {
      const result = { content: [{ type: 'text', text: 'booked' }] };
      const text = JSON.stringify({ jsonrpc: '2.0', id, result });
      held.resolve(() => void response.setHeader('content-type', 'application/json').end(text));
    }
    return true;
  };
  return { behave, held: held.promise };
}

describe('bad answers of an MCP server', () => {
  const long = JSON.stringify({ content: [{ type: 'text', text: 'x'.repeat(1_100_000) }] });
  const answers: [string, (id: number, response: ServerResponse) => void, RegExp][] = [
    ['429', (_id, response) => response.writeHead(429).end('slow down'), /status 429/],
    ['503', (_id, response) => response.writeHead(503).end('{"error":{"message":"inner"}}'), /status 503/],
    ['400', (_id, response) => response.writeHead(400).end('no'), /status 400/],
    ['no JSON', (_id, response) => response.setHeader('content-type', 'application/json').end('{'), /failed during/],
    ['a redirect', (_id, response) => response.writeHead(307, { location: '/mcp' }).end(), /redirect/],
    [
      'long JSON',
      (id, response) =>
        response.setHeader('content-type', 'application/json').end(`{"jsonrpc":"2.0","id":${id},"result":${long}}`),
      /too long/,
    ],
    ['a cut', (_id, response) => response.destroy(), /failed during/],
    [
      'a long stream that could be taken up again',
      (id, response) => {
        response.setHeader('content-type', 'text/event-stream');
        response.end(`id: 1\ndata: {"jsonrpc":"2.0","id":${id},"result":${long}}\n\n`);
      },
      /too long/,
    ],
  ];
  test.each(answers)(
    'One bad answer of an MCP server fails one call, and not those beside it: %s',
    async (_what, bad, error) => {
      const { behave, held } = holdSlow(bad);
      const { name } = await connect(['slow', 'bad'], behave);
      const slow = call(`${name}_slow`);
      const release = await held;
      expect(await call(`${name}_bad`)).toMatchObject({ ok: false, error: expect.stringMatching(error) });
      release();
      expect(await slow).toEqual({ ok: true, result: 'booked', error: null });
    },
  );
});

test('Notices before an answer use nothing of its limit', async () => {
  const notice = `data: ${JSON.stringify({
    jsonrpc: '2.0',
    method: 'notifications/message',
    params: { level: 'info', data: 'x'.repeat(10_000) },
  })}\n\n`;
  const { behave } = holdSlow((id, response) => {
    const result = { content: [{ type: 'text', text: 'y'.repeat(500_000) }] };
    response.setHeader('content-type', 'text/event-stream');
    response.end(`${notice.repeat(150)}data: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
  });
  const { name } = await connect(['bad'], behave);
  const { ok, result } = await call(`${name}_bad`);
  expect(ok).toBe(true);
  expect(result).toMatchObject({ truncated: true, text: expect.stringMatching(/^y+$/) });
});

test('A stream that stays open after its answer is closed', async () => {
  const closed = Promise.withResolvers<void>();
  const { behave } = holdSlow((id, response) => {
    response.once('close', () => closed.resolve());
    const result = { content: [{ type: 'text', text: 'booked' }] };
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
  });
  const { name } = await connect(['bad'], behave);
  expect(await call(`${name}_bad`)).toMatchObject({ ok: true, result: 'booked' });
  await closed.promise;
});

test.each([101, 9_000])(
  'A tool whose schema is nested %i deep is not offered and named, the others are',
  async (levels) => {
    const deep = `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;
    const { name, tools: listed } = await connect([], ({ id, method }, response) => {
      if (method !== 'tools/list') return false;
      const entries = `{"name":"deep","inputSchema":{"type":"object","a":${deep}}},{"name":"fine","inputSchema":{"type":"object"}}`;
      response.setHeader('content-type', 'application/json');
      response.end(`{"jsonrpc":"2.0","id":${id},"result":{"tools":[${entries}]}}`);
      return true;
    });
    expect(listed).toMatchObject([
      { name: `${name}_deep`, problem: 'Its schema must not be nested deeper than 100.' },
      { name: `${name}_fine`, problem: null },
    ]);
    const line = app.logs.find(({ mcpServer, msg }) => mcpServer === name && /not offered/.test(msg));
    expect(line).toMatchObject({ tools: ['deep'] });
  },
);

test('A call that was answered with 400 is not sent again, and what the answer says is reported', async () => {
  let calls = 0;
  const { behave } = holdSlow((id, response) => {
    calls += 1;
    response.writeHead(400, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32_602, message: 'card declined' } }));
  });
  const { name } = await connect(['bad'], behave);
  expect(await call(`${name}_bad`)).toEqual({ ok: false, result: null, error: 'card declined' });
  expect(calls).toBe(1);
});

test('After a restart of the MCP server, simultaneous calls are all sent again, once', async () => {
  ordinary.tools = [{ name: 'greet' }];
  const { name } = await connect([], undefined, ordinary.url);
  expect(await call(`${name}_greet`)).toMatchObject({ ok: true });
  for (let round = 0; round < 3; round++) {
    await ordinary.kill();
    await ordinary.revive();
    ordinary.calls.length = 0;
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => call(`${name}_greet`)));
    expect(outcomes.map(({ error }) => error)).toEqual(Array(6).fill(null));
    expect(ordinary.calls).toHaveLength(6);
  }
});

test.each(['', 'id: 7\ndata:\n\n'])('A call that times out leaves no connection behind (%j)', async (begun) => {
  waiting = [];
  const closed: Promise<unknown>[] = [];
  const { behave } = holdSlow((_id, response) => {
    closed.push(new Promise((resolve) => response.once('close', () => resolve(null))));
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(begun || ': begun\n\n');
  });
  const { name } = await connect(['bad'], behave, undefined, { timeoutMs: 3_000 });
  const outcomes = await Promise.all(Array.from({ length: 10 }, () => call(`${name}_bad`)));
  expect(outcomes.every(({ error }) => error === 'No answer within 3 seconds.')).toBe(true);
  expect(closed).toHaveLength(10);
  await Promise.all(closed);
});

test('An MCP server that asks and accepts no answers opens a bounded number of connections, and is left', async () => {
  const { name } = await connect(['a'], ({ method }, response) => {
    // The answers to its pings.
    if (method === undefined) waiting.push(response);
    return method === undefined;
  });
  const notices = await stream.promise;
  const left = new Promise((resolve) => notices.once('close', resolve));
  [maxSockets, stream] = [sockets, Promise.withResolvers()];
  const before = sockets;
  for (let id = 0; id < 5_000; id++) notices.write(`data: {"jsonrpc":"2.0","id":${id},"method":"ping"}\n\n`);
  await left;
  expect(maxSockets - before).toBeLessThanOrEqual(40);
  expect(await call(`${name}_a`)).toMatchObject({ ok: true });
});

test('A list of tools that could not be read again is read once more', async () => {
  let failing = 0;
  const { name } = await connect(['old'], ({ id, method }, response) => {
    if (method !== 'tools/list' || failing === 0) return false;
    failing -= 1;
    const error = { code: -32_603, message: 'busy' };
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id, error }));
    return true;
  });
  [failing, tools] = [1, ['new']];
  (await stream.promise).write('data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n');
  const names = async () => (await ask('{ tools { name } }')).tools.map((tool: { name: string }) => tool.name);
  await expect.poll(names, { timeout: 60_000 }).toContain(`${name}_new`);
  expect(failing).toBe(0);
});

describe('the name of an MCP tool', () => {
  test('The name of an MCP tool is one tool’s, whatever the server lists later', async () => {
    const { tools: first } = await connect(['delete draft']);
    const name = first[0]?.name ?? '';
    expect(name).toMatch(/_delete_draft_[0-9a-f]{8}$/);
    tools = ['delete draft', 'delete_draft', name.slice(name.indexOf('_') + 1)];
    (await stream.promise).write('data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n');
    const names = async () => (await ask('{ tools { name } }')).tools.map((tool: { name: string }) => tool.name);
    await expect.poll(names, { timeout: 60_000 }).toContain(name.replace(/_[0-9a-f]{8}$/, ''));
    expect(await call(name)).toMatchObject({ result: 'done delete draft' });
    expect(await call(name.replace(/_[0-9a-f]{8}$/, ''))).toMatchObject({ result: 'done delete_draft' });
  });

  test('The name of an MCP tool is not that of a handoff', () => {
    const name = nameTool('transfer', 'to_billing', new Set());
    expect(name).toMatch(/^transfer__to_billing_[0-9a-f]{8}$/);
    expect(nameTool('transfer', '_to_billing', new Set())).not.toBe(name);
    expect(nameTool('transfer', 'file', new Set())).toBe('transfer_file');
  });
});

test('A user with too many MCP calls in progress is told so; another user’s go on, and the server is answered', async () => {
  const held: (() => void)[] = [];
  const pong = Promise.withResolvers<void>();
  const { name } = await connect(['slow', 'quick'], ({ id, method, name: tool }, response) => {
    if (method === undefined) pong.resolve();
    if (tool !== 'slow') return false;
    const text = JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'booked' }] } });
    held.push(() => void response.setHeader('content-type', 'application/json').end(text));
    return true;
  });
  const slow = Array.from({ length: 40 }, () => call(`${name}_slow`));
  // Calls that are refused end immediately, the others when they are released.
  await expect.poll(() => held.length, { timeout: 240_000 }).toBe(32);
  (await stream.promise).write('data: {"jsonrpc":"2.0","id":"p","method":"ping"}\n\n');
  await pong.promise;
  expect(await call(`${name}_quick`)).toMatchObject({
    ok: false,
    error: expect.stringContaining('at most 32 per user'),
  });
  const bob = await app.token({ sub: 'bob' });
  const document = 'mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { ok result error } }';
  const quick = await app.query(document, { input: { name: `${name}_quick`, arguments: {} } }, { token: bob });
  expect(quick.data.executeTool).toEqual({ ok: true, result: 'done quick', error: null });
  for (const release of held) release();
  const outcomes = await Promise.all(slow);
  expect(outcomes.filter(({ result }) => result === 'booked')).toHaveLength(32);
  const refused = outcomes.filter(({ ok }) => !ok);
  expect(refused.map(({ error }) => error)).toEqual(Array(8).fill(expect.stringContaining('at most 32 per user')));
  expect(await call(`${name}_quick`)).toMatchObject({ ok: true });
});

describe('unknown sessions of an MCP server', () => {
  afterEach(() => {
    ordinary.unknownSessionStatus = 404;
  });

  test.each([
    [400, 'M1a'],
    [503, 'M1b'],
    [500, 'M1d'],
    [401, 'M1e'],
    [404, 'as the protocol says'],
  ])(
    'After a restart of an MCP server that says %i to unknown sessions, it is initialised anew and the call made once (%s)',
    async (status) => {
      ordinary.tools = [{ name: 'greet' }];
      ordinary.unknownSessionStatus = status;
      const { name } = await connect([], undefined, ordinary.url);
      expect(await call(`${name}_greet`)).toMatchObject({ ok: true });
      await ordinary.kill();
      await ordinary.revive();
      ordinary.calls.length = 0;
      expect(await call(`${name}_greet`)).toMatchObject({ ok: true, error: null });
      expect(ordinary.calls).toHaveLength(1);
    },
  );

  test.each([400, 401, 404, 500, 503])(
    'An MCP server that says %i to a session that it knew, over a connection that lasts, gets simultaneous calls once each',
    async (status) => {
      ordinary.tools = [{ name: 'greet' }];
      ordinary.unknownSessionStatus = status;
      const { name } = await connect([], undefined, ordinary.url);
      expect(await call(`${name}_greet`)).toMatchObject({ ok: true });
      ordinary.forget();
      ordinary.calls.length = 0;
      const outcomes = await Promise.all(Array.from({ length: 4 }, () => call(`${name}_greet`)));
      expect(outcomes.map(({ error }) => error)).toEqual(Array(4).fill(null));
      expect(ordinary.calls).toHaveLength(4);
    },
  );

  test.each([400, 401, 500, 503])(
    'A call that an MCP server refuses with %i in a session that it knows is not made again',
    async (status) => {
      let calls = 0;
      const { behave } = holdSlow((_id, response) => {
        calls += 1;
        response.writeHead(status).end('Bad session, or bad request, or bad luck.');
      });
      const { name } = await connect(['bad'], behave);
      expect(await call(`${name}_bad`)).toMatchObject({
        ok: false,
        error: expect.stringContaining(`status ${status}`),
      });
      expect(calls).toBe(1);
    },
  );
});

describe('a secret in an answer', () => {
  const secretHeaders = [{ name: 'Authorization', value: `Bearer ${secret}` }];

  test('A secret that an MCP server sends back is shown to nobody', async () => {
    const text = (id: number, text: string, isError: boolean) =>
      JSON.stringify({ jsonrpc: '2.0', id, result: { isError, content: [{ type: 'text', text }] } });
    let said = '';
    let isError = false;
    const { behave } = holdSlow((id, response) =>
      response.setHeader('content-type', 'application/json').end(text(id, said, isError)),
    );
    const { name, tools: listed } = await connect(['bad'], behave, undefined, { secretHeaders });
    expect(listed).toEqual([{ name: `${name}_bad`, description: '[secret]', problem: null }]);
    said = JSON.stringify({ [secret]: [`Bearer ${secret}`, `key ${secret}!`], fine: 1 });
    expect(await call(`${name}_bad`)).toMatchObject({ result: { '[secret]': ['[secret]', 'key [secret]!'], fine: 1 } });
    // The limit of an error must not leave a part of it.
    [said, isError] = [`${'x'.repeat(1_990)}${secret}`, true];
    expect((await call(`${name}_bad`)).error).not.toContain('sk-w');
  });

  test.each([200, 401])('A secret that an HTTP tool sends back is shown to nobody (%i)', async (status) => {
    const system = createServer((request, response) => {
      const said = request.headers.authorization;
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ said, plain: request.headers['x-plain'] }));
    });
    http.removeAllListeners('request').on('request', (...both) => system.emit('request', ...both));
    const input = {
      name: `echo_${status}`,
      description: 'Echoes.',
      method: 'GET',
      url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/`,
      parameters: { type: 'object' },
      headers: [{ name: 'X-Plain', value: 'plain-value' }],
      secretHeaders,
    };
    await ask('mutation ($input: CreateHttpToolInput!) { createHttpTool(input: $input) { id } }', { input });
    const outcome = JSON.stringify(await call(`echo_${status}`));
    expect(outcome).toContain('[secret]');
    expect(outcome).toContain('plain-value');
    expect(outcome).not.toContain(secret);
  });
});
