import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { sequenceOf, type TurnEvent } from '../support/clients/turn-reader.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { startMcpServer } from '../support/mcp/server.ts';
import { decide, startWaitingTurn, tryDecide } from './decide.ts';

/** What a tenant's system was asked: method and path. */
const received: string[] = [];
const system = createServer((request, response) => {
  received.push(`${request.method} ${request.url}`);
  response.setHeader('content-type', 'application/json').end('{"done":true}');
});

let app: TestApp;
let admin: string;
let socketClient: SocketClient;
let url: string;

beforeAll(async () => {
  await new Promise<void>((resolve) => system.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(system.address() as AddressInfo).port}`;
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: '127.0.0.1/' } });
  admin = await app.token({ sub: 'root', roles: ['admin'] });
  socketClient = await openSocketClient(app, 'alice');
});
beforeEach(() => {
  received.length = 0;
});
afterEach(() => app.model.assertDone());
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  system.closeAllConnections();
  await new Promise((resolve) => system.close(resolve));
});

/** As an admin; it has to work. */
async function manage(document: string, variables: Record<string, unknown>) {
  const { data, errors } = await app.query(document, variables, { token: admin });
  expect(errors).toEqual([]);
  return data;
}

const number = {
  type: 'object',
  properties: { id: { type: 'string', pattern: '^[0-9]+$' } },
  required: ['id'],
  additionalProperties: false,
};

let tools = 0;
/** A tool that has to be approved, and a conversation with an agent that has it. */
async function giveTool(changes: Record<string, unknown> = {}) {
  const name = `remove_${++tools}`;
  const input = {
    ...{ name, description: 'Removes it.', parameters: number, method: 'DELETE', url: `${url}/orders/{id}` },
    ...{ headers: [{ name: 'x-stage', value: 'test' }], requiresApproval: true, ...changes },
  };
  const { createHttpTool } = await manage(
    'mutation ($input: CreateHttpToolInput!) { createHttpTool(input: $input) { id } }',
    { input },
  );
  return { id: createHttpTool.id as string, name, conversationId: await talkWith(socketClient, name) };
}

async function talkWith(who: SocketClient, tool: string): Promise<string> {
  const agentId = await who.createAgent({ name: `a${crypto.randomUUID()}`, instructions: 'Help.', tools: [tool] });
  const conversationId = await who.createConversation({ agentId });
  return conversationId;
}

const change = (id: string, input: Record<string, unknown>) =>
  manage('mutation ($id: ID!, $input: UpdateHttpToolInput!) { updateHttpTool(id: $id, input: $input) { id } }', {
    id,
    input,
  });

const outcomes = (events: readonly TurnEvent[]) =>
  events.flatMap(({ __typename, toolCall }) =>
    __typename === 'ToolCallCompleted' ? [[toolCall?.callId, toolCall?.status, toolCall?.error]] : [],
  );
const changedSince = 'The tool was changed since it was approved.';

test.each<[string, (id: string) => Record<string, unknown>]>([
  ['goes elsewhere', () => ({ url: `${url}/customers/{id}` })],
  ['does something else', () => ({ method: 'PUT' })],
  ['takes something else', () => ({ parameters: { ...number, additionalProperties: true } })],
  ['is sent another header', () => ({ headers: [{ name: 'x-stage', value: 'live' }] })],
])('A call that waited for approval is not sent if the tool %s since, and the turn goes on', async (_, changed) => {
  const { id, name, conversationId } = await giveTool();
  const calls = ['1', '2'].map((key) => ({ id: `c${key}`, name, arguments: { id: key } }));
  app.model.add({ calls });
  const { runId, reader } = await startWaitingTurn(socketClient, { conversationId }, 2);
  await decide(socketClient, runId, 'c1');
  await change(id, changed(id));
  // What the model asks for when it knows of the change is put to a person anew.
  app.model.add({ calls: [{ id: 'c3', name, arguments: { id: '3' } }] });
  await decide(socketClient, runId, 'c2');
  await reader.until('ApprovalRequested');
  expect(received).toEqual([]);
  expect(outcomes(reader.events).sort()).toEqual([
    ['c1', 'FAILED', changedSince],
    ['c2', 'FAILED', changedSince],
  ]);
  app.model.add({ text: 'Done.' });
  await decide(socketClient, runId, 'c3');
  const events = await reader.rest();
  expect(outcomes(events).at(-1)).toEqual(['c3', 'SUCCEEDED', null]);
  expect(received).toHaveLength(1);
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
});

test('A change of a tool that does not concern what was approved does not prevent the call; the model is shown the tool as it is', async () => {
  const { id, name, conversationId } = await giveTool();
  app.model.add({ calls: [{ id: 'c1', name, arguments: { id: '1' } }] });
  const { runId, reader } = await startWaitingTurn(socketClient, { conversationId });
  await change(id, { description: 'Removes an order.', timeoutMs: 2_000 });
  app.model.add({
    text: 'Done.',
    expect: ({ toolDescriptions }) => expect(toolDescriptions.get(name)).toBe('Removes an order.'),
  });
  await decide(socketClient, runId, 'c1');
  await reader.rest();
  expect(received).toEqual(['DELETE /orders/1']);
});

test('A tool that needs approval only since the run waits is not called without it', async () => {
  const { name, conversationId } = await giveTool();
  const other = await giveTool({ requiresApproval: false });
  const agent = await app.app.db.conversation.findUniqueOrThrow({ where: { id: conversationId.slice(5) } });
  await app.app.db.agent.update({
    where: { id: agent.activeAgentId ?? '' },
    data: { toolNames: [name, other.name] },
  });
  app.app.runs.agents.config.drop('acme');
  app.model.add({ calls: [{ id: 'c1', name, arguments: { id: '1' } }] });
  const { runId, reader } = await startWaitingTurn(socketClient, { conversationId });
  await change(other.id, { requiresApproval: true });
  app.model.add({ calls: [{ id: 'c2', name: other.name, arguments: { id: '2' } }] });
  await decide(socketClient, runId, 'c1');
  expect((await reader.until('ApprovalRequested')).toolCall?.callId).toBe('c2');
  expect(received).toEqual(['DELETE /orders/1']);
  app.model.add({ text: 'Fine.' });
  await decide(socketClient, runId, 'c2', false);
  await reader.rest();
});

test('A run that an earlier version let wait goes on', async () => {
  const { name, conversationId } = await giveTool();
  app.model.add({ calls: [{ id: 'c1', name, arguments: { id: '1' } }] });
  const { runId, reader } = await startWaitingTurn(socketClient, { conversationId });
  const where = { runId: runId.slice(4) };
  const { state } = await app.app.db.runPause.findUniqueOrThrow({ where });
  const { tools: planned, definitions, ...rest } = JSON.parse(JSON.stringify(state));
  expect(Object.keys(definitions)).toEqual([name]);
  const agents = rest.agents.map(
    ({ endpoint: { ownKey, ...endpoint }, ...agent }: { endpoint: { ownKey: boolean } }) => {
      expect(ownKey).toBe(false);
      return { ...agent, endpoint, tools: planned };
    },
  );
  await app.app.db.runPause.update({ where, data: { state: { ...rest, agents } } });
  app.model.add({ text: 'Done.' });
  await decide(socketClient, runId, 'c1', true, '{"id":"9"}');
  await reader.rest();
  expect(received).toEqual(['DELETE /orders/9']);
});

test.each([
  ['a user who may not call the tool', { requiredRoles: ['clerk'] }, { id: '1' }, /may not call this tool/],
  ['arguments against a pattern', {}, { id: 'one' }, /pattern/],
])('Nobody is asked to approve a call of a tool that cannot work: %s', async (_what, changes, args, error) => {
  const { name, conversationId } = await giveTool(changes);
  app.model.add({ calls: [{ id: 'c1', name, arguments: args }] }, { text: 'Sorry.' });
  const events = await socketClient.chatTurn('ws', { conversationId }).rest();
  expect(sequenceOf(events)).not.toContain('ApprovalRequested');
  expect(outcomes(events)).toEqual([['c1', 'FAILED', expect.stringMatching(error)]]);
  expect(received).toEqual([]);
});

test('Edited arguments that the tool does not accept are refused, also if they cannot fill its URL', async () => {
  const { name, conversationId } = await giveTool({
    parameters: { type: 'object', properties: { id: { type: 'string' } } },
  });
  app.model.add({ calls: [{ id: 'c1', name, arguments: { id: '1' } }] });
  const { runId, reader } = await startWaitingTurn(socketClient, { conversationId });
  const { errors } = await tryDecide(app, socketClient, {
    runId,
    callId: 'c1',
    approve: true,
    arguments: '{"no":1}',
  });
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', path: ['arguments'] } }]);
  app.model.add({ text: 'Done.' });
  await decide(socketClient, runId, 'c1', true, '{"id":"2"}');
  await reader.rest();
  expect(received).toEqual(['DELETE /orders/2']);
});

test('The server of an approved call is waited for; if it is unreachable, the run says so', {
  timeout: 240_000,
}, async () => {
  await using opening = new AsyncDisposableStack();
  const server = opening.use(await startMcpServer([{ name: 'erase' }]));
  const { url: databaseUrl } = opening.use(await createTestDatabase());
  const env = { MODEL_ALLOWED_HOSTS: '127.0.0.1/' };
  const one = opening.use(await startTestApp({ databaseUrl, env }));
  const two = opening.use(await startTestApp({ databaseUrl, env }));
  const here = await openSocketClient(one, 'bob');
  const there = await openSocketClient(two, 'bob');
  const input = { name: 'crm', url: server.url, requiresApproval: true };
  const made = await one.query(
    'mutation ($input: CreateMcpServerInput!) { createMcpServer(input: $input) { tools { name } } }',
    { input },
    { token: await one.token({ sub: 'root', roles: ['admin'] }) },
  );
  expect(made.data.createMcpServer.tools).toEqual([{ name: 'crm_erase' }]);
  const conversationId = await talkWith(here, 'crm_erase');
  const call = (id: string) => ({ calls: [{ id, name: 'crm_erase', arguments: {} }] });
  one.model.add(call('reached'));
  const first = await startWaitingTurn(here, { conversationId });

  // This instance has never met the server.
  const drainTimeout: unknown[] = [];
  const { tools: registry } = two.app.runs;
  const find = registry.findTools.bind(registry);
  Object.defineProperty(registry, 'findTools', {
    value: (...[viewer, names, waiting]: Parameters<typeof find>) => {
      drainTimeout.push([names, waiting]);
      return find(viewer, names, waiting);
    },
  });
  two.model.add(call('lost'));
  await decide(there, first.runId, 'reached');
  expect((await first.reader.until('ToolCallCompleted')).toolCall).toMatchObject({ status: 'SUCCEEDED' });
  expect(drainTimeout).toContainEqual([['crm_erase'], 'person']);
  await first.reader.until('ApprovalRequested');

  await server.kill();
  const three = opening.use(await startTestApp({ databaseUrl, env }));
  const elsewhere = await openSocketClient(three, 'bob');
  three.model.add({ text: 'Later, then.' });
  await decide(elsewhere, first.runId, 'lost');
  const events = await first.reader.rest();
  expect(outcomes(events).at(-1)).toEqual(['lost', 'FAILED', 'The server of the tool crm_erase cannot be reached.']);
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
});
