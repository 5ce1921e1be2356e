import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createNetServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readToolsFile } from '../../src/tools/registry/tools-file.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';

/** The official server: https://github.com/modelcontextprotocol/servers, src/everything. */
const everything = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
);
const mortal = fileURLToPath(new URL('../support/mcp/stdio.ts', import.meta.url));

let folder: string;
let written = 0;
const opened = new AsyncDisposableStack();

async function writeTools(content: unknown): Promise<string> {
  const path = join(folder, `tools-${++written}.json`);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

/** Starts the official server over streamable HTTP, at a free port. */
async function startEverything(): Promise<string> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  const env = { ...process.env, PORT: String(port) };
  const child = spawn(process.execPath, [everything, 'streamableHttp'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  opened.defer(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (chunk) => String(chunk).includes('listening') && resolve());
    child.once('exit', () => reject(new Error('The official server has ended.')));
  });
  return `http://127.0.0.1:${port}/mcp`;
}

/** A system of the operator's own, at a private address. */
async function startSystem(): Promise<Server> {
  const system = createServer((request, response) => {
    const { 'x-key': key, 'x-switchboard-tenant': tenant } = request.headers;
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ url: request.url, key, tenant }));
  });
  await new Promise<void>((resolve) => system.listen(0, '127.0.0.1', resolve));
  opened.defer(() => void system.close());
  return system;
}

let app: TestApp;
let user: SocketClient;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchboard-tools-'));
  opened.defer(() => rm(folder, { recursive: true }));
  const [url, system] = await Promise.all([startEverything(), startSystem()]);
  path = await writeTools({
    version: 1,
    httpTools: [
      {
        name: 'get_weather',
        description: 'The weather of a city.',
        method: 'GET',
        url: `http://127.0.0.1:${(system.address() as AddressInfo).port}/weather/{city}`,
        headers: { 'X-Key': 'op-secret-1' },
        parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      },
    ],
    mcpServers: [
      { name: 'pipe', command: process.execPath, args: [everything], env: { GREETING: 'hello' } },
      { name: 'web', url },
      { name: 'mortal', command: process.execPath, args: [mortal], requiresApproval: false },
      { name: 'missing', command: '/no/such/program' },
    ],
  });
  app = opened.use(await startTestApp({ env: { TOOLS_FILE: path } }));
  user = await openSocketClient(app, 'alice');
}, 240_000);
afterAll(() => opened.disposeAsync());

async function call(name: string, args: Record<string, unknown> = {}) {
  const document = 'mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { ok result error } }';
  return (await user.ask(document, { input: { name, arguments: args } })).executeTool;
}

async function talkWith(...tools: string[]) {
  const input = { name: `a${crypto.randomUUID()}`, instructions: 'Help.', tools };
  const agentId = await user.createAgent(input);
  const conversationId = await user.createConversation({ agentId });
  return conversationId;
}

test.each(['pipe', 'web'])('A turn uses the tools of the official server (%s)', async (server) => {
  const names = ['echo', 'get-sum', 'get-structured-content', 'get-tiny-image'].map((name) => `${server}_${name}`);
  const conversationId = await talkWith(...names);
  app.model.add(
    {
      expect: ({ tools, toolParameters }) => {
        expect(tools).toEqual(names);
        expect(toolParameters.get(`${server}_get-sum`)).toMatchObject({ type: 'object', required: ['a', 'b'] });
      },
      calls: [
        { name: `${server}_echo`, arguments: { message: 'Hello' } },
        { name: `${server}_get-sum`, arguments: { a: 19, b: 23 } },
        { name: `${server}_get-structured-content`, arguments: { location: 'Chicago' } },
        { name: `${server}_get-tiny-image`, arguments: {} },
        { name: `${server}_get-sum`, arguments: { a: 'many' } },
      ],
    },
    { text: 'It is 42.' },
  );
  const events = await user.chatTurn('ws', { conversationId }).rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  const calls = events.flatMap(({ __typename, toolCall }) => (__typename === 'ToolCallCompleted' ? [toolCall] : []));
  const ended = (index: number) => calls.find((one) => one?.callId.endsWith(`_${index}`));
  expect(calls).toHaveLength(5);
  const results = calls.map((one) => one?.result);
  expect(results).toContain('Echo: Hello');
  expect(JSON.stringify(results)).toContain('The sum of 19 and 23 is 42');
  expect(results).toContainEqual(expect.objectContaining({ temperature: expect.any(Number) }));
  expect(JSON.stringify(results)).toContain('"mimeType":"image/png"');
  expect(calls.filter((one) => one?.status === 'FAILED')).toHaveLength(1);
  expect(ended(4)?.error).toContain('arguments');
});

test('The operator’s own HTTP tool reaches private addresses, for every tenant', async () => {
  const conversationId = await talkWith('get_weather');
  app.model.add({ calls: [{ name: 'get_weather', arguments: { city: 'Köln' } }] }, { text: 'Rain.' });
  const events = await user.chatTurn('sse', { conversationId }).rest();
  expect(events.find((event) => event.__typename === 'ToolCallCompleted')?.toolCall?.result).toEqual({
    url: '/weather/K%C3%B6ln',
    // Its own secret, which the system sends back, is shown to nobody.
    key: '[secret]',
    tenant: 'acme',
  });
  const token = await app.token({ sub: 'eve', tenant: 'elsewhere' });
  const document = 'mutation { executeTool(input: { name: "get_weather", arguments: { city: "x" } }) { result } }';
  const { data } = await app.query(document, {}, { token });
  expect(data.executeTool.result.tenant).toBe('elsewhere');
  // What the operator has named, no tenant can name.
  const admin = await app.token({ sub: 'root', roles: ['admin'] });
  const inputs = [
    'createHttpTool(input: { name: "get_weather", description: "x", method: GET, url: "https://x.example", parameters: { type: "object" } })',
    'createMcpServer(input: { name: "pipe", url: "https://x.example" })',
  ];
  for (const input of inputs) {
    const { errors } = await app.query(`mutation { ${input} { id } }`, {}, { token: admin });
    expect(errors[0]?.extensions.code).toBe('CONFLICT');
  }
  expect(JSON.stringify(app.logs)).not.toContain('op-secret');
});

describe('an MCP server over stdio', () => {
  test('An MCP process that dies in mid-call is an error, and is started anew', async () => {
    const first = await call('mortal_pid');
    expect(first).toMatchObject({ ok: true, result: { pid: expect.any(Number) } });
    expect(await call('mortal_pid')).toEqual(first);
    const error = 'The MCP server of the tool failed during the call.';
    expect(await call('mortal_die')).toEqual({ ok: false, result: null, error });
    const second = await call('mortal_pid');
    expect(second.ok).toBe(true);
    expect(second.result.pid).not.toBe(first.result.pid);
  });

  test('An MCP process gets no more of the environment than its entry says', async () => {
    const { result } = await call('pipe_get-env');
    expect(result.GREETING).toBe('hello');
    expect(Object.keys(result)).not.toContain('VITEST');
  });

  test('An MCP process that answers more than is read fails in that call alone, and goes on', async () => {
    const before = await call('mortal_pid');
    const held = call('mortal_hold');
    expect(await call('mortal_flood')).toMatchObject({ ok: false, error: expect.stringContaining('too long') });
    expect(await call('mortal_release')).toMatchObject({ ok: true });
    expect(await held).toMatchObject({ ok: true });
    expect(await call('mortal_pid')).toEqual(before);
  });

  test('An MCP process that cannot be started is skipped, and logged', async () => {
    const { tools } = await user.ask('{ tools { name } }');
    const names = tools.map((tool: { name: string }) => tool.name);
    expect(names).toContain('mortal_pid');
    expect(names.filter((name: string) => name.startsWith('missing_'))).toEqual([]);
    const line = app.logs.find(({ mcpServer, problem }) => mcpServer === 'missing' && problem === 'UNREACHABLE');
    expect(line).toMatchObject({ code: 'ENOENT' });
  });

  test('An MCP process ends with the server, even if it ignores the signal', async () => {
    const given = { version: 1, mcpServers: [{ name: 'mortal', command: process.execPath, args: [mortal] }] };
    const other = await startTestApp({ env: { TOOLS_FILE: await writeTools(given) } });
    const token = await other.token();
    const document = 'mutation { executeTool(input: { name: "mortal_pid", arguments: {} }) { result } }';
    const { pid } = (await other.query(document, {}, { token })).data.executeTool.result;
    expect(() => process.kill(pid, 0)).not.toThrow();
    await other[Symbol.asyncDispose]();
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  }, 30_000);
});

test('An MCP server is connected to at the start, before anybody asks; one that hangs holds nothing up', async () => {
  const silence = createNetServer();
  await new Promise<void>((resolve) => silence.listen(0, '127.0.0.1', resolve));
  const { port } = silence.address() as AddressInfo;
  const mcpServers = [
    { name: 'mortal', command: process.execPath, args: [mortal] },
    { name: 'silent', url: `http://127.0.0.1:${port}/mcp` },
  ];
  const reached = new Promise<void>((resolve) => silence.once('connection', () => resolve()));
  const other = await startTestApp({ env: { TOOLS_FILE: await writeTools({ version: 1, mcpServers }) } });
  const connected = () =>
    other.logs.some(({ mcpServer, msg }) => mcpServer === 'mortal' && msg === 'an MCP server was connected');
  await expect.poll(connected, { timeout: 240_000 }).toBe(true);
  await reached;
  await other[Symbol.asyncDispose]();
  silence.close();
});

test('A shell and the MCP server that it has started end with us, though neither wants to', async () => {
  const witness = createNetServer();
  await new Promise<void>((resolve) => witness.listen(0, '127.0.0.1', resolve));
  const met = new Promise<Socket>((resolve) => witness.once('connection', resolve));
  const env = { WITNESS_PORT: String((witness.address() as AddressInfo).port) };
  // It is no exec: the shell has something left to do.
  const args = ['-c', '"$0" "$1"; true', process.execPath, mortal];
  const mcpServers = [{ name: 'shell', command: 'sh', args, env }];
  const other = await startTestApp({ env: { TOOLS_FILE: await writeTools({ version: 1, mcpServers }) } });
  const socket = await met;
  const gone = new Promise<void>((resolve) => socket.on('error', () => {}).once('close', () => resolve()));
  await other[Symbol.asyncDispose]();
  // Its end of the connection goes with the process.
  socket.resume();
  await gone;
  witness.close();
}, 30_000);

describe('a tools file', () => {
  const http = {
    name: 'x',
    description: 'x',
    method: 'GET',
    url: 'https://x.example/',
    parameters: { type: 'object' },
  };
  test.each<[string, unknown, string]>([
    ['of another version', { version: 2 }, 'version must be 1'],
    ['with an unknown field', { version: 1, tools: [] }, 'Unrecognized key: "tools"'],
    ['with an unknown field inside', { version: 1, httpTools: [{ ...http, secret: 'x' }] }, 'httpTools.0'],
    ['that is no YAML', 'version: [1', 'cannot be used'],
    ['that is empty', '', 'the file'],
    ['with a wrong schema', { version: 1, httpTools: [{ ...http, parameters: [] }] }, 'httpTools.0.parameters'],
    [
      'with a wrong placeholder',
      { version: 1, httpTools: [{ ...http, url: 'https://x.example/{y}' }] },
      'httpTools.0.url',
    ],
    ['with a name twice', { version: 1, httpTools: [http, http] }, 'httpTools.1.name is duplicated'],
    ['with nothing to reach', { version: 1, mcpServers: [{ name: 'x' }] }, 'must have either a url or a command'],
    [
      'with headers for a process',
      { version: 1, mcpServers: [{ name: 'x', command: 'x', headers: { a: 'b' } }] },
      'mcpServers.0 has headers',
    ],
    [
      'that blows up',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
        .split('')
        .map((k, n) => `${k}: &${k} [${Array(9).fill(`*${'abcdefgh'[n]}`).join(',')}]`)
        .join('\n')}`,
      'cannot be used',
    ],
    ['of two megabytes', `# ${'x'.repeat(2_000_000)}`, 'more than 1048576 bytes'],
  ])('A tools file with %s stops the start, and the message names the position', async (_what, content, message) => {
    const wrong = await writeTools(content);
    await expect(readToolsFile(wrong)).rejects.toThrow(message);
    await expect(readToolsFile(wrong)).rejects.toThrow(wrong);
  });

  test('A tools file that does not exist stops the start', async () => {
    const starting = startTestApp({ env: { TOOLS_FILE: join(folder, 'nothing.yaml') } });
    await expect(starting).rejects.toMatchObject({
      message: 'The tools of TOOLS_FILE cannot be used.',
      cause: expect.objectContaining({ message: expect.stringContaining('nothing.yaml') }),
    });
  });

  test('The example of a tools file can be used', async () => {
    const { httpTools, mcpServers } = await readToolsFile(
      fileURLToPath(new URL('../../examples/tools.yaml', import.meta.url)),
    );
    expect(httpTools.length).toBeGreaterThan(0);
    expect(mcpServers.map(({ address }) => address.kind)).toEqual(['stdio', 'http']);
  });
});
