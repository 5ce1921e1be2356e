import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { EventFieldReader } from '../../src/tools/mcp/event-fields.ts';
import { startTestApp, type TestApp } from '../support/app.ts';

/** A message that was posted to the server. */
interface Posted {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly name?: string; readonly requestId?: number };
}
/** What the server does with a message in place of answering it; false: it answers. */
type Behave = (message: Posted, stream: ServerResponse, response: ServerResponse) => boolean;

const secret = 'Bearer sk-older-123456';
const executeDocument = 'mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { ok result error } }';

let app: TestApp;
let admin: string;
let http: Server;
let origin: string;
/** The status for a POST at the address of the stream. */
let postStatus: number;
/** What the first event of a stream names. */
let nameEndpoint: (session: number) => string | null;
let behave: Behave;
let onGet: (request: IncomingMessage, response: ServerResponse) => boolean;
const streams = new Map<number, ServerResponse>();
let sessions = 0;
let calls: string[] = [];
let authorizations = new Set<string | undefined>();
let servers = 0;

beforeAll(async () => {
  http = createServer((request, response) => void take(request, response));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: `${new URL(origin).host}/` } });
  admin = await app.token({ sub: 'root', roles: ['admin'] });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  http.close();
  http.closeAllConnections();
});
afterEach(() => endStreams());

function endStreams(): void {
  for (const stream of streams.values()) stream.destroy();
  streams.clear();
}

/** A server as the SDKs of 2024 made them: a stream at /sse, and an address of its own for each session. */
async function take(request: IncomingMessage, response: ServerResponse) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const url = new URL(request.url ?? '/', origin);
  authorizations.add(request.headers.authorization);
  if (request.method === 'GET' && url.pathname === '/sse') {
    if (onGet(request, response)) return;
    const session = ++sessions;
    streams.set(session, response);
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    const endpoint = nameEndpoint(session);
    if (endpoint !== null) response.write(`event: endpoint\ndata: ${endpoint}\n\n`);
    return;
  }
  if (request.method !== 'POST') return void response.end();
  if (url.pathname === '/sse') return void response.writeHead(postStatus).end('Method Not Allowed');
  const stream = streams.get(Number(url.searchParams.get('session')));
  if (stream === undefined) return void response.writeHead(404).end('Session not found');
  const message: Posted = JSON.parse(body);
  if (message.method === 'tools/call') calls.push(message.params?.name ?? '');
  if (behave(message, stream, response)) return;
  response.writeHead(202).end('Accepted');
  const result = answerTo(message);
  if (message.id !== undefined && result !== null) send(stream, { id: message.id, result });
}

function answerTo({ method, params }: Posted): unknown {
  if (method === 'initialize') {
    const capabilities = { tools: { listChanged: true } };
    return { protocolVersion: '2024-11-05', capabilities, serverInfo: { name: 'older', version: '1' } };
  }
  if (method === 'tools/list') return { tools: toolNames.map((name) => ({ name, inputSchema: { type: 'object' } })) };
  if (method === 'tools/call') return { content: [{ type: 'text', text: `done ${params?.name}` }] };
  return method === 'ping' ? {} : null;
}

let toolNames: readonly string[] = [];

function send(stream: ServerResponse, message: object): void {
  stream.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
}

async function ask(document: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await app.query(document, variables, { token: admin });
  expect(errors).toEqual([]);
  return data;
}

/** Connects a server. @returns its name, status and tools */
async function connect(given: readonly string[], behaves: Behave = () => false) {
  toolNames = given;
  behave = behaves;
  calls = [];
  authorizations = new Set();
  const name = `o${++servers}`;
  const input = { name, url: `${origin}/sse`, secretHeaders: [{ name: 'Authorization', value: secret }] };
  const { createMcpServer } = await ask(
    'mutation ($input: CreateMcpServerInput!) { createMcpServer(input: $input) { id status tools { name } } }',
    { input },
  );
  return { ...createMcpServer, name, tools: createMcpServer.tools.map((tool: { name: string }) => tool.name) };
}

async function call(name: string) {
  return (await ask(executeDocument, { input: { name, arguments: {} } })).executeTool;
}

/** As a plain server. */
function reset(): void {
  postStatus = 405;
  nameEndpoint = (session) => `/messages?session=${session}`;
  onGet = () => false;
}
reset();
afterEach(reset);

describe('MCP servers that only speak the older HTTP with SSE', () => {
  test.each([400, 404, 405, 501])(
    'M5 A server that refuses a POST with %i is spoken to over HTTP with SSE, with its headers',
    async (status) => {
      postStatus = status;
      const { name, tools } = await connect(['greet', 'wave']);
      expect(tools).toEqual([`${name}_greet`, `${name}_wave`]);
      expect(await call(`${name}_greet`)).toEqual({ ok: true, result: 'done greet', error: null });
      expect([...authorizations]).toEqual([secret]);
    },
  );

  test('A server that speaks neither protocol has failed, and the log has the status of its first refusal', async () => {
    onGet = (_request, response) => Boolean(response.writeHead(404).end('Nothing here, sk-echo.'));
    postStatus = 405;
    const { name, status } = await connect([]);
    expect(status).toBe('FAILED');
    const line = app.logs.find(({ mcpServer, msg }) => mcpServer === name && /connecting .* failed/.test(msg));
    expect(line).toMatchObject({ problem: 'BAD_ANSWER', code: 405 });
    expect(JSON.stringify(app.logs)).not.toContain('sk-echo');
  });

  test('A server that wants another token is not asked over the older protocol', async () => {
    let gets = 0;
    onGet = () => ++gets < 0;
    postStatus = 401;
    expect((await connect([])).status).toBe('FAILED');
    expect(gets).toBe(0);
  });

  test('A new list of tools is read when the stream says that it has changed', async () => {
    const { name } = await connect(['old']);
    toolNames = ['new'];
    for (const stream of streams.values()) send(stream, { method: 'notifications/tools/list_changed' });
    const names = async () => (await ask('{ tools { name } }')).tools.map((tool: { name: string }) => tool.name);
    await expect.poll(names, { timeout: 60_000 }).toContain(`${name}_new`);
  });

  test.each([
    ['of another origin', () => 'http://127.0.0.1:9/messages'],
    ['of a metadata service', () => 'http://169.254.169.254/latest'],
    ['that is no URL', () => 'http://['],
  ])('An address for messages %s is not posted to, and the server has failed', async (_, endpoint) => {
    nameEndpoint = endpoint;
    expect((await connect(['greet'])).status).toBe('FAILED');
  });

  test('A server that never names an address for messages has failed, and its stream is closed', async () => {
    const closed = Promise.withResolvers<void>();
    nameEndpoint = () => null;
    onGet = (_request, response) => {
      response.once('close', () => closed.resolve());
      return false;
    };
    const { name } = await connect(['greet']);
    await closed.promise;
    const failed = () => app.logs.some(({ mcpServer, msg }) => mcpServer === name && /connecting .* failed/.test(msg));
    await expect.poll(failed).toBe(true);
  });

  test.each(['the stream', 'a message'])('A redirect of %s is not followed', async (what) => {
    const redirect = (response: ServerResponse) => Boolean(response.writeHead(307, { location: '/sse' }).end());
    if (what === 'the stream') onGet = (_request, response) => redirect(response);
    const { name, status } = await connect(
      ['greet'],
      ({ method }, _stream, response) => what === 'a message' && method === 'tools/call' && redirect(response),
    );
    if (what === 'the stream') expect(status).toBe('FAILED');
    else expect(await call(`${name}_greet`)).toMatchObject({ ok: false, error: expect.stringContaining('redirect') });
  });
});

describe('Bounds of MCP servers over HTTP with SSE', () => {
  const long = 'x'.repeat(1_100_000);

  test('An answer that is too long fails one call, and not the one beside it', async () => {
    const slow = Promise.withResolvers<() => void>();
    const { name } = await connect(['slow', 'bad'], ({ id, method, params }, stream, response) => {
      if (method !== 'tools/call') return false;
      response.writeHead(202).end();
      const answer = (text: string) => send(stream, { id, result: { content: [{ type: 'text', text }] } });
      if (params?.name === 'bad') answer(long);
      else slow.resolve(() => answer('booked'));
      return true;
    });
    const first = call(`${name}_slow`);
    const release = await slow.promise;
    expect(await call(`${name}_bad`)).toMatchObject({ ok: false, error: expect.stringContaining('too long') });
    release();
    expect(await first).toEqual({ ok: true, result: 'booked', error: null });
  });

  test('A stream that says much and answers nothing is closed, and the call that waits for it fails', async () => {
    const closed = Promise.withResolvers<void>();
    const { name } = await connect(['bad'], ({ method }, stream, response) => {
      if (method !== 'tools/call') return false;
      response.writeHead(202).end();
      stream.once('close', () => closed.resolve());
      const notice = { method: 'notifications/message', params: { level: 'info', data: long } };
      for (let count = 0; count < 17; count++) send(stream, notice);
      return true;
    });
    expect(await call(`${name}_bad`)).toMatchObject({ ok: false, error: expect.stringContaining('failed during') });
    await closed.promise;
    behave = () => false;
    expect(await call(`${name}_bad`)).toMatchObject({ ok: true });
  });

  test('Messages that are no JSON, events of other names and comments are passed over', async () => {
    const { name } = await connect(['greet'], ({ method }, stream) => {
      if (method === 'tools/call') stream.write(': ping\n\nevent: ping\ndata: now\n\ndata: {no json\n\nretry: 1\n\n');
      return false;
    });
    expect(await call(`${name}_greet`)).toMatchObject({ ok: true });
  });

  test('A server that asks and takes no answers is left', async () => {
    let pongs = 0;
    const closed = Promise.withResolvers<void>();
    const { name } = await connect(['greet'], ({ method }) => {
      if (method === undefined) pongs += 1;
      return method === undefined;
    });
    const stream = [...streams.values()].at(-1);
    stream?.once('close', () => closed.resolve());
    for (let id = 0; id < 1_000; id++) stream && send(stream, { id, method: 'ping' });
    await closed.promise;
    expect(pongs).toBeLessThanOrEqual(32);
    expect(await call(`${name}_greet`)).toMatchObject({ ok: true });
  });
});

describe('Lost sessions of MCP servers over HTTP with SSE', () => {
  test('After the end of the stream, the next call begins a new session', async () => {
    const { name } = await connect(['greet']);
    endStreams();
    await expect
      .poll(() => app.logs.some(({ mcpServer, msg }) => mcpServer === name && /was lost/.test(msg)))
      .toBe(true);
    expect(await call(`${name}_greet`)).toMatchObject({ ok: true });
    expect(calls).toHaveLength(1);
  });

  test('A call that was sent when the stream ended fails, and is not made again', async () => {
    const { name } = await connect(['book'], ({ method }, stream, response) => {
      if (method !== 'tools/call') return false;
      response.writeHead(202).end();
      stream.destroy();
      return true;
    });
    expect(await call(`${name}_book`)).toMatchObject({ ok: false, error: expect.stringContaining('failed during') });
    expect(calls).toEqual(['book']);
  });

  test.each([400, 401, 404, 500, 503])(
    'A server that says %i to a session that it has forgotten gets the call once, in a new session',
    async (status) => {
      const { name } = await connect(['greet']);
      const [known] = [...streams.keys()].slice(-1);
      expect(await call(`${name}_greet`)).toMatchObject({ ok: true });
      calls = [];
      behave = ({ method }, stream, response) => {
        if (stream !== streams.get(known ?? -1)) return false;
        if (method === 'tools/call') calls.pop();
        response.writeHead(status).end('Could not find session');
        return true;
      };
      expect(await call(`${name}_greet`)).toEqual({ ok: true, result: 'done greet', error: null });
      expect(calls).toEqual(['greet']);
    },
  );

  test.each([400, 401, 500, 503])(
    'A call that was refused with %i in a known session is not made again',
    async (status) => {
      const { name } = await connect(['greet'], ({ method }, _stream, response) => {
        if (method !== 'tools/call') return false;
        response.writeHead(status).end('Not now');
        return true;
      });
      expect(await call(`${name}_greet`)).toMatchObject({ ok: false });
      expect(calls).toEqual(['greet']);
    },
  );
});

test('The fields of events are the same wherever the bytes are cut', () => {
  const text =
    'event: endpoint\ndata: /a?b=ü\n\n: note\r\ndata: {"a":\r\ndata: 1}\r\n\r\nid: 7\ndata:x\nevent:late\n\n\ndata\n\n';
  const read = (chunks: readonly Buffer[]) => {
    const events: [string, string][] = [];
    let data: Buffer[] = [];
    const fields = new EventFieldReader({
      onData: (piece) => void data.push(Buffer.from(piece)),
      onEnd: (name) => {
        events.push([name, Buffer.concat(data).toString('utf8').replace(/\s+/g, '')]);
        data = [];
      },
    });
    for (const chunk of chunks) fields.push(chunk);
    return events;
  };
  const bytes = Buffer.from(text);
  const wanted = [
    ['endpoint', '/a?b=ü'],
    ['', '{"a":1}'],
    ['late', 'x'],
  ];
  for (let at = 0; at <= bytes.length; at++) {
    expect(read([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(wanted);
  }
  expect(read([...bytes].map((byte) => Buffer.of(byte)))).toEqual(wanted);
});
