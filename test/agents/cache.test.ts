import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { findDefaultAgent, resolveAgents } from '../../src/agents/resolve.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import { countStatements } from '../../src/database/statements.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { documents, openSocketClient, type SocketClient } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const viewer: Viewer = { userId: 'alice', tenantId: 'acme', roles: [], expiresAt: Number.POSITIVE_INFINITY };
/** Notices of the database reach the other instances there only. */
const onServer = Boolean(process.env.TEST_DATABASE_URL);

async function make(socketClient: SocketClient, input: Record<string, unknown> = {}): Promise<string> {
  return await socketClient.createAgent({ name: 'mine', instructions: 'First.', ...input });
}

async function change(socketClient: SocketClient, id: string, input: Record<string, unknown>): Promise<void> {
  const document = 'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }';
  await socketClient.ask(document, { id, input });
}

async function begin(socketClient: SocketClient, input: Record<string, unknown> = {}): Promise<string> {
  return await socketClient.createConversation(input);
}

/** Runs a turn, and answers the instructions that the model was given. */
async function turn(app: TestApp, socketClient: SocketClient, conversationId: string): Promise<string | undefined> {
  app.model.add({ text: 'Yes.' });
  const input = { conversationId, content: 'Hello', idempotencyKey: randomUUID() };
  const { sendMessage } = await socketClient.ask(documents.sendMessage, { input });
  expect(sendMessage.status).toBe('COMPLETED');
  return app.model.requests.at(-1)?.instructions;
}

test('A turn in progress is untouched while its agent is edited and deleted', async () => {
  await using app = await startTestApp();
  const alice = await openSocketClient(app, 'alice');
  const llm = { provider: 'demo', model: 'first-model' };
  const id = await make(alice, { llm, isDefault: true, tools: ['current_time'] });
  const conversationId = await begin(alice, { agentId: id });
  const gate = createGate();
  app.model.add(
    { text: ['One', ' two'], afterTokens: 1, gate, calls: [{ name: 'current_time', arguments: {} }] },
    { text: 'Three.' },
  );
  const reader = alice.chatTurn('ws', { conversationId });
  await reader.untilText('One');
  await change(alice, id, {
    name: 'other',
    instructions: 'Second.',
    tools: [],
    llm: { ...llm, model: 'second-model' },
  });
  await change(alice, id, { isActive: false });
  await alice.ask('mutation ($id: ID!) { deleteAgent(id: $id) }', { id });
  gate.open();
  const events = await reader.rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  expect([...assembleTexts(events).values()]).toEqual(['One two', 'Three.']);
  expect(events.find((event) => event.toolCall?.status === 'SUCCEEDED')?.toolCall?.name).toBe('current_time');
  const asked = app.model.requests.map(({ model, instructions, tools }) => ({ model, instructions, tools }));
  expect(asked).toEqual(Array(2).fill({ model: 'first-model', instructions: 'First.', tools: ['current_time'] }));
  // What it said says who said it, and the next turn is somebody else's.
  const { run } = await alice.ask(documents.run, { id: reader.events[0]?.runId });
  expect(run.messages.map((message: { agent: { name: string } }) => message.agent.name)).toEqual(['other', 'other']);
  expect(await turn(app, alice, conversationId)).not.toMatch(/First|Second/);
});

test('An agent is resolved with one statement, and out of the cache with none', async () => {
  await using app = await startTestApp();
  const alice = await openSocketClient(app, 'alice');
  const ids: string[] = [];
  for (const name of ['a', 'b', 'c']) {
    const apiKey = `gsk-0123456789-${name}`;
    ids.push((await make(alice, { name, llm: { provider: 'groq', model: name, apiKey } })).slice(4));
  }
  const { agents } = app.app.runs;
  // Notices of what was just made may still be on their way: each clears the cache once more.
  await sleep(250);
  agents.config.clear();
  const cold = await countStatements(() => resolveAgents(viewer, agents, ids));
  expect(cold.statements).toBe(1);
  expect([...cold.result.values()].map(({ llm }) => llm?.apiKey.at(-1))).toEqual(['a', 'b', 'c']);
  const warm = await countStatements(() => resolveAgents(viewer, agents, ids));
  expect(warm.statements).toBe(0);
  expect([...warm.result.values()]).toEqual([...cold.result.values()]);
  expect((await countStatements(() => findDefaultAgent(viewer, agents))).statements).toBe(1);
  expect((await countStatements(() => findDefaultAgent(viewer, agents))).statements).toBe(0);
  // One more among those that are known costs one, and one that is not there is remembered as well.
  const id = (await make(alice, { name: 'd' })).slice(4);
  await resolveAgents(viewer, agents, ids);
  expect((await countStatements(() => resolveAgents(viewer, agents, [...ids, id, randomUUID()]))).statements).toBe(1);
});

test('Any change of an agent reaches the next turn of this instance', async () => {
  await using app = await startTestApp();
  const alice = await openSocketClient(app, 'alice');
  const id = await make(alice, { isDefault: true });
  const conversationId = await begin(alice);
  expect(await turn(app, alice, conversationId)).toBe('First.');
  for (const instructions of ['Second.', 'Third.', 'Fourth.']) {
    await change(alice, id, { instructions });
    expect(await turn(app, alice, conversationId)).toBe(instructions);
  }
  const other = await make(alice, { instructions: 'Other.' });
  await alice.ask('mutation ($id: ID!) { setDefaultAgent(id: $id) { id } }', { id: other });
  expect(await turn(app, alice, conversationId)).toBe('Other.');
  await alice.ask('mutation ($id: ID!) { deleteAgent(id: $id) }', { id: other });
  expect(await turn(app, alice, conversationId)).not.toBe('Other.');
});

test.runIf(onServer)(
  'A change of an agent on one instance, and one by hand in the database, reach the other instance',
  async () => {
    await using database = await createTestDatabase();
    await using one = await startTestApp({ databaseUrl: database.url });
    await using two = await startTestApp({ databaseUrl: database.url });
    const here = await openSocketClient(one, 'alice');
    const there = await openSocketClient(two, 'alice');
    const id = await make(here, { isDefault: true });
    const conversationId = await begin(here);
    const { agents } = two.app.runs;
    const known = async () => {
      const found = await findDefaultAgent(viewer, agents);
      return found === null ? undefined : (await resolveAgents(viewer, agents, [found])).get(found);
    };
    expect(await turn(two, there, conversationId)).toBe('First.');
    await change(here, id, { instructions: 'Second.' });
    await expect.poll(async () => (await known())?.agent.instructions).toBe('Second.');
    expect(await turn(two, there, conversationId)).toBe('Second.');

    const row = id.slice(4);
    await one.app.db.$executeRaw`UPDATE agents SET instructions = 'By hand.' WHERE id = ${row}::uuid`;
    await expect.poll(async () => (await known())?.agent.instructions).toBe('By hand.');
    expect(await turn(two, there, conversationId)).toBe('By hand.');
    const llm = { provider: 'groq', model: 'm' };
    await change(here, id, { llm: { ...llm, apiKey: 'gsk-0123456789-one' } });
    await expect.poll(async () => (await known())?.llm?.apiKey).toBe('gsk-0123456789-one');
    await change(here, id, { llm: { ...llm, apiKey: 'gsk-0123456789-two' } });
    await expect.poll(async () => (await known())?.llm?.apiKey).toBe('gsk-0123456789-two');
    await one.app.db.$executeRaw`DELETE FROM secrets WHERE agent_id = ${row}::uuid`;
    await expect.poll(async () => (await known())?.llm?.apiKey).toBe('');
    const other = await make(here, { instructions: 'Other.' });
    await here.ask('mutation ($id: ID!) { setDefaultAgent(id: $id) { id } }', { id: other });
    await expect.poll(async () => (await known())?.agent.instructions).toBe('Other.');
    await here.ask('mutation ($id: ID!) { deleteAgent(id: $id) }', { id: other });
    await expect.poll(async () => (await known())?.agent.name).toBe('assistant');
  },
);

test.runIf(onServer)('A lost connection to the database’s notices is made up for', async () => {
  await using app = await startTestApp();
  const alice = await openSocketClient(app, 'alice');
  const id = (await make(alice, { isDefault: true })).slice(4);
  const { agents } = app.app.runs;
  const known = async () => (await resolveAgents(viewer, agents, [id])).get(id)?.agent.instructions;
  expect(await known()).toBe('First.');
  const { db } = app.app;
  const cut = () => db.$queryRaw`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE 'LISTEN %'`;
  await cut();
  await expect.poll(() => app.logs.some((line) => /listens for changes was lost/.test(line.msg))).toBe(true);
  await db.$executeRaw`UPDATE agents SET instructions = 'In the gap.' WHERE id = ${id}::uuid`;
  await expect.poll(known).toBe('In the gap.');
});
