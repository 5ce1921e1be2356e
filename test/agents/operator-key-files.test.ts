import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseScenarioFile } from '../../src/scenarios/files/format.ts';
import { importScenarios } from '../../src/scenarios/files/import.ts';
import { shareApp, startTestApp } from '../support/app.ts';

// Files of the operator's and of tenants' admins name models that the operator's key may not be used for.

const app = shareApp({ env: { MODELS_ALLOWED: 'other-model', OPENAI_API_KEY: 'sk-of-the-operator' } });
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchboard-operator-key-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const llm = { provider: 'demo', model: 'dear-model', api: 'CHAT_COMPLETIONS' };
const contentOf = (provider: object) => ({
  version: 1,
  scenario: { key: 'tour', name: 'Tour', root: 'guide' },
  agents: [{ name: 'guide', instructions: 'You are the guide.', llm: provider }],
});
const fileOf = (provider: object) =>
  parseScenarioFile('the/file.json', new TextEncoder().encode(JSON.stringify(contentOf(provider))));

test('A seed with a model that the operator’s key may not be used for is refused at the start', async () => {
  const file = join(folder, 'seed.json');
  const env = { SEED_FILE: file, MODELS_ALLOWED: 'other-model' };
  await writeFile(file, JSON.stringify({ agents: [{ name: 'tutor', instructions: 'Hi.', llm }] }));
  await expect(startTestApp({ env })).rejects.toMatchObject({
    cause: {
      message: expect.stringContaining(
        'agents.0 ("tutor"): llm.model must be one of test-model, other-model with the key',
      ),
    },
  });
});

test('A scenario file of SCENARIOS_DIR with such a model is refused at the start', async () => {
  const path = join(folder, 'scenarios');
  await mkdir(path);
  await writeFile(join(path, 'tour.json'), JSON.stringify(contentOf(llm)));
  await expect(startTestApp({ env: { SCENARIOS_DIR: path, MODELS_ALLOWED: 'other-model' } })).rejects.toMatchObject({
    cause: { message: expect.stringContaining('agents.0.llm.model must be one of test-model, other-model') },
  });
});

test('An imported scenario file with such a model is refused, unless its agent has a key of its own', async () => {
  const { db, runs } = app.app;
  await app.query('{ viewer { userId } }');
  const load = (provider: object) => importScenarios({ ...runs.agents, db }, 'acme', [fileOf(provider)]);
  await expect(load(llm)).rejects.toThrow(/the\/file\.json is invalid.*agents\.0\.llm\.model must be one of/s);
  await expect(load({ ...llm, model: 'test-model', options: { web_search_options: {} } })).rejects.toThrow(
    /agents\.0\.llm\.options\.web_search_options is not allowed/,
  );
  expect(await db.agent.count({ where: { name: 'guide' } })).toBe(0);

  await load({ ...llm, model: 'other-model' });
  const { id } = await db.agent.findFirstOrThrow({ where: { name: 'guide' } });
  await expect(load(llm)).rejects.toThrow(/agents\.0\.llm\.model/);
  const update = 'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }';
  const input = { llm: { ...llm, apiKey: 'sk-of-the-tenant' } };
  const token = await app.token({ roles: ['admin'] });
  expect((await app.query(update, { id: `agt_${id}`, input }, { token })).errors).toEqual([]);
  expect((await load(llm))[0]?.agents).toEqual([{ name: 'guide', change: 'unchanged' }]);
});

test('A turn of a seeded agent whose model was taken off the list fails, and says which model and why', async () => {
  const { db, runs } = app.app;
  const { id } = await db.agent.create({ data: { tenantId: 'acme', name: 'seeded', instructions: 'i', llm } });
  runs.agents.config.drop('acme');
  const create = 'mutation ($input: CreateConversationInput) { createConversation(input: $input) { id } }';
  const created = await app.query(create, { input: { agentId: `agt_${id}` } });
  const send = 'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { id } }';
  const input = { conversationId: created.data.createConversation.id, content: 'Hello', idempotencyKey: 'k' };
  expect((await app.query(send, { input })).errors).toMatchObject([
    { message: expect.stringContaining('"dear-model" with the key of this server'), extensions: { code: 'CONFLICT' } },
  ]);
  const check = 'mutation ($id: ID!) { testAgent(id: $id, prompt: "Hi") { ok } }';
  expect((await app.query(check, { id: `agt_${id}` })).errors).toMatchObject([{ extensions: { code: 'CONFLICT' } }]);
});
