import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { startMcpServer, type TestMcpServer } from '../support/mcp/server.ts';

// What a form reads of an agent it can send back, whatever is unavailable at that moment.

let server: TestMcpServer;
let app: TestApp;
let admin: string;
let serverId: string;
const stored = ['current_time', 'desk_greet', 'get_invoice'];

beforeAll(async () => {
  server = await startMcpServer([{ name: 'greet', description: 'Greets.' }, { name: 'wave' }]);
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: `127.0.0.1:${server.port}/` } });
  admin = await app.token({ sub: 'root', roles: ['admin'] });
  const makeServer = 'mutation ($input: CreateMcpServerInput!) { createMcpServer(input: $input) { id } }';
  serverId = (await ask(makeServer, { input: { name: 'desk', url: server.url } })).createMcpServer.id;
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function ask(document: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await app.query(document, variables, { token: admin });
  expect(errors).toEqual([]);
  return data;
}

const updateDocument = `mutation ($id: ID!, $input: UpdateAgentInput!) {
  updateAgent(id: $id, input: $input) { instructions toolNames } }`;
const settingsDocument = `mutation ($input: UpdateChatSettingsInput!) {
  updateChatSettings(input: $input) { enabledTools maxTokens } }`;

test('Tools that are unavailable stay in an agent and in a user’s settings when a form sends them back', async () => {
  const http = { name: 'get_invoice', description: 'An invoice.', method: 'GET', url: 'https://billing.test/{number}' };
  const parameters = { type: 'object', properties: { number: { type: 'string' } }, required: ['number'] };
  const makeTool = 'mutation ($input: CreateHttpToolInput!) { createHttpTool(input: $input) { id } }';
  const { createHttpTool } = await ask(makeTool, { input: { ...http, parameters } });
  const { createAgent } = await ask(
    'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id toolNames tools { name } } }',
    { input: { name: 'form', instructions: 'Hi.', tools: stored } },
  );
  expect(createAgent.toolNames).toEqual(stored);
  expect(createAgent.tools.map((tool: { name: string }) => tool.name)).toEqual(stored);
  await ask(settingsDocument, { input: { enabledTools: stored } });

  await server.kill();
  await ask(
    `mutation ($server: ID!, $tool: ID!) {
      updateMcpServer(id: $server, input: { isActive: false }) { id }
      updateHttpTool(id: $tool, input: { isActive: false }) { id } }`,
    { server: serverId, tool: createHttpTool.id },
  );
  const { agent } = await ask('query ($id: ID!) { agent(id: $id) { toolNames tools { name } } }', {
    id: createAgent.id,
  });
  expect(agent).toEqual({ toolNames: stored, tools: [{ name: 'current_time' }] });

  const { id } = createAgent;
  const saved = await ask(updateDocument, { id, input: { instructions: 'Hello.', tools: agent.toolNames } });
  expect(saved.updateAgent).toEqual({ instructions: 'Hello.', toolNames: stored });
  const more = await ask(updateDocument, { id, input: { tools: ['desk_greet', 'lookup_order'] } });
  expect(more.updateAgent.toolNames).toEqual(['desk_greet', 'lookup_order']);
  const settings = await ask(settingsDocument, { input: { enabledTools: stored, maxTokens: 7 } });
  expect(settings.updateChatSettings).toEqual({ enabledTools: stored, maxTokens: 7 });

  // What it has not got, or has no longer, has to be there.
  for (const [document, input, path] of [
    [updateDocument, { tools: ['desk_greet', 'get_invoice'] }, ['input', 'tools', 1]],
    [updateDocument, { tools: ['desk_wave'] }, ['input', 'tools', 0]],
    [settingsDocument, { enabledTools: ['desk_greet', 'desk_wave'] }, ['input', 'enabledTools', 1]],
  ] as const) {
    const { errors } = await app.query(document, { id, input }, { token: admin });
    expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', path });
  }
  const other = await app.query(settingsDocument, { input: { enabledTools: stored } }, { token: await app.token() });
  expect(other.errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', path: ['input', 'enabledTools', 1] });
});
