import { beforeAll, expect, test, vi } from 'vitest';
import { ConfigurationCache } from '../../src/database/configuration-cache.ts';
import { countStatements } from '../../src/database/statements.ts';
import { nameHandoffs } from '../../src/runs/plan/handoff-names.ts';
import { compileTurn, conversationForTurn } from '../../src/runs/plan/plan-turn.ts';
import { parseScenarioFile } from '../../src/scenarios/files/format.ts';
import { importScenarios } from '../../src/scenarios/files/import.ts';
import { shareApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';

// Whole servers start and stop here, next to other tests: this is room, not an expectation.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const app = shareApp();
let alice: SocketClient;

beforeAll(async () => {
  alice = await openSocketClient(app, 'alice');
});

/** A mutation by an admin that has to work. */
async function manage(document: string, variables: Record<string, unknown>) {
  const { data, errors } = await app.query(document, variables, {
    token: await app.token({ sub: 'root', roles: ['admin'] }),
  });
  expect(errors).toEqual([]);
  return data;
}

async function makeAgents(prefix: string, count: number): Promise<string[]> {
  await alice.ask('{ viewer { userId } }');
  const rows = await app.app.db.agent.createManyAndReturn({
    data: Array.from({ length: count }, (_, n) => ({
      tenantId: 'acme',
      name: `${prefix}_${n}`,
      instructions: `You are ${prefix}_${n}.`,
    })),
  });
  return rows.map(({ id }) => `agt_${id}`);
}

const create = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
const update = 'mutation ($id: ID!, $input: ScenarioInput!) { updateScenario(id: $id, input: $input) { version } }';

/** The first of the agents hands off to all others. */
const star = (key: string, agents: readonly string[], description = 'When asked to.') => ({
  key,
  name: key,
  rootAgentId: agents[0],
  agents: agents.map((agentId, index) => ({
    agentId,
    handoffs: index === 0 ? agents.slice(1).map((toAgentId) => ({ toAgentId, description })) : [],
  })),
});

test('A turn keeps the version of its scenario; a queued one, and the next, have the new one', async () => {
  const [a = '', b = '', c = ''] = await makeAgents('versioned', 3);
  const { createScenario } = await manage(create, { input: star('versioned', [a, b]) });
  const conversationId = await alice.createConversation('versioned');
  const gate = createGate();
  app.model.add(
    {
      text: ['Wait', '.'],
      afterTokens: 1,
      gate,
      calls: [{ name: 'transfer_to_versioned_1', arguments: { reason: 'r' } }],
    },
    { text: 'B answers.', expect: ({ instructions }) => expect(instructions).toContain('You are versioned_1.') },
  );
  const running = alice.chatTurn('ws', { conversationId });
  await running.untilText('Wait');
  const queued = alice.chatTurn('ws', { conversationId, ifBusy: 'ENQUEUE' });
  // Another agent in the place of the one that the running turn is about to hand off to.
  const { updateScenario } = await manage(update, {
    id: createScenario.id,
    input: star('versioned', [a, c], 'Now C.'),
  });
  expect(updateScenario).toEqual({ version: 2 });
  app.model.add({
    text: 'A answers.',
    // The active agent is no longer a member: the root replaces it.
    expect: ({ instructions, tools, body }) => {
      expect(instructions).toContain('You are versioned_0.');
      expect(tools).toEqual(['transfer_to_versioned_2']);
      expect(JSON.stringify(body)).toContain('Now C.');
    },
  });
  gate.open();
  const events = await running.rest();
  expect(events.find((event) => event.handoff)?.handoff).toMatchObject({ toAgent: { name: 'versioned_1' } });
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  const later = await queued.rest();
  expect(later.find((event) => event.agent)?.agent).toEqual({ name: 'versioned_0' });
  expect(later.at(-1)?.__typename).toBe('RunCompleted');

  app.model.add({
    text: 'Still.',
    expect: ({ instructions }) => expect(instructions).toContain('You are versioned_0.'),
  });
  expect((await alice.chatTurn('ws', { conversationId }).rest()).at(-1)?.__typename).toBe('RunCompleted');
});

test('A scenario that is switched off goes on in its conversations', async () => {
  const agents = await makeAgents('closing', 2);
  const { createScenario } = await manage(create, { input: star('closing', agents) });
  const conversationId = await alice.createConversation('closing');
  await manage(update, { id: createScenario.id, input: { ...star('closing', agents), isActive: false } });
  app.model.add({ text: 'Yes.', expect: ({ instructions }) => expect(instructions).toContain('You are closing_0.') });
  expect((await alice.chatTurn('ws', { conversationId }).rest()).at(-1)?.__typename).toBe('RunCompleted');
});

test('If the root is switched off a turn is refused, unless it names another member', async () => {
  const [root = '', other = ''] = await makeAgents('headless', 2);
  await manage(create, { input: star('headless', [root, other]) });
  const conversationId = await alice.createConversation('headless');
  const turnOff = 'mutation ($id: ID!) { updateAgent(id: $id, input: { isActive: false }) { isActive } }';
  await manage(turnOff, { id: root });

  const send = 'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { agent { name } } }';
  const ask = (idempotencyKey: string, more: Record<string, unknown> = {}) =>
    app.query(send, { input: { conversationId, content: 'Hello', idempotencyKey, ...more } }, { token: alice.token });
  const { data, errors } = await ask('refused');
  expect(data).toBeNull();
  expect(errors).toMatchObject([{ extensions: { code: 'CONFLICT' }, message: expect.stringContaining('root agent') }]);
  const read = `query ($id: ID!) { conversation(id: $id) { activeAgent { name } messages { totalCount } } }`;
  expect((await alice.ask(read, { id: conversationId })).conversation).toEqual({
    activeAgent: null,
    messages: { totalCount: 0 },
  });

  app.model.add(...['Named.', 'Kept.'].map((text) => ({ text })));
  // The active agent stays, as long as it is an active member.
  for (const more of [{ agentId: other }, {}]) {
    expect((await ask(JSON.stringify(more), more)).data.sendMessage.agent).toEqual({ name: 'headless_1' });
  }
});

// The embedded database tells nobody of changes: nobody else is on it.
test.runIf(process.env.TEST_DATABASE_URL)(
  'What another process imports is in the next turn of a running server',
  async () => {
    const file = (instructions: string) => {
      const agents = [{ name: 'imported', instructions }];
      const content = { version: 1, scenario: { key: 'imported', name: 'Imported', root: 'imported' }, agents };
      return parseScenarioFile('imported.json', Buffer.from(JSON.stringify(content)));
    };
    const { agents } = app.app.runs;
    // As another process does it: nobody here is told but by the database.
    const importFile = (instructions: string) =>
      importScenarios({ ...agents, db: app.app.db }, 'acme', [file(instructions)]);
    await importFile('Before.');
    const conversationId = await alice.createConversation('imported');
    const seen: string[] = [];
    const turn = async () => {
      app.model.add({ text: 'Yes.', expect: ({ instructions }) => void seen.push(instructions) });
      await alice.chatTurn('ws', { conversationId }).rest();
      return seen.at(-1);
    };
    expect(await turn()).toContain('Before.');
    await importFile('After.');
    await expect.poll(turn).toContain('After.');
    expect(seen.length).toBeLessThan(20);
  },
);

test('Agents whose names make the same tool name are told apart', async () => {
  const names = ['Twin', 'twin!', 'tw-in', '客服', '退款'];
  await app.app.db.agent.createMany({ data: names.map((name) => ({ tenantId: 'acme', name, instructions: name })) });
  const rows = await app.app.db.agent.findMany({ where: { tenantId: 'acme', name: { in: names } } });
  const [root = ''] = await makeAgents('parent', 1);
  const twins = names.map((name) => `agt_${rows.find((row) => row.name === name)?.id}`);
  await manage(create, { input: star('twins', [root, ...twins]) });
  const conversationId = await alice.createConversation('twins');
  const tools = nameHandoffs(rows);
  const toolOf = (name: string) => tools.get(rows.find((row) => row.name === name)?.id ?? '') ?? '';
  expect(new Set(tools.values()).size).toBe(names.length);
  for (const name of ['twin!', '退款']) {
    app.model.add(
      {
        calls: [{ name: toolOf(name), arguments: {} }],
        expect: ({ tools: offered }) => expect(offered).toEqual(names.map(toolOf)),
      },
      { text: 'Here.', expect: ({ instructions }) => expect(instructions).toContain(name) },
    );
    const events = await alice.chatTurn('ws', { conversationId, agentId: root }).rest();
    expect(events.find((event) => event.handoff)?.handoff?.toAgent).toEqual({ name });
  }
  // The past has the names that are offered.
  app.model.add({ text: 'Yes.' });
  await alice.chatTurn('ws', { conversationId, agentId: root }).rest();
  const past = app.model.requests.at(-1)?.messages.flatMap((item) => (item.role === 'assistant' ? item.calls : []));
  expect(past?.map(({ name }) => name)).toEqual([toolOf('twin!'), toolOf('退款')]);
});

test('The configuration of a turn costs as many statements with 20 agents as with 2, and none once it is cached', async () => {
  const { runs, db } = app.app;
  const viewer = { userId: 'alice', tenantId: 'acme', roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const stored = {
    agentId: null,
    onDisconnect: 'CONTINUE',
    model: null,
    temperature: null,
    maxTokens: null,
    roles: [],
  } as const;
  const compile = async (count: number) => {
    const key = `sized-${count}`;
    await manage(create, { input: star(key, await makeAgents(key, count)) });
    const id = (await alice.createConversation(key)).slice(5);
    const conversation = await db.conversation.findUniqueOrThrow({ where: { id }, include: conversationForTurn });
    // Nothing is remembered but by this.
    const agents = { ...runs.agents, config: new ConfigurationCache() };
    const host = new Proxy(runs, { get: (target, name) => (name === 'agents' ? agents : Reflect.get(target, name)) });
    const cold = await countStatements(() => compileTurn(viewer, host, conversation, { ...stored, roles: [] }));
    const warm = await countStatements(() => compileTurn(viewer, host, conversation, { ...stored, roles: [] }));
    expect(cold.result.agents.size).toBe(count);
    return [cold.statements, warm.statements];
  };
  const small = await compile(2);
  expect(await compile(20)).toEqual(small);
  expect(small[1]).toBe(0);
});
