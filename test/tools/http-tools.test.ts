import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { nameForModels } from '../../src/tools/parameters/property-names.ts';
import { tryDecide } from '../approvals/decide.ts';
import { readAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';

interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A system of a tenant: it notes what it is asked, and answers as a test says. */
async function startSystem() {
  const received: Received[] = [];
  const arrivals = new Set<() => void>();
  const system = {
    answer: (_request: IncomingMessage, response: ServerResponse): void => void response.end('{}'),
    received,
    url: '',
    port: 0,
    arrived: (count: number) =>
      new Promise<void>((resolve) => {
        const look = () => received.length >= count && resolve();
        arrivals.add(look);
        look();
      }),
    close: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      received.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body });
      for (const look of arrivals) look();
      system.answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  system.port = (server.address() as AddressInfo).port;
  system.url = `http://127.0.0.1:${system.port}`;
  return system;
}

let shop: Awaited<ReturnType<typeof startSystem>>;
/** It is on a private address that the operator does not allow. */
let trap: Awaited<ReturnType<typeof startSystem>>;
let app: TestApp;
let admin: string;
let user: SocketClient;

beforeAll(async () => {
  [shop, trap] = await Promise.all([startSystem(), startSystem()]);
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: `127.0.0.1:${shop.port}/`, LOG_LEVEL: 'debug' } });
  admin = await app.token({ sub: 'root', roles: ['admin', 'clerk'] });
  user = await openSocketClient(app, 'alice');
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await Promise.all([shop.close(), trap.close()]);
});
beforeEach(() => {
  shop.received.length = 0;
  shop.answer = (_request, response) => {
    response.setHeader('content-type', 'application/json').end('{"status":"shipped"}');
  };
});

const secret = 'Bearer sk-very-secret-98765';
const order = {
  type: 'object',
  properties: { orderNumber: { type: 'string' }, verbose: { type: 'boolean' }, tags: { type: 'array' } },
  required: ['orderNumber'],
  additionalProperties: false,
};
const fields = `id name description parameters method url headers { name value } secretHeaders { name hint }
  droppedSecretHeaders timeoutMs maxResultLength requiresApproval requiredRoles isActive`;
const createDocument = `mutation ($input: CreateHttpToolInput!) { createHttpTool(input: $input) { ${fields} } }`;
const updateDocument = `
  mutation ($id: ID!, $input: UpdateHttpToolInput!) { updateHttpTool(id: $id, input: $input) { ${fields} } }`;
const deleteDocument = 'mutation ($id: ID!) { deleteHttpTool(id: $id) }';
const executeDocument = `
  mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { name ok result error durationMs } }`;

let tools = 0;
const newName = (what = 'tool') => `${what}_${++tools}`;

function inputOf(changes: Record<string, unknown> = {}) {
  return {
    name: newName(),
    description: 'Looks up an order.',
    parameters: order,
    method: 'GET',
    url: `${shop.url}/orders/{orderNumber}`,
    ...changes,
  };
}

/** As an admin; it has to work. */
async function ask(document: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await app.query(document, variables, { token: admin });
  expect(errors).toEqual([]);
  return data;
}

async function createTool(changes: Record<string, unknown> = {}) {
  return (await ask(createDocument, { input: inputOf(changes) })).createHttpTool;
}

async function execute(name: string, args: unknown, options: Record<string, unknown> = {}, token = user.token) {
  return app.query(executeDocument, { input: { name, arguments: args, ...options } }, { token });
}

/** What a call comes back with; the operation has to work. */
async function call(name: string, args: unknown, token = user.token) {
  const { data, errors } = await execute(name, args, {}, token);
  expect(errors).toEqual([]);
  return data.executeTool;
}

/** A conversation of the user with an agent that has these tools. */
async function talkWith(...names: string[]) {
  const input = { name: newName('agent'), instructions: 'Help.', tools: names, isShared: true };
  const { createAgent } = await ask('mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }', {
    input,
  });
  const conversationId = await user.createConversation({ agentId: createAgent.id });
  return { agentId: createAgent.id as string, conversationId, name: input.name };
}

describe('an HTTP tool in a turn', () => {
  test('An HTTP tool is called as its definition says, is told who asks, and its answer goes to the model', async () => {
    const tool = await createTool({
      headers: [{ name: 'X-Shop', value: 'main' }],
      secretHeaders: [{ name: 'Authorization', value: secret }],
    });
    const { conversationId } = await talkWith(tool.name);
    app.model.add(
      { calls: [{ id: 'call 1', name: tool.name, arguments: { orderNumber: 'a?b&c #1 100%' } }] },
      {
        text: 'It is shipped.',
        expect: (request) =>
          expect(request.messages.at(-1)).toEqual({
            role: 'tool',
            // Providers take no blank in it.
            callId: expect.stringMatching(/^call-\w+$/),
            output: '{"status":"shipped"}',
          }),
      },
    );
    const events = await user.chatTurn('ws', { conversationId }).rest();
    const done = events.find((event) => event.__typename === 'ToolCallCompleted')?.toolCall;
    expect(done).toMatchObject({ status: 'SUCCEEDED', result: { status: 'shipped' } });
    const runId = events[0]?.runId;
    expect(shop.received).toHaveLength(1);
    expect(shop.received[0]).toMatchObject({ method: 'GET', url: '/orders/a%3Fb%26c%20%231%20100%25', body: '' });
    expect(shop.received[0]?.headers).toMatchObject({
      'x-shop': 'main',
      authorization: secret,
      'x-switchboard-user': 'alice',
      'x-switchboard-tenant': 'acme',
      'x-switchboard-roles': '',
      'x-switchboard-conversation': conversationId,
      'x-switchboard-run': runId,
      'x-switchboard-run-epoch': '1',
      'idempotency-key': `${runId}:call%201`,
    });
    expect(JSON.stringify([app.logs, events])).not.toContain('very-secret');
  });

  test('An HTTP tool with arguments against its schema is not called: the model is told, and corrects its call', async () => {
    const { name } = await createTool();
    const { conversationId } = await talkWith(name);
    const outputs: unknown[] = [];
    const note = { expect: (request: { messages: readonly unknown[] }) => void outputs.push(request.messages.at(-1)) };
    app.model.add(
      { calls: [{ name, arguments: 'not json' }] },
      { ...note, calls: [{ name, arguments: { number: 7 } }] },
      { ...note, calls: [{ name, arguments: { orderNumber: '7' } }] },
      { ...note, text: 'Done.' },
    );
    const events = await user.chatTurn('sse', { conversationId }).rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    const calls = events.flatMap((event) => (event.__typename === 'ToolCallCompleted' ? [event.toolCall] : []));
    expect(calls.map((one) => one?.status)).toEqual(['FAILED', 'FAILED', 'SUCCEEDED']);
    expect(JSON.stringify(outputs[1])).toContain("must have required property 'orderNumber'");
    expect(shop.received.map(({ url }) => url)).toEqual(['/orders/7']);
  });

  test('An HTTP tool stays what it was when the turn began, while it is changed and deleted', async () => {
    const { id, name } = await createTool();
    const { conversationId, agentId } = await talkWith(name);
    const gate = createGate();
    app.model.add({ calls: [{ name, arguments: { orderNumber: '1' } }], gate, afterTokens: 0 }, { text: 'Done.' });
    const turn = user.chatTurn('ws', { conversationId });
    await turn.next();
    await gate.reached;
    await ask(updateDocument, { id, input: { url: `${shop.url}/other/{orderNumber}`, isActive: false } });
    await ask('mutation ($id: ID!) { updateAgent(id: $id, input: { tools: [] }) { id } }', { id: agentId });
    await ask(deleteDocument, { id });
    gate.open();
    const events = await turn.rest();
    expect(events.find((event) => event.__typename === 'ToolCallCompleted')?.toolCall?.status).toBe('SUCCEEDED');
    expect(shop.received.map(({ url }) => url)).toEqual(['/orders/1']);
    app.model.add({ text: 'Nothing.', expect: (request) => expect(request.tools).toEqual([]) });
    await user.chatTurn('ws', { conversationId }).rest();
  });

  test('An HTTP tool that needs a role is called by nobody else', async () => {
    const { name } = await createTool({ requiredRoles: ['clerk'] });
    const { conversationId } = await talkWith(name);
    app.model.add({ calls: [{ name, arguments: { orderNumber: '1' } }] }, { text: 'I may not.' });
    const events = await user.chatTurn('ws', { conversationId }).rest();
    const done = events.find((event) => event.__typename === 'ToolCallCompleted')?.toolCall;
    expect(done).toMatchObject({ status: 'FAILED', error: expect.stringContaining('it needs the role clerk') });
    expect((await execute(name, { orderNumber: '1' })).errors[0]?.extensions.code).toBe('FORBIDDEN');
    expect(shop.received).toHaveLength(0);
    expect((await call(name, { orderNumber: '1' }, admin)).ok).toBe(true);
    expect(shop.received[0]?.headers['x-switchboard-roles']).toBe('admin,clerk');
  });
});

describe('arguments', () => {
  test('Arguments that the URL does not use go into the query, or into a JSON body', async () => {
    const get = await createTool({ url: `${shop.url}/orders/{orderNumber}?api=2` });
    await call(get.name, { orderNumber: 'ä', verbose: true, tags: ['a&b', 'c'] });
    const post = await createTool({ method: 'POST' });
    await call(post.name, { orderNumber: '1', verbose: false });
    const remove = await createTool({ method: 'DELETE' });
    await call(remove.name, { orderNumber: '1', verbose: true });
    expect(shop.received.map(({ method, url, body }) => [method, url, body])).toEqual([
      ['GET', '/orders/%C3%A4?api=2&verbose=true&tags=a%26b&tags=c', ''],
      ['POST', '/orders/1', '{"verbose":false}'],
      ['DELETE', '/orders/1?verbose=true', ''],
    ]);
    expect(shop.received[1]?.headers['content-type']).toBe('application/json');
  });

  const hostile = [
    ...['..', '.', '%2e%2E', '.%2e', '%252e%252e', '..;', '..;x=1', '..%3b', '..\u0001', ' .. ', '..%00'],
    ...['a/b', '../x', '..%2Fx', '%2f', '..%252Fx', '%25252Fx', 'a\\b', '..%5Cx', '%255c', '%c0%af', '%c0%ae%c0%ae'],
    ...['%u002f', '%u2215', '％2f', '／', '．．', `%${'25'.repeat(40)}2F`, '', '\ud800'],
  ];
  test.each(hostile)('An argument like %j adds no step to a path and leads to no other one', async (orderNumber) => {
    const { name } = await createTool({ url: `${shop.url}/orders/{orderNumber}/items`, method: 'DELETE' });
    const { data } = await execute(name, { orderNumber });
    expect(data?.executeTool ?? { ok: false }).toMatchObject({ ok: false });
    expect(shop.received).toEqual([]);
  });

  test.each([
    ['100%', '100%25'],
    ['50%25', '50%2525'],
    ['a.b..c', 'a.b..c'],
    ['...', '...'],
    ['1042;v=2', '1042%3Bv%3D2'],
    ['Grüße', 'Gr%C3%BC%C3%9Fe'],
  ])('An argument like %j is one step of a path', async (orderNumber, step) => {
    const { name } = await createTool({ url: `${shop.url}/orders/{orderNumber}/items`, method: 'DELETE' });
    expect(await call(name, { orderNumber })).toMatchObject({ ok: true });
    expect(shop.received.map(({ url }) => url)).toEqual([`/orders/${step}/items`]);
  });

  test('Arguments beside each other form no separator together', async () => {
    const parameters = { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } } };
    const { name } = await createTool({ url: `${shop.url}/x/{a}{b}/y`, parameters });
    for (const [a, b] of [
      ['%2', 'F'],
      ['%25', '2F'],
      ['.', '.'],
      ['a%5', 'c'],
    ]) {
      expect(await call(name, { a, b })).toMatchObject({ ok: false });
    }
    expect(await call(name, { a: '4%', b: '7' })).toMatchObject({ ok: true });
    expect(shop.received.map(({ url }) => url)).toEqual(['/x/4%257/y']);
  });

  test('An argument is several steps of a path if the template says {name+}, and never leaves it', async () => {
    const { name } = await createTool({ url: `${shop.url}/files/{orderNumber+}?raw=1` });
    expect(await call(name, { orderNumber: 'docs/2026/a b.txt' })).toMatchObject({ ok: true });
    expect(shop.received.map(({ url }) => url)).toEqual(['/files/docs/2026/a%20b.txt?raw=1']);
    for (const path of ['../x', 'a/../../x', 'a/%2e%2e/x', 'a/..%2Fx', 'a\\..\\x', '/etc/passwd', 'a//b', 'a/', '..']) {
      expect(await call(name, { orderNumber: path })).toMatchObject({
        ok: false,
        error: expect.stringContaining('orderNumber'),
      });
    }
    expect(shop.received).toHaveLength(1);
  });

  test.each([
    ['/orders?x={orderNumber+}', /\{orderNumber\+\} in its query/],
    ['/orders/%2{orderNumber}', /percent/],
    ['/orders/{orderNumber++}', /brace/],
  ])('A placeholder cannot stand as in %s', async (path, message) => {
    const input = inputOf({ url: `${shop.url}${path}` });
    const { errors } = await app.query(createDocument, { input }, { token: admin });
    expect(errors[0]).toMatchObject({
      message: expect.stringMatching(message),
      extensions: { code: 'BAD_USER_INPUT', path: ['input', 'url'] },
    });
  });

  test('Arguments cannot write headers, and cannot replace what is fixed', async () => {
    const open = { type: 'object', properties: { orderNumber: { type: 'string' } } };
    const { name } = await createTool({ url: `${shop.url}/o/{orderNumber}?admin=no`, parameters: open });
    await call(name, { orderNumber: 'x\r\nX-Evil: 1', 'y\r\nX-Evil: 2': '1' });
    expect(shop.received[0]?.headers['x-evil']).toBeUndefined();
    expect(shop.received[0]?.url).toContain('x%0D%0AX-Evil');
    expect(await call(name, { orderNumber: '1', admin: 'yes' })).toMatchObject({ ok: false });
    expect(shop.received).toHaveLength(1);
  });

  test('Arguments of hundreds of thousands of characters are not sent', async () => {
    const { name } = await createTool({ method: 'POST' });
    const { conversationId } = await talkWith(name);
    app.model.add({ calls: [{ name, arguments: { orderNumber: 'x'.repeat(100_000) } }] }, { text: 'Too long.' });
    const events = await user.chatTurn('ws', { conversationId }).rest();
    expect(events.find((event) => event.__typename === 'ToolCallCompleted')?.toolCall?.status).toBe('FAILED');
    expect(shop.received).toHaveLength(0);
  });

  test('Arguments that would take a backtracking engine for ever are matched in linear time', async () => {
    const evil = { type: 'object', properties: { orderNumber: { type: 'string', pattern: '^(a+)+$' } } };
    const { name } = await createTool({ parameters: evil });
    expect(await call(name, { orderNumber: `${'a'.repeat(60)}!` })).toMatchObject({
      ok: false,
      error: 'The arguments do not fit the schema. arguments.orderNumber must match pattern "^(a+)+$".',
    });
    expect(await call(name, { orderNumber: 'a'.repeat(60) })).toMatchObject({ ok: true });
  });
});

test('A GET tool is idempotent by default, others if an admin says so, and another method resets that', async () => {
  const document = `mutation ($id: ID!, $input: UpdateHttpToolInput!) {
    updateHttpTool(id: $id, input: $input) { isIdempotent } }`;
  const change = async (id: string, input: Record<string, unknown>) =>
    (await ask(document, { id, input })).updateHttpTool.isIdempotent;
  const get = await createTool();
  expect(await change(get.id, {})).toBe(true);
  expect(await change(get.id, { method: 'POST' })).toBe(false);
  const put = await createTool({ method: 'PUT', isIdempotent: true });
  expect(await change(put.id, { description: 'Puts.' })).toBe(true);
  expect(await change(put.id, { isIdempotent: null })).toBe(false);
  expect(await change(put.id, { method: 'DELETE', isIdempotent: true })).toBe(true);
});

describe('arguments that nearly fit', () => {
  const parameters = {
    type: 'object',
    properties: {
      $top: { type: 'integer' },
      ratio: { type: 'number' },
      verbose: { type: 'boolean' },
      note: { type: 'string' },
      tags: { type: 'array', items: { type: 'string' } },
      page: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
      kind: { enum: ['a', 'b'] },
    },
    required: ['note'],
    additionalProperties: false,
  };
  const createPost = () => createTool({ method: 'POST', url: `${shop.url}/search`, parameters });

  test.each([
    [
      { $top: '5', note: 'x' },
      { $top: 5, note: 'x' },
    ],
    [
      { ratio: '-1.5', note: 'x' },
      { ratio: -1.5, note: 'x' },
    ],
    [
      { verbose: 'true', note: 1042 },
      { verbose: true, note: '1042' },
    ],
    [
      { tags: '["a"]', note: 'x', kind: null },
      { tags: ['a'], note: 'x' },
    ],
    [{ $top: null, ratio: null, verbose: null, tags: [null], note: 'x' }, null],
    [
      { $top: null, ratio: null, page: null, note: 'x' },
      { page: null, note: 'x' },
    ],
    [
      { page: '2', note: 'x' },
      { page: 2, note: 'x' },
    ],
    [{ note: null }, null],
    [{ $top: '5.5', note: 'x' }, null],
    [{ $top: '0x10', note: 'x' }, null],
    [{ $top: '12345678901234567890', note: 'x' }, null],
    [{ $top: '', note: 'x' }, null],
    [{ verbose: 1, note: 'x' }, null],
    [{ kind: 'c', note: 'x' }, null],
  ])('M8 %j are sent as %j; null: the model is told what is wrong', async (args, sent) => {
    const { name } = await createPost();
    const outcome = await call(name, args);
    expect(outcome.ok).toBe(sent !== null);
    if (sent === null) expect(outcome.error).toContain('The arguments do not fit the schema.');
    expect(shop.received.map(({ body }) => JSON.parse(body))).toEqual(sent === null ? [] : [sent]);
  });

  test('A property whose name providers refuse is offered under another one, and the tool is called with its own', async () => {
    const { name } = await createPost();
    const { conversationId } = await talkWith(name);
    const offered = nameForModels('$top');
    app.model.add({
      calls: [{ name, arguments: { [offered]: 7, note: 'x' } }],
      expect: (request) =>
        expect(request.toolParameters.get(name)).toMatchObject({ properties: { [offered]: { type: 'integer' } } }),
    });
    app.model.add({ text: 'Done.' });
    await user.chatTurn('ws', { conversationId }).rest();
    expect(offered).toMatch(/^_top_[0-9a-f]{6}$/);
    expect(shop.received.map(({ body }) => JSON.parse(body))).toEqual([{ $top: 7, note: 'x' }]);
  });

  test('A tool with an array of anything is offered with items, which OpenAI demands', async () => {
    const { name } = await createTool();
    const { conversationId } = await talkWith(name);
    const seen: unknown[] = [];
    app.model.add({ text: 'Hi.', expect: (request) => void seen.push(request.toolParameters.get(name)) });
    await user.chatTurn('ws', { conversationId }).rest();
    expect(seen).toEqual([
      expect.objectContaining({ properties: expect.objectContaining({ tags: { type: 'array', items: {} } }) }),
    ]);
  });
});

describe('whole numbers that JavaScript cannot hold', () => {
  const parameters = { type: 'object', properties: { id: { type: ['integer', 'string'] } }, required: ['id'] };
  const big = '1234567890123456789';
  const createDelete = (more: Record<string, unknown> = {}) =>
    createTool({ method: 'DELETE', url: `${shop.url}/orders/{id}`, parameters, ...more });

  test('Whole numbers beyond JavaScript’s in what a model wrote are never sent rounded: it is told, and sends them as text', async () => {
    const { name } = await createDelete();
    const { conversationId } = await talkWith(name);
    const outputs: unknown[] = [];
    const note = { expect: (request: { messages: readonly unknown[] }) => void outputs.push(request.messages.at(-1)) };
    app.model.add(
      { calls: [{ name, arguments: `{"id": ${big}}` }] },
      { ...note, calls: [{ name, arguments: `{"id": "${big}"}` }] },
      { text: 'Done.' },
    );
    const events = await user.chatTurn('ws', { conversationId }).rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    expect(JSON.stringify(outputs)).toContain(`The arguments hold the number ${big}, which cannot be kept exactly.`);
    expect(shop.received.map(({ url }) => url)).toEqual([`/orders/${big}`]);
  });

  test('Calls with whole numbers beyond JavaScript’s need no approval, for they are not sent; a person cannot approve them either', async () => {
    const { name } = await createDelete({ requiresApproval: true });
    const { conversationId } = await talkWith(name);
    app.model.add(
      { calls: [{ id: 'c1', name, arguments: `{"id": ${big}}` }] },
      { calls: [{ id: 'c2', name, arguments: '{"id": 7}' }] },
    );
    const reader = user.chatTurn('ws', { conversationId });
    await reader.until('ApprovalRequested');
    const asked = reader.events.filter((event) => event.__typename === 'ApprovalRequested');
    expect(asked.map((event) => event.toolCall?.callId)).toEqual(['c2']);
    const runId = reader.events[0]?.runId ?? '';
    const edited = { runId, callId: 'c2', approve: true, arguments: `{"id": ${big}}` };
    const refused = await tryDecide(app, user, edited);
    expect(refused.errors[0]).toMatchObject({
      message: `arguments must not hold the number ${big}, which cannot be stored exactly: write it as text.`,
      extensions: { code: 'BAD_USER_INPUT', path: ['arguments'] },
    });
    expect(shop.received).toEqual([]);
    app.model.add({ text: 'Done.' });
    await tryDecide(app, user, { ...edited, arguments: `{"id": "${big}"}` });
    await reader.rest();
    expect(shop.received.map(({ url }) => url)).toEqual([`/orders/${big}`]);
  });

  test('Whole numbers beyond JavaScript’s from a person are refused, in variables and in the document', async () => {
    const { name } = await createDelete();
    // JSON.stringify cannot write it.
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${user.token}` };
    const input = `{"name":"${name}","arguments":{"id":[{"a":${big}}]}}`;
    const body = `{"query":${JSON.stringify(executeDocument)},"variables":{"input":${input}}}`;
    const inVariables = await readAnswer(await fetch(`${app.url}/graphql`, { method: 'POST', headers, body }));
    expect(inVariables.errors[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', path: ['input', 'arguments'] });
    const document = (id: string) =>
      `mutation { executeTool(input: { name: "${name}", arguments: { id: ${id} } }) { ok error } }`;
    const inDocument = await app.query(document(big), {}, { token: user.token });
    expect(inDocument.data).toBeFalsy();
    expect(inDocument.errors[0]?.extensions.code).toBe('BAD_USER_INPUT');
    expect(shop.received).toEqual([]);
    await app.query(document('9007199254740991'), {}, { token: user.token });
    expect(shop.received.map(({ url }) => url)).toEqual(['/orders/9007199254740991']);
  });

  test('Whole numbers beyond JavaScript’s in an answer stay what they are, as text', async () => {
    const { name } = await createDelete();
    shop.answer = (_request, response) => {
      response.setHeader('content-type', 'application/json').end(`{"id":${big},"total":12.5,"parts":[-${big}]}`);
    };
    expect((await call(name, { id: 1 })).result).toEqual({ id: big, total: 12.5, parts: [`-${big}`] });
  });
});

describe('an answer', () => {
  const answers: [string, (response: ServerResponse) => void, Record<string, unknown>][] = [
    [
      'of text',
      (r) => r.setHeader('content-type', 'text/plain').end('It is on its way.'),
      { result: 'It is on its way.' },
    ],
    ['without a type', (r) => r.end('plain'), { result: 'plain' }],
    ['that is empty', (r) => r.writeHead(204).end(), { result: null }],
    [
      'that says it is JSON',
      (r) => r.setHeader('content-type', 'application/hal+json').end('nope'),
      { result: 'nope' },
    ],
    [
      'in Latin-1',
      (r) => r.setHeader('content-type', 'text/plain; charset=iso-8859-1').end(Buffer.from([0xe4])),
      { result: 'ä' },
    ],
    [
      'with 404',
      (r) => r.writeHead(404, { 'x-internal': 'host7' }).end('There is no order 7.'),
      { ok: false, error: 'The tool answered with status 404. There is no order 7.' },
    ],
    [
      'with 400 and a long body',
      (r) => r.writeHead(400).end('y'.repeat(5_000)),
      { ok: false, error: `The tool answered with status 400. ${'y'.repeat(1_000)}` },
    ],
    [
      'with 500',
      (r) => r.writeHead(500).end('stack trace with a password'),
      { ok: false, error: 'The tool answered with status 500.' },
    ],
    [
      'of bytes',
      (r) => r.setHeader('content-type', 'image/png').end(Buffer.alloc(10)),
      { ok: false, error: 'The tool answered with image/png, which is no text.' },
    ],
  ];

  test.each(answers)('The answer of an HTTP tool is read: %s', async (_what, answer, outcome) => {
    const { name } = await createTool();
    shop.answer = (_request, response) => answer(response);
    const result = await call(name, { orderNumber: '7' });
    const fine = { ok: true, error: null };
    expect(result).toMatchObject({ ...('ok' in outcome ? { result: null } : fine), ...outcome });
  });

  test.each<[string, (response: ServerResponse) => void]>([
    [
      'with a length',
      (r) =>
        r.writeHead(200, { 'content-type': 'application/json', 'content-length': '99999' }).write('{"balance": 12'),
    ],
    ['in pieces', (r) => r.writeHead(200, { 'content-type': 'text/plain' }).write('The balance is 12')],
  ])(
    'The answer of an HTTP tool that breaks off on its way, %s, is an error and no shorter answer',
    async (_how, begin) => {
      const { name } = await createTool();
      shop.answer = (_request, response) => {
        begin(response);
        // What was written has left by then.
        setImmediate(() => response.destroy());
      };
      expect(await call(name, { orderNumber: '7' })).toMatchObject({
        ok: false,
        result: null,
        error: 'The tool broke off its answer.',
      });
    },
  );

  test.each([200, 404])(
    'The answer of an HTTP tool with status %s in an encoding that was not asked for is not read',
    async (status) => {
      const { name } = await createTool();
      shop.answer = (_request, response) => {
        const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
        response.writeHead(status, headers).end(gzipSync('{"status":"shipped"}'));
      };
      expect(await call(name, { orderNumber: '7' })).toMatchObject({
        ok: false,
        result: null,
        error:
          status === 200
            ? 'The tool answered in the encoding gzip, which it was not asked for.'
            : 'The tool answered with status 404.',
      });
      expect(shop.received[0]?.headers['accept-encoding']).toBe('identity');
    },
  );

  test('The answer of an HTTP tool that is full of quotes is no longer than its limit', async () => {
    const { name } = await createTool({ maxResultLength: 1_000 });
    shop.answer = (_request, response) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ quotes: '"'.repeat(2_000) }));
    };
    const { ok, result } = await call(name, { orderNumber: '7' });
    expect({ ok, result }).toEqual({
      ok: true,
      result: { truncated: true, characters: 4_013, text: expect.stringContaining('{"quotes":') },
    });
    const { length } = JSON.stringify(result);
    expect(length).toBeLessThanOrEqual(1_000);
    expect(length).toBeGreaterThan(990);
  });

  test.each<[string, (echo: string, response: ServerResponse) => void]>([
    ['JSON', (echo, r) => r.setHeader('content-type', 'application/json').end(echo)],
    ['JSON that is none', (echo, r) => r.setHeader('content-type', 'application/json').end(`${echo},`)],
    ['HTML', (echo, r) => r.setHeader('content-type', 'text/html').end(`<script>let seen = ${echo}</script>`)],
    ['an error', (echo, r) => r.writeHead(400, { 'content-type': 'text/plain' }).end(`Bad: ${echo}`)],
    [
      'JSON that is cut',
      (echo, r) => r.setHeader('content-type', 'application/json').end(`[${echo},"${'x'.repeat(100_000)}"]`),
    ],
  ])(
    'The answer of an HTTP tool that sends secrets back as JSON escapes them does not show them, in %s',
    async (_what, answer) => {
      const value = 'Bearer pa/ss"word\\ünderneath-1';
      const { name } = await createTool({
        maxResultLength: 1_000,
        secretHeaders: [{ name: 'Authorization', value }],
      });
      shop.answer = (_request, response) => {
        // As PHP's json_encode writes it.
        const echo = JSON.stringify({ sent: value }).replaceAll('/', '\\/').replaceAll('ü', '\\u00FC');
        answer(echo, response);
      };
      const { result, error } = await call(name, { orderNumber: '7' });
      const told = JSON.stringify(result) + error;
      expect(told).toContain('[secret]');
      expect(told).not.toMatch(/ss.{0,4}word|nderneath/);
    },
  );

  test('The answer of an HTTP tool that breaks off before it begins is an error, and the request is not repeated', async () => {
    const { name } = await createTool({ method: 'POST' });
    await call(name, { orderNumber: '7' });
    shop.answer = (_request, response) => void response.destroy();
    const error = 'The tool could not be reached.';
    expect(await call(name, { orderNumber: '7' })).toMatchObject({ ok: false, error });
    expect(shop.received).toHaveLength(2);
  });

  test('The answer of an HTTP tool of 10 MB is read no further than it is shown', async () => {
    const { name } = await createTool({ maxResultLength: 1_000 });
    let written = 0;
    const gone = Promise.withResolvers<void>();
    shop.answer = (_request, response) => {
      response.setHeader('content-type', 'application/json');
      response.on('close', gone.resolve);
      const write = () => {
        while (written < 10_000_000 && !response.destroyed) {
          written += 100_000;
          if (!response.write('"'.repeat(100_000))) return void response.once('drain', write);
        }
        response.end();
      };
      write();
    };
    const { ok, result } = await call(name, { orderNumber: '7' });
    expect(ok).toBe(true);
    expect(result).toEqual({ truncated: true, text: expect.stringMatching(/^"{400,500}$/) });
    expect(JSON.stringify(result).length).toBeLessThanOrEqual(1_000);
    await gone.promise;
    expect(written).toBeLessThan(10_000_000);
  });

  test('The answer of an HTTP tool that never comes is not waited for', async () => {
    const { name } = await createTool({ timeoutMs: 1_000 });
    const gone = Promise.withResolvers<void>();
    shop.answer = (_request, response) => void response.on('close', gone.resolve);
    expect(await call(name, { orderNumber: '7' })).toMatchObject({
      ok: false,
      error: 'No answer within 1 seconds.',
    });
    await gone.promise;
  });

  test('The answer of an HTTP tool that drips is not waited for either', async () => {
    const { name } = await createTool({ timeoutMs: 100 });
    shop.answer = (_request, response) => {
      const timer = setInterval(() => response.write('x'), 10);
      response.on('close', () => clearInterval(timer));
    };
    expect(await call(name, { orderNumber: '7' })).toMatchObject({ ok: false, error: 'No answer within 0.1 seconds.' });
  });

  test('The answer of an HTTP tool that redirects is not followed', async () => {
    const { name } = await createTool({ secretHeaders: [{ name: 'authorization', value: secret }] });
    shop.answer = (_request, response) => response.writeHead(307, { location: `${trap.url}/` }).end();
    expect(await call(name, { orderNumber: '7' })).toMatchObject({ ok: false, error: expect.stringContaining('307') });
    expect(trap.received).toEqual([]);
  });
});

test('A private address that the operator does not allow is refused when it is written, and not dialled', async () => {
  for (const url of [`${trap.url}/{orderNumber}`, `http://localhost:${trap.port}/{orderNumber}`]) {
    const refused = await app.query(createDocument, { input: inputOf({ url }) }, { token: admin });
    expect(refused.errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', path: ['input', 'url'] });
    // As if its name had led elsewhere when it was written.
    const { id, name } = await createTool({});
    await app.app.db.httpTool.update({ where: { id: id.slice(5) }, data: { url } });
    app.app.runs.agents.config.clear();
    const result = await call(name, { orderNumber: '7' });
    expect(result).toMatchObject({ ok: false, error: 'The address of the tool is not allowed.' });
  }
  expect(trap.received).toEqual([]);
});

test('A schema that would take long over many arguments is not checked at all, and the call is refused', async () => {
  const parts = Array.from({ length: 400 }, (_, n) => ({ type: 'object', minProperties: n % 2 }));
  const parameters = { type: 'object', properties: { a: { type: 'array', items: { allOf: parts } } } };
  const { name } = await createTool({ parameters, url: `${shop.url}/orders`, method: 'POST' });
  const many = await call(name, { a: Array.from({ length: 8_000 }, () => ({ b: 1 })) });
  expect(many).toMatchObject({ ok: false, error: expect.stringContaining('too large to be checked') });
  expect(shop.received).toEqual([]);
  expect(await call(name, { a: [{ b: 1 }] })).toMatchObject({ ok: true });
});

test('A result that is nested too deep is returned as text, and the turn goes on', async () => {
  shop.answer = (_request, response) => {
    response.setHeader('content-type', 'application/json').end(`${'['.repeat(2_000)}${']'.repeat(2_000)}`);
  };
  const { name } = await createTool();
  const { conversationId } = await talkWith(name);
  app.model.add({ calls: [{ name, arguments: { orderNumber: '7' } }] }, { text: 'Deep.' });
  const input = { conversationId, content: 'hi', idempotencyKey: 'deep' };
  const { sendMessage } = await user.ask(
    'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { status toolCalls { status result } } }',
    { input },
  );
  expect(sendMessage).toMatchObject({
    status: 'COMPLETED',
    toolCalls: [{ status: 'SUCCEEDED', result: { truncated: true, characters: 4_000 } }],
  });
});

test('Parameters that are null are refused by name', async () => {
  const { id } = await createTool();
  const refused = await app.query(updateDocument, { id, input: { parameters: null } }, { token: admin });
  expect(refused.errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', path: ['input', 'parameters'] });
});

describe('stored HTTP tools', () => {
  test('HTTP tools are stored with secrets that are never read back', async () => {
    const tool = await createTool({
      secretHeaders: [
        { name: 'Authorization', value: secret },
        { name: 'X-Pin', value: '1234' },
      ],
    });
    expect(tool.secretHeaders).toEqual([
      { name: 'authorization', hint: '8765' },
      { name: 'x-pin', hint: '' },
    ]);
    expect(tool).toMatchObject({ timeoutMs: 10_000, maxResultLength: 20_000, isActive: true, requiredRoles: [] });
    const { node } = await ask(`query ($id: ID!) { node(id: $id) { id ... on HttpTool { ${fields} } } }`, {
      id: tool.id,
    });
    expect(node).toEqual(tool);
    const rows = await app.app.db.secret.findMany({ where: { toolId: tool.id.slice(5) } });
    expect(JSON.stringify(rows)).not.toContain('very-secret');
    expect(rows.map(({ origin }) => origin)).toEqual([shop.url, shop.url]);
  });

  test('A URL of another origin drops the secrets that are not sent anew, and says so', async () => {
    const pair = [
      { name: 'authorization', value: secret },
      { name: 'x-key', value: 'another-secret-1' },
    ];
    const { id, name } = await createTool({ secretHeaders: pair });
    const same = await ask(updateDocument, { id, input: { url: `${shop.url}/x/{orderNumber}` } });
    expect(same.updateHttpTool).toMatchObject({ droppedSecretHeaders: [], secretHeaders: [{}, {}] });
    await call(name, { orderNumber: '1' });
    expect(shop.received[0]?.headers).toMatchObject({ authorization: secret, 'x-key': 'another-secret-1' });
    const url = 'https://shop.example.invalid/{orderNumber}';
    const moved = await ask(updateDocument, {
      id,
      input: { url, secretHeaders: [{ name: 'X-Key', value: 'a-new-secret-22' }] },
    });
    expect(moved.updateHttpTool).toMatchObject({
      droppedSecretHeaders: ['authorization'],
      secretHeaders: [{ name: 'x-key', hint: 't-22' }],
    });
    await ask(updateDocument, { id, input: { secretHeaders: [{ name: 'x-key', value: null }] } });
    expect(await app.app.db.secret.count({ where: { toolId: id.slice(5) } })).toBe(0);
  });

  test('HTTP tools are stored by admins only, of their own tenant', async () => {
    const { id } = await createTool();
    const elsewhere = await app.token({ sub: 'root', tenant: 'other', roles: ['admin'] });
    const codes = async (token: string) => {
      const answers = [
        await app.query(createDocument, { input: inputOf() }, { token }),
        await app.query(updateDocument, { id, input: { isActive: false } }, { token }),
        await app.query(deleteDocument, { id }, { token }),
        await app.query('query ($id: ID!) { node(id: $id) { id } }', { id }, { token }),
        await app.query('{ httpTools { totalCount } }', {}, { token }),
      ];
      return answers.map(({ data, errors }) => errors[0]?.extensions.code ?? data);
    };
    expect(await codes(user.token)).toEqual(Array(5).fill('FORBIDDEN'));
    expect(await codes(elsewhere)).toEqual([
      expect.objectContaining({ createHttpTool: expect.anything() }),
      'FORBIDDEN',
      'FORBIDDEN',
      'FORBIDDEN',
      { httpTools: { totalCount: 1 } },
    ]);
    const { data } = await app.query('{ tools { name } }', {}, { token: elsewhere });
    const own = await ask('query ($id: ID!) { node(id: $id) { ... on HttpTool { name isActive } } }', { id });
    expect(own.node.isActive).toBe(true);
    expect(data.tools).not.toContainEqual({ name: own.node.name });
  });

  test('HTTP tools are listed page by page', async () => {
    const token = await app.token({ sub: 'root', tenant: 'pages', roles: ['admin'] });
    for (const name of ['one', 'two', 'three'])
      await app.query(createDocument, { input: inputOf({ name }) }, { token });
    const document =
      'query ($after: String) { httpTools(first: 2, after: $after) { totalCount pageInfo { endCursor } edges { node { name } } } }';
    const first = (await app.query(document, {}, { token })).data.httpTools;
    expect(first.edges.map((edge: { node: unknown }) => edge.node)).toEqual([{ name: 'one' }, { name: 'two' }]);
    const after = first.pageInfo.endCursor;
    const second = (await app.query(document, { after }, { token })).data.httpTools;
    expect(second).toMatchObject({ totalCount: 3, edges: [{ node: { name: 'three' } }] });
  });

  test('HTTP tools are not deleted while agents use them', async () => {
    const { id, name } = await createTool();
    const agent = await talkWith(name);
    const refused = await app.query(deleteDocument, { id }, { token: admin });
    expect(refused.errors[0]).toMatchObject({ extensions: { code: 'CONFLICT' } });
    expect(refused.errors[0]?.message).toContain(agent.name);
    const renamed = await app.query(updateDocument, { id, input: { name: newName() } }, { token: admin });
    expect(renamed.errors[0]?.extensions.code).toBe('CONFLICT');
    // It can be switched off, and then nobody is offered it.
    await ask(updateDocument, { id, input: { isActive: false } });
    expect((await execute(name, { orderNumber: '1' })).errors[0]?.extensions.code).toBe('NOT_FOUND');
    await ask('mutation ($id: ID!) { updateAgent(id: $id, input: { tools: [] }) { id } }', { id: agent.agentId });
    expect((await ask(deleteDocument, { id })).deleteHttpTool).toBe(id);
    const gone = await app.query(deleteDocument, { id }, { token: admin });
    expect(gone.errors[0]?.extensions.code).toBe('NOT_FOUND');
  });

  test('HTTP tools have names that no other tool has, also if two come at the same time', async () => {
    const { name } = await createTool();
    const codes = async (...names: string[]) => {
      const asked = names.map((one) => app.query(createDocument, { input: inputOf({ name: one }) }, { token: admin }));
      return (await Promise.all(asked)).map(({ errors }) => errors[0]?.extensions.code ?? 'OK');
    };
    expect(await codes(name)).toEqual(['CONFLICT']);
    expect(await codes('current_time')).toEqual(['CONFLICT']);
    const raced = newName('raced');
    expect((await codes(raced, raced, raced)).sort()).toEqual(['CONFLICT', 'CONFLICT', 'OK']);
  });

  const deep = (depth: number): unknown => (depth === 0 ? { type: 'string' } : { items: deep(depth - 1) });
  const doubled = Object.fromEntries(
    Array.from({ length: 30 }, (_, n) => [
      `d${n}`,
      { allOf: [{ $ref: `#/$defs/d${n + 1}` }, { $ref: `#/$defs/d${n + 1}` }] },
    ]),
  );
  test.each<[string, Record<string, unknown>, (string | number)[]]>([
    ['a name with a blank', { name: 'two words' }, ['name']],
    ['a name like a handoff', { name: 'transfer_to_x' }, ['name']],
    ['a name of 65 letters', { name: 'n'.repeat(65) }, ['name']],
    ['no description', { description: ' ' }, ['description']],
    ['a host with a placeholder', { url: 'https://{orderNumber}.example.com/' }, ['url']],
    ['a port with a placeholder', { url: 'https://example.com:{orderNumber}/' }, ['url']],
    ['another scheme', { url: 'file:///etc/passwd' }, ['url']],
    ['no scheme', { url: '/orders/{orderNumber}' }, ['url']],
    ['a password', { url: 'https://me:pw@example.com/' }, ['url']],
    ['a fragment', { url: 'https://example.com/#{orderNumber}' }, ['url']],
    ['a step up', { url: 'https://example.com/a/%2e%2e/{orderNumber}' }, ['url']],
    ['a loose brace', { url: 'https://example.com/{order number}' }, ['url']],
    ['an unknown placeholder', { url: 'https://example.com/{nobody}' }, ['url']],
    ['an array as schema', { parameters: [] }, ['parameters']],
    ['a schema of no object', { parameters: { type: 'string' } }, ['parameters']],
    ['an unknown keyword', { parameters: { type: 'object', propertis: {} } }, ['parameters']],
    ['an unknown type', { parameters: { type: 'object', properties: { a: { type: 'strin' } } } }, ['parameters']],
    ['a bad pattern', { parameters: { type: 'object', properties: { a: { pattern: '(' } } } }, ['parameters']],
    ['a lost reference', { parameters: { type: 'object', properties: { a: { $ref: '#/$defs/a' } } } }, ['parameters']],
    ['a far reference', { parameters: { type: 'object', properties: { a: { $ref: 'http://x/y' } } } }, ['parameters']],
    ['a circle', { parameters: { type: 'object', properties: { a: { $ref: '#' } } } }, ['parameters']],
    [
      'a schema of a billion parts',
      { parameters: { type: 'object', properties: { a: { $ref: '#/$defs/d0' } }, $defs: { ...doubled, d30: {} } } },
      ['parameters'],
    ],
    ['a schema 60 deep', { parameters: { type: 'object', properties: { a: deep(60) } } }, ['parameters']],
    ['a schema of 100 KB', { parameters: { type: 'object', description: 'x'.repeat(100_000) } }, ['parameters']],
    ['a header with a line end', { headers: [{ name: 'x', value: 'a\r\nb: c' }] }, ['headers', 0, 'value']],
    ['a header name with a colon', { headers: [{ name: 'x:', value: 'a' }] }, ['headers', 0, 'name']],
    ['a host header', { headers: [{ name: 'Host', value: 'a' }] }, ['headers', 0, 'name']],
    ['an identity', { headers: [{ name: 'X-Switchboard-User', value: 'a' }] }, ['headers', 0, 'name']],
    ['a plain secret', { headers: [{ name: 'Authorization', value: 'a' }] }, ['headers', 0, 'name']],
    [
      'a header twice',
      {
        headers: [
          { name: 'a', value: 'a' },
          { name: 'A', value: 'b' },
        ],
      },
      ['headers', 1, 'name'],
    ],
    ['33 headers', { headers: Array.from({ length: 33 }, (_, n) => ({ name: `h${n}`, value: 'a' })) }, ['headers']],
    ['a secret with a line end', { secretHeaders: [{ name: 'x', value: 'a\nb' }] }, ['secretHeaders', 0, 'value']],
    ['no time', { timeoutMs: 0 }, ['timeoutMs']],
    ['too much time', { timeoutMs: 600_001 }, ['timeoutMs']],
    ['no result', { maxResultLength: 0 }, ['maxResultLength']],
  ])('HTTP tools are not stored with %s', async (_what, changes, path) => {
    const before = await app.app.db.httpTool.count();
    const { errors } = await app.query(createDocument, { input: inputOf(changes) }, { token: admin });
    expect(errors).toEqual([
      expect.objectContaining({ extensions: { code: 'BAD_USER_INPUT', path: ['input', ...path] } }),
    ]);
    expect(await app.app.db.httpTool.count()).toBe(before);
  });

  test('An update of an HTTP tool that is wrong changes nothing', async () => {
    const tool = await createTool();
    const wrong = {
      parameters: { type: 'object', properties: {} },
      description: 'Changed',
      secretHeaders: [{ name: 'a', value: 'b' }],
    };
    const { errors } = await app.query(updateDocument, { id: tool.id, input: wrong }, { token: admin });
    expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', path: ['input', 'url'] });
    const { node } = await ask(`query ($id: ID!) { node(id: $id) { ... on HttpTool { ${fields} } } }`, { id: tool.id });
    expect(node).toEqual(tool);
  });
});
