import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { startMcpServer, type TestMcpServer } from '../support/mcp/server.ts';

const secret = 'Bearer sk-mcp-secret-4321';

let server: TestMcpServer;
let trap: TestMcpServer;
/** It takes requests and never answers. */
let silent: { url: string; close: () => void };
let app: TestApp;
let admin: string;
let user: SocketClient;

beforeAll(async () => {
  [server, trap] = await Promise.all([startMcpServer([]), startMcpServer([])]);
  silent = await startSilence();
  const allowed = [server.port, new URL(silent.url).port].map((port) => `127.0.0.1:${port}/`).join(',');
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: allowed } });
  admin = await app.token({ sub: 'root', roles: ['admin'] });
  user = await openSocketClient(app, 'alice');
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  silent.close();
  await Promise.all([server[Symbol.asyncDispose](), trap[Symbol.asyncDispose]()]);
});

async function startSilence() {
  const http = createServer(() => {});
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const close = () => {
    http.close();
    http.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, close };
}

const createDocument = `mutation ($input: CreateMcpServerInput!) {
  createMcpServer(input: $input) { id name url secretHeaders { name hint } status tools { name } timeoutMs } }`;
const updateDocument = `mutation ($id: ID!, $input: UpdateMcpServerInput!) {
  updateMcpServer(id: $id, input: $input) { id name droppedSecretHeaders secretHeaders { name } status } }`;
const executeDocument = 'mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { ok result error } }';

let servers = 0;
let name: string;
let id: string;
beforeEach(async () => {
  await server.revive();
  server.tools = [{ name: 'greet', description: 'Greets.' }];
  server.pageSize = Number.POSITIVE_INFINITY;
  server.requiredHeaders = {};
  server.onCall = () => ({ content: [{ type: 'text', text: 'Done.' }] });
  server.calls.length = 0;
  server.lists = 0;
  name = `srv${++servers}`;
  const input = { name, url: server.url, secretHeaders: [{ name: 'Authorization', value: secret }], timeoutMs: 5_000 };
  id = (await ask('mutation ($input: CreateMcpServerInput!) { createMcpServer(input: $input) { id } }', { input }))
    .createMcpServer.id;
});
afterEach(async () => {
  await ask('mutation ($id: ID!) { updateMcpServer(id: $id, input: { isActive: false }) { id } }', { id });
});

async function ask(document: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await app.query(document, variables, { token: admin });
  expect(errors).toEqual([]);
  return data;
}

async function call(tool: string, args: Record<string, unknown> = {}) {
  return (await user.ask(executeDocument, { input: { name: `${name}_${tool}`, arguments: args } })).executeTool;
}

async function listNames(): Promise<string[]> {
  const { tools } = await user.ask('{ tools { name source } }');
  return tools.flatMap((tool: { name: string; source: string }) => (tool.source === 'MCP' ? [tool.name] : []));
}

/** A conversation with an agent that has tools of the server. */
async function talkWith(...tools: string[]) {
  const input = {
    name: `a${crypto.randomUUID()}`,
    instructions: 'Help.',
    tools: tools.map((tool) => `${name}_${tool}`),
  };
  const agentId = await user.createAgent(input);
  const conversationId = await user.createConversation({ agentId });
  return { conversationId, agentId };
}

function completed(events: readonly { __typename: string; toolCall?: unknown }[]) {
  return events.flatMap((event) => (event.__typename === 'ToolCallCompleted' ? [event.toolCall] : []));
}

test('A turn calls an MCP tool, which is told who asks; the list is read once, not once a turn', async () => {
  const { conversationId } = await talkWith('greet');
  const tool = `${name}_greet`;
  let runId: string | undefined;
  for (let turn = 0; turn < 3; turn++) {
    app.model.add({ calls: [{ id: 'c1', name: tool, arguments: { to: 'Bob' } }] }, { text: 'Greeted.' });
    const events = await user.chatTurn('ws', { conversationId }).rest();
    runId = events[0]?.runId;
    expect(completed(events)).toEqual([expect.objectContaining({ status: 'SUCCEEDED', result: 'Done.' })]);
  }
  expect(server.lists).toBe(1);
  expect(server.calls).toHaveLength(3);
  expect(server.calls[2]).toMatchObject({
    name: 'greet',
    arguments: { to: 'Bob' },
    meta: {
      'switchboard/user': 'alice',
      'switchboard/tenant': 'acme',
      'switchboard/roles': [],
      'switchboard/conversation': conversationId,
      'switchboard/run': runId,
      'switchboard/call': expect.stringContaining(`${runId}:`),
    },
    headers: { authorization: secret },
  });
  expect(JSON.stringify(app.logs)).not.toContain('mcp-secret');
});

describe('the answer of an MCP tool', () => {
  const answers: [string, unknown, unknown][] = [
    ['JSON in a text', { content: [{ type: 'text', text: '{"a":[1]}' }] }, { a: [1] }],
    ['structure', { content: [], structuredContent: { b: 2 } }, { b: 2 }],
    ['nothing', { content: [] }, null],
    [
      'a picture',
      { content: [{ type: 'image', mimeType: 'image/png', data: 'AAAA' }] },
      { type: 'image', mimeType: 'image/png', bytes: 3, note: 'It is not shown here.' },
    ],
    [
      'several things',
      {
        content: [
          { type: 'text', text: 'one' },
          { type: 'resource_link', uri: 'file:///x', name: 'x' },
        ],
      },
      ['one', { type: 'resource_link', uri: 'file:///x', name: 'x', mimeType: null }],
    ],
  ];
  test.each(answers)('The answer of an MCP tool is read: %s', async (_what, answer, result) => {
    server.onCall = () => answer;
    expect(await call('greet')).toEqual({ ok: true, result, error: null });
  });

  test('The answer of an MCP tool may be an error of its own', async () => {
    server.onCall = () => ({ isError: true, content: [{ type: 'text', text: 'There is no Bob.' }] });
    expect(await call('greet')).toEqual({ ok: false, result: null, error: 'There is no Bob.' });
  });

  test('The answer of an MCP tool may be an error of the protocol', async () => {
    server.onCall = () => {
      throw new Error('It broke.');
    };
    expect(await call('greet')).toMatchObject({ ok: false, error: expect.stringContaining('It broke.') });
    server.onCall = () => ({ content: 7 });
    expect((await call('greet')).ok).toBe(false);
    server.onCall = () => ({ content: [] });
    expect((await call('greet')).ok).toBe(true);
  });

  test('The answer of an MCP tool is cut without showing the part of a secret at its end', async () => {
    const echoed = `${'x'.repeat(19_960)}${secret}`;
    server.onCall = () => ({ content: [{ type: 'text', text: echoed + 'y'.repeat(900_000) }] });
    const { ok, result } = await call('greet');
    expect(ok).toBe(true);
    expect(result).toMatchObject({ truncated: true });
    expect(JSON.stringify(result).length).toBeLessThanOrEqual(20_000);
    expect(result.text).toContain('x[secret');
    expect(result.text).not.toContain('sk-');
  });

  test('The answer of an MCP tool is read up to its limit', async () => {
    server.onCall = () => ({ content: [{ type: 'text', text: 'x'.repeat(1_100_000) }] });
    const error = 'The answer of the MCP server was too long: it has more than 1048576 bytes.';
    expect(await call('greet')).toEqual({ ok: false, result: null, error });
    await ask(updateDocument, { id, input: { maxResultLength: 1_000_000 } });
    expect(await call('greet')).toMatchObject({ ok: true, result: { truncated: true } });
    server.onCall = () => ({ content: [] });
    expect((await call('greet')).ok).toBe(true);
  });

  test('The answer of an MCP tool that never comes is given up', async () => {
    await ask(updateDocument, { id, input: { timeoutMs: 100 } });
    server.onCall = () => new Promise(() => {});
    expect(await call('greet')).toMatchObject({ ok: false, error: 'No answer within 0.1 seconds.' });
    expect(server.calls).toHaveLength(1);
  });
});

describe('arguments', () => {
  test('Arguments of an MCP tool are checked before the server is asked', async () => {
    server.tools = [
      { name: 'add', inputSchema: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] } },
    ];
    expect(await call('add', { n: 'x' })).toMatchObject({
      ok: false,
      error: expect.stringContaining('must be number'),
    });
    expect(await call('add', { n: 1 })).toMatchObject({ ok: true });
    expect(server.calls).toHaveLength(1);
  });

  test('Arguments of an MCP tool are left to the server if its schema cannot be compiled', async () => {
    const broken = { type: 'object', properties: { n: { $ref: '#/nowhere' } } };
    server.tools = [{ name: 'odd', inputSchema: broken }];
    expect(await call('odd', { n: 'x' })).toMatchObject({ ok: true });
    const noted = app.logs.filter((line) => line.tool === `${name}_odd` && line.msg === 'a schema is not enforced');
    expect(noted).toHaveLength(1);
  });
});

describe('schemas as servers write them', () => {
  const anyOf = [
    { properties: { id: { type: 'integer' } }, required: ['id'] },
    { properties: { key: { type: 'string' } } },
  ];
  const schemas: Record<string, unknown> = {
    a_none: undefined,
    b_null: null,
    c_empty: {},
    d_dialect: { $schema: 'http://json-schema.org/draft-07/schema#' },
    e_alternatives: { anyOf },
    f_properties: { properties: { q: { $ref: '#/$defs/q' } }, $defs: { q: { const: 'x' } } },
    g_text: { type: 'string' },
  };

  test('M2 Tools whose schema has no type are kept and offered in a form that providers take; others are left out of the turn', async () => {
    server.tools = Object.entries(schemas).map(([tool, inputSchema]) => ({ name: tool, inputSchema }));
    const offered = Object.keys(schemas).filter((tool) => tool !== 'g_text');
    const { conversationId } = await talkWith(...Object.keys(schemas));
    const seen: [name: string, parameters: unknown][] = [];
    app.model.add({ text: 'Hello.', expect: (request) => void seen.push(...request.toolParameters) });
    const events = await user.chatTurn('ws', { conversationId }).rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    expect(seen.map(([tool]) => tool.slice(name.length + 1))).toEqual(offered);
    for (const [, parameters] of seen) expect(parameters).toMatchObject({ type: 'object', properties: {} });
    expect(seen[4]?.[1]).toEqual({
      type: 'object',
      properties: { id: { type: 'integer' }, key: { type: 'string' } },
    });
    expect(seen[5]?.[1]).toEqual({ type: 'object', properties: { q: { type: 'string', enum: ['x'] } } });
    expect(JSON.stringify(seen)).not.toContain('$');
    const { tools } = await user.ask('{ tools { name problem } }');
    const left = tools.find((tool: { name: string }) => tool.name === `${name}_g_text`);
    expect(left?.problem).toBe('Its schema must have "type": "object" at its root.');
    expect(await call('a_none')).toMatchObject({ ok: true });
    // The server's own schema is enforced.
    expect(await call('e_alternatives', { id: 'x' })).toMatchObject({ ok: true });
    expect(await call('f_properties', { q: 'y' })).toMatchObject({ ok: false });
  });
});

describe('the list', () => {
  test('A list of 10,000 MCP tools is read up to 500, and the log says so', async () => {
    server.tools = Array.from({ length: 10_000 }, (_, n) => ({ name: `t${String(n).padStart(5, '0')}` }));
    expect(await listNames()).toHaveLength(500);
    const line = app.logs.find((entry) => entry.mcpServer === name && entry.tools === 500);
    expect(line).toMatchObject({ leftOut: 9_500, msg: 'an MCP server was connected' });
    expect(await call('t00001')).toMatchObject({ ok: true });
  });

  test('A list of MCP tools that never ends is not read to its end', async () => {
    server.tools = Array.from({ length: 10_000 }, (_, n) => ({ name: `t${n}` }));
    server.pageSize = 1;
    const before = server.requests;
    expect(await listNames()).toHaveLength(100);
    expect(server.requests - before).toBeLessThan(110);
  });

  test('A list of MCP tools leaves out what is invalid, and says why models are not offered a tool', async () => {
    server.tools = [
      { name: 'good' },
      { name: 'no schema', inputSchema: 7 },
      { name: 'huge', inputSchema: { type: 'object', description: 'x'.repeat(70_000) } },
      { name: 'task', execution: { taskSupport: 'required' } },
      { name: 'dotted.name/ü' },
      { name: 'dotted name/ü' },
      { name: 'n'.repeat(100) },
    ];
    const names = await listNames();
    const ours = names.map((tool) => tool.slice(name.length + 1));
    expect(ours).toEqual([
      expect.stringMatching(/^dotted_name___[0-9a-f]{8}$/),
      expect.stringMatching(/^dotted_name___[0-9a-f]{8}$/),
      'good',
      'huge',
      expect.stringMatching(/^n+_[0-9a-f]{8}$/),
    ]);
    const { tools } = await user.ask('{ tools { name problem } }');
    const problems = tools.flatMap((tool: { name: string; problem: string | null }) => (tool.problem ? [tool] : []));
    expect(problems).toEqual([
      { name: `${name}_huge`, problem: 'Its schema must be at most 65536 characters as JSON.' },
    ]);
    for (const tool of names) expect(tool).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
    expect(await call(ours[1] ?? '')).toMatchObject({ ok: true });
    expect(server.calls.map((one) => one.name)).toEqual([expect.stringMatching(/^dotted[. ]name\/ü$/)]);
  });

  test('A list of MCP tools that changes in mid-turn: a tool that is gone is an error for the model, the next turn has the new ones', async () => {
    server.tools = [{ name: 'old' }, { name: 'greet' }];
    const { conversationId } = await talkWith('old', 'greet');
    server.onCall = async () => {
      server.tools = [{ name: 'greet' }, { name: 'new' }];
      await server.announceChange();
      return { content: [] };
    };
    app.model.add(
      { calls: [{ name: `${name}_greet`, arguments: {} }] },
      {
        // The list is read again before the model goes on: the server was asked for it.
        calls: [{ name: `${name}_old`, arguments: {} }],
        gate: (async () => {
          await server.called(1);
          await expect.poll(() => listNames()).toContain(`${name}_new`);
        })(),
      },
      { text: 'It is gone.' },
    );
    const events = await user.chatTurn('ws', { conversationId }).rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    expect(completed(events)).toEqual([
      expect.objectContaining({ status: 'SUCCEEDED' }),
      expect.objectContaining({ status: 'FAILED', error: 'The MCP server no longer has a tool named old.' }),
    ]);
    expect(server.lists).toBe(2);
    app.model.add({ text: 'Hi.', expect: ({ tools }) => expect(tools).toEqual([`${name}_greet`]) });
    await user.chatTurn('ws', { conversationId }).rest();
  });
});

describe('a server', () => {
  test('An MCP server that dies in mid-call is an error for the model; the next call finds it again', async () => {
    const { conversationId } = await talkWith('greet');
    server.onCall = async () => {
      await server.kill();
      return { content: [] };
    };
    app.model.add({ calls: [{ name: `${name}_greet`, arguments: {} }] }, { text: 'It failed.' });
    const events = await user.chatTurn('ws', { conversationId }).rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    const error = 'The MCP server of the tool failed during the call.';
    expect(completed(events)).toEqual([expect.objectContaining({ status: 'FAILED', error })]);
    server.onCall = () => ({ content: [{ type: 'text', text: 'Back.' }] });
    // While it is away, its tools stay offered, and a call says that it is away.
    expect(await call('greet')).toMatchObject({ ok: false, error: expect.stringContaining('cannot be reached') });
    await server.revive();
    expect(await call('greet')).toEqual({ ok: true, result: 'Back.', error: null });
  });

  test('An MCP server that has forgotten its sessions is asked again, and calls the tool once', async () => {
    expect(await call('greet')).toMatchObject({ ok: true });
    await server.kill();
    await server.revive();
    expect(await call('greet')).toMatchObject({ ok: true });
    expect(server.calls).toHaveLength(2);
  });

  test('An MCP server that is down does not stop a turn, nor delay the one after it', async () => {
    const { conversationId } = await talkWith('greet');
    const other = `gone${servers}`;
    const input = { name: other, url: server.url.replace('/mcp', '/nothing'), timeoutMs: 1_000 };
    await server.kill();
    const gone = (await ask(createDocument, { input })).createMcpServer;
    expect(gone.tools).toEqual([]);
    const { node } = await ask('query ($id: ID!) { node(id: $id) { ... on McpServer { status } } }', { id: gone.id });
    expect(node.status).toMatch(/^(FAILED|CONNECTING)$/);
    for (let turn = 0; turn < 2; turn++) {
      app.model.add({ text: 'Hello.' });
      const events = await user.chatTurn('ws', { conversationId }).rest();
      expect(events.at(-1)?.__typename).toBe('RunCompleted');
    }
    await server.revive();
    await ask('mutation ($id: ID!) { deleteMcpServer(id: $id) }', { id: gone.id });
  });

  test('An MCP server that hangs at the connection holds a turn up for a while, and not to the end', async () => {
    const { conversationId } = await talkWith('greet');
    await ask(updateDocument, { id, input: { url: silent.url } });
    for (let turn = 0; turn < 2; turn++) {
      app.model.add({ text: 'Hello.', expect: ({ tools }) => expect(tools).toEqual([]) });
      const events = await user.chatTurn('ws', { conversationId }).rest();
      expect(events.at(-1)?.__typename).toBe('RunCompleted');
    }
    // Nobody has waited for the end of connecting. Who asks for the status does.
    const noted = () => app.logs.filter((entry) => entry.mcpServer === name && entry.problem !== undefined);
    const readStatus = async () =>
      (await ask('query ($id: ID!) { node(id: $id) { ... on McpServer { status } } }', { id })).node.status;
    await expect.poll(readStatus, { timeout: 60_000 }).toBe('FAILED');
    expect(noted().length).toBeGreaterThan(0);
  });

  test('An MCP server that refuses our credentials is told apart in the log, which holds nothing of what it said', async () => {
    server.requiredHeaders = { authorization: 'another' };
    expect(await listNames()).toEqual([]);
    const line = app.logs.find((entry) => entry.mcpServer === name && entry.problem === 'UNAUTHORIZED');
    expect(line).toMatchObject({ code: 401, msg: 'connecting to an MCP server failed' });
    expect(JSON.stringify(app.logs)).not.toMatch(/echo-of-a-secret|mcp-secret/);
    const { node } = await ask('query ($id: ID!) { node(id: $id) { ... on McpServer { status } } }', { id });
    expect(node.status).toBe('FAILED');
  });

  test('An MCP server has its status checked, with its tools and without them', async () => {
    const both = await ask(createDocument, { input: { name: `both${servers}`, url: server.url } });
    expect(both.createMcpServer).toMatchObject({ status: 'CONNECTED', tools: [{ name: `both${servers}_greet` }] });
    const create = 'mutation ($input: CreateMcpServerInput!) { createMcpServer(input: $input) { id status } }';
    const alone = await ask(create, { input: { name: `alone${servers}`, url: server.url } });
    expect(alone.createMcpServer.status).toBe('CONNECTED');
    server.requiredHeaders = { authorization: 'another' };
    const refused = await ask(create, { input: { name: `refused${servers}`, url: server.url } });
    expect(refused.createMcpServer.status).toBe('FAILED');
    const off = await ask(create, { input: { name: `off${servers}`, url: server.url, isActive: false } });
    expect(off.createMcpServer.status).toBe('NOT_CONNECTED');
    for (const { createMcpServer } of [both, alone, refused, off]) {
      await ask('mutation ($id: ID!) { deleteMcpServer(id: $id) }', { id: createMcpServer.id });
    }
  });

  test('An MCP server at a private address that the operator does not allow is not dialled', async () => {
    const refused = await app.query(updateDocument, { id, input: { url: trap.url } }, { token: admin });
    expect(refused.errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', path: ['input', 'url'] });
    // As if its name had led elsewhere when it was written.
    await app.app.db.mcpServer.update({ where: { id: id.slice(4) }, data: { url: trap.url } });
    app.app.runs.agents.config.clear();
    expect(await listNames()).toEqual([]);
    expect(trap.requests).toBe(0);
    const line = app.logs.find((entry) => entry.mcpServer === name && entry.problem === 'ADDRESS_NOT_ALLOWED');
    expect(line).toBeDefined();
  });

  test('An MCP server is stored with secrets that are never read back, and dropped with its origin', async () => {
    const { node } = await ask(
      'query ($id: ID!) { node(id: $id) { ... on McpServer { secretHeaders { name hint } headers { name } } } }',
      { id },
    );
    expect(node).toEqual({ secretHeaders: [{ name: 'authorization', hint: '4321' }], headers: [] });
    const moved = await ask(updateDocument, { id, input: { url: 'https://mcp.example.invalid/mcp' } });
    expect(moved.updateMcpServer).toMatchObject({ droppedSecretHeaders: ['authorization'], secretHeaders: [] });
  });

  test('An MCP server is not deleted while agents have its tools', async () => {
    const { agentId } = await talkWith('greet');
    const remove = 'mutation ($id: ID!) { deleteMcpServer(id: $id) }';
    const refused = await app.query(remove, { id }, { token: admin });
    expect(refused.errors[0]?.extensions.code).toBe('CONFLICT');
    const renamed = await app.query(updateDocument, { id, input: { name: 'other-name' } }, { token: admin });
    expect(renamed.errors[0]?.extensions.code).toBe('CONFLICT');
    await user.ask('mutation ($id: ID!) { deleteAgent(id: $id) }', { id: agentId });
    await ask(updateDocument, { id, input: { name: `${name}-2` } });
    expect(await listNames()).toEqual([`${name}-2_greet`]);
  });

  test.each<[string, Record<string, unknown>, string, unknown[]?]>([
    ['a name with an underscore', { name: 'a_b' }, 'BAD_USER_INPUT', ['name']],
    ['a command', { name: 'x', url: 'stdio:node' }, 'BAD_USER_INPUT', ['url']],
    ['a password', { name: 'x', url: 'https://a:b@example.com' }, 'BAD_USER_INPUT', ['url']],
    [
      'a protocol header',
      { name: 'x', headers: [{ name: 'Mcp-Session-Id', value: '1' }] },
      'BAD_USER_INPUT',
      ['headers', 0, 'name'],
    ],
  ])('An MCP server is not stored with %s', async (_what, changes, code, path) => {
    const input = { url: server.url, ...changes };
    const { errors } = await app.query(createDocument, { input }, { token: admin });
    expect(errors[0]?.extensions).toEqual({ code, path: ['input', ...(path ?? [])] });
  });

  test('An MCP server is stored by admins only, and once under a name', async () => {
    const input = { name, url: server.url };
    expect((await app.query(createDocument, { input }, { token: user.token })).errors[0]?.extensions.code).toBe(
      'FORBIDDEN',
    );
    expect((await app.query(createDocument, { input }, { token: admin })).errors[0]?.extensions.code).toBe('CONFLICT');
    const list = await app.query('{ mcpServers { totalCount } }', {}, { token: user.token });
    expect(list.errors[0]?.extensions.code).toBe('FORBIDDEN');
  });

  test('An MCP server of one tenant is nobody else’s', async () => {
    const token = await app.token({ sub: 'eve', tenant: 'elsewhere', roles: ['admin'] });
    const answer = await app.query(executeDocument, { input: { name: `${name}_greet`, arguments: {} } }, { token });
    expect(answer.errors[0]?.extensions.code).toBe('NOT_FOUND');
    expect((await app.query(updateDocument, { id, input: {} }, { token })).errors[0]?.extensions.code).toBe(
      'FORBIDDEN',
    );
  });
});
