import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelEndpoint } from '../../src/engine/ports.ts';
import { AddressGuard } from '../../src/outbound/address-guard.ts';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { inScope } from '../../src/telemetry/scope.ts';
import type { HttpToolDefinition } from '../../src/tools/http/definition.ts';
import { createHttpTool } from '../../src/tools/http/http-tool.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { startMcpServer, type TestMcpServer } from '../support/mcp/server.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;

let app: TestApp;
let mcp: TestMcpServer;
let user: SocketClient;
/** The headers of the requests that the operator's HTTP tool has received. */
const received: IncomingHttpHeaders[] = [];
const opened = new AsyncDisposableStack();

beforeAll(async () => {
  mcp = opened.use(await startMcpServer([{ name: 'look' }]));
  mcp.onCall = () => ({ content: [{ type: 'text', text: 'ok' }] });
  const system = createServer((request, response) => {
    received.push(request.headers);
    response.setHeader('content-type', 'application/json').end('{}');
  });
  await new Promise<void>((resolve) => system.listen(0, '127.0.0.1', resolve));
  opened.defer(() => void system.close());
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-telemetry-'));
  opened.defer(() => rm(folder, { recursive: true }));
  const path = join(folder, 'tools.json');
  const url = `http://127.0.0.1:${(system.address() as AddressInfo).port}/`;
  const parameters = { type: 'object', properties: {} };
  await writeFile(
    path,
    JSON.stringify({
      version: 1,
      httpTools: [{ name: 'ask_system', description: 'Asks.', method: 'GET', url, parameters }],
      mcpServers: [{ name: 'ours', url: mcp.url }],
    }),
  );
  app = opened.use(await startTestApp({ env: { TOOLS_FILE: path } }));
  user = await openSocketClient(app, 'alice');
});
afterAll(() => opened.disposeAsync());

const startRun = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';

/** Starts a turn in a request with an id and a trace, and reads it to its end. */
async function playTurn(requestId: string, agent: Record<string, unknown> = {}) {
  const agentId = await user.createAgent(agent);
  const conversationId = await user.createConversation({ agentId });
  const headers = { traceparent, 'x-request-id': requestId };
  const input = { conversationId, content: 'Hello', idempotencyKey: requestId };
  const { data, errors } = await app.query(startRun, { input }, { token: user.token, headers });
  expect(errors).toEqual([]);
  const runId: string = data.startRun.id;
  return { runId, events: await user.runEvents('ws', runId).rest() };
}

describe("The trace and the request's id are handed on", () => {
  test("They go to the operator's model server", async () => {
    app.model.add({ text: 'Yes.' });
    await playTurn('to-the-model');
    expect(app.model.requests.at(-1)?.headers).toMatchObject({ traceparent, 'x-request-id': 'to-the-model' });
  });

  test('A turn that waited in the queue has those of its own request, and not those of the turn before it', async () => {
    const conversationId = await user.createConversation({ agentId: await user.createAgent() });
    const gate = createGate();
    app.model.add({ text: ['First', ' one'], afterTokens: 1, gate }, { text: 'Second.' });
    const start = async (requestId: string, trace: string) => {
      const input = { conversationId, content: 'Hello', idempotencyKey: requestId, ifBusy: 'ENQUEUE' };
      const headers = { traceparent: `00-${trace}-00f067aa0ba902b7-01`, 'x-request-id': requestId };
      return (await app.query(startRun, { input }, { token: user.token, headers })).data.startRun.id;
    };
    const first = await start('first-request', traceId);
    await user.runEvents('ws', first).untilText('First');
    const second = await start('second-request', 'a'.repeat(32));
    gate.open();
    await user.runEvents('ws', second).rest();
    const headers = app.model.requests.slice(-2).map((request) => request.headers);
    expect(headers[0]).toMatchObject({ traceparent, 'x-request-id': 'first-request' });
    expect(headers[1]).toMatchObject({ 'x-request-id': 'second-request' });
    expect(headers[1]?.traceparent).toContain('a'.repeat(32));
  });

  test("They go to the operator's tools, over HTTP as headers and over MCP in _meta", async () => {
    app.model.add(
      {
        calls: [
          { name: 'ask_system', arguments: {} },
          { name: 'ours_look', arguments: {} },
        ],
      },
      { text: 'Yes.' },
    );
    await playTurn('to-the-tools', { tools: ['ask_system', 'ours_look'] });
    expect(received.at(-1)).toMatchObject({ traceparent, 'x-request-id': 'to-the-tools' });
    expect(mcp.calls.at(-1)?.meta).toMatchObject({ traceparent, 'switchboard/request': 'to-the-tools' });
  });
});

describe('They are not handed on to addresses of others', () => {
  const scope = () => ({
    requestId: 'a-request',
    trace: { traceId, spanId: '00f067aa0ba902b7', traceFlags: 1, isRemote: true },
  });
  const guard = new AddressGuard(['127.0.0.1:9999/v1']);

  /** The headers with which a model at an address is asked. */
  async function askModel(endpoint: Partial<ModelEndpoint>): Promise<Headers> {
    let sent = new Headers();
    const model = createOpenAiModel({
      guard,
      fetch: async (_url, init) => {
        sent = new Headers(init?.headers);
        return new Response('{"error":{"message":"no"}}', { status: 400 });
      },
    });
    const request = {
      endpoint: { api: 'CHAT_COMPLETIONS', apiUrl: '', apiKey: 'k', model: 'm', ...endpoint },
      instructions: '',
      history: [{ role: 'user', content: 'Hello' }],
      tools: [],
      temperature: null,
      maxTokens: null,
    } as const;
    await inScope(scope(), async () => {
      await expect(
        model.stream(request, new AbortController().signal)[Symbol.asyncIterator]().next(),
      ).rejects.toThrow();
    });
    expect(sent.get('authorization')).toBe('Bearer k');
    return sent;
  }

  test.each([
    ['A model at an address that a user wrote', { apiUrl: 'https://models.example.com/v1', guarded: true }, false],
    ['A provider that serves everybody', { apiUrl: 'https://api.openai.com/v1' }, false],
    ['A provider that serves everybody, with a part of Azure', { apiUrl: 'https://ours.openai.azure.com/x' }, false],
    ["The operator's gateway", { apiUrl: 'https://gateway.example.com/v1' }, true],
    ['A listed address that a user wrote', { apiUrl: 'http://127.0.0.1:9999/v1', guarded: true }, true],
    ['An address whose other paths are listed', { apiUrl: 'http://127.0.0.1:9999/other', guarded: true }, false],
  ] as const)('%s gets them only if it belongs to the operator', async (_, endpoint, isShared) => {
    const sent = await askModel(endpoint);
    expect(sent.get('traceparent')).toBe(isShared ? traceparent : null);
    expect(sent.get('x-request-id')).toBe(isShared ? 'a-request' : null);
  });

  test.each([
    ['http://127.0.0.1:9999/v1/ask', true],
    ['https://tools.example.com/ask', false],
  ])('A tool of a tenant at %s gets them only if the operator listed it', async (url, isShared) => {
    let sent = new Headers();
    const dial: typeof fetch = async (_url, init) => {
      sent = new Headers(init?.headers);
      return new Response('{}', { headers: { 'content-type': 'application/json' } });
    };
    const logger = app.app.logger;
    const network = { logger, fetchGuarded: dial, fetchOnce: dial, sharesTrace: (to: URL) => guard.isListed(to) };
    const definition: HttpToolDefinition = {
      ...{ name: 'ask', description: 'Asks.', method: 'GET', url, headers: { 'x-own': '1' }, timeoutMs: 1_000 },
      ...{ maxResultLength: 1_000, requiresApproval: false, isIdempotent: true, requiredRoles: [] },
      parameters: { type: 'object', properties: {} },
    };
    const tool = createHttpTool(definition, network);
    const viewer = { userId: 'u', tenantId: 't', roles: [], expiresAt: Number.POSITIVE_INFINITY };
    const context = { viewer, db: app.app.db, conversationId: null, runId: null, callId: null, epoch: null };
    const { signal } = new AbortController();
    await inScope(scope(), () => tool.call({}, { ...context, agentId: null, agentName: null, signal }));
    expect(sent.get('x-own')).toBe('1');
    expect(sent.get('traceparent')).toBe(isShared ? traceparent : null);
    expect(sent.get('x-request-id')).toBe(isShared ? 'a-request' : null);
  });
});

describe('The log', () => {
  test('It names the request and the trace in each line of a turn that the request started, and of no other', async () => {
    app.model.add({ misbehave: { status: 401, body: { error: { message: 'no', code: 'x' } } } });
    const { runId } = await playTurn('a-failed-turn');
    const lines = app.logs.filter((line) => line.runId === runId.slice('run_'.length) || line.msg === 'a turn failed');
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(line).toMatchObject({ requestId: 'a-failed-turn', traceId });
    const operations = app.logs.filter(({ msg, traceId: of }) => msg === 'operation' && of === traceId);
    expect(operations.map((line) => line.requestId)).toContain('a-failed-turn');
  });

  test('A socket brings an id and a trace with each operation; what is not well-formed gets new ones', async () => {
    const client = app.ws(user.token);
    const ask = (headers: Record<string, unknown>) =>
      new Promise<void>((resolve, reject) => {
        const query = 'query OverSocket { viewer { userId } }';
        client.subscribe({ query, extensions: { headers } }, { next: () => {}, error: reject, complete: resolve });
      });
    await ask({ 'X-Request-Id': 'over-a-socket', traceparent });
    await ask({ 'x-request-id': 'two words\n', traceparent: 'nonsense' });
    await ask({ 'x-request-id': 'x'.repeat(129), traceparent: 7 });
    const lines = app.logs.filter((line) => line.operation === 'OverSocket');
    expect(lines[0]).toMatchObject({ requestId: 'over-a-socket', traceId });
    for (const line of lines.slice(1)) {
      expect(line.requestId).toMatch(/^[0-9a-f-]{36}$/);
      expect(line.traceId).toBeUndefined();
    }
    expect(lines).toHaveLength(3);
  });
});

test('Without a collector, nothing of the SDK of OpenTelemetry is loaded', { timeout: 60_000 }, async () => {
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = new Set();
    registerHooks({ load(url, context, next) { loaded.add(url); return next(url, context); } });
    await import(${JSON.stringify(new URL('../../src/boot/app.ts', import.meta.url).href)});
    const found = [...loaded].filter((url) => /@opentelemetry\\/(sdk|exporter|otlp|resources|core)/.test(url));
    console.log(JSON.stringify({ found, all: loaded.size }));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
  const { found, all } = JSON.parse(stdout);
  expect(found).toEqual([]);
  expect(all).toBeGreaterThan(200);
});
