import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

let graph: Graph;
let alice: TestViewer;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
});
afterAll(async () => graph[Symbol.asyncDispose]());

async function ask(document: string, variables: Record<string, unknown> = {}) {
  const { data, errors, statements } = await graph.query(alice, document, variables);
  expect(errors).toEqual([]);
  return { data, statements };
}

const agentNamed = async (name: string) =>
  graph.db.agent.findFirstOrThrow({ where: { tenantId: 'acme', name, deletedAt: null } });

const begin = async (input: Record<string, unknown>): Promise<string> => {
  const document = 'mutation ($input: CreateConversationInput) { createConversation(input: $input) { id } }';
  return (await ask(document, { input })).data.createConversation.id;
};

const activeAgent = async (id: string) => {
  const document = 'query ($id: ID!) { conversation(id: $id) { activeAgent { name } } }';
  return (await ask(document, { id })).data.conversation.activeAgent?.name ?? null;
};

/** Runs a turn, and answers who spoke. */
const whoAnswers = async (conversationId: string): Promise<string> => {
  graph.app.model.add({ text: 'Yes.' });
  const input = { conversationId, content: 'Hello', idempotencyKey: randomUUID() };
  const document = 'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { messages { agent { name } } } }';
  return (await ask(document, { input })).data.sendMessage.messages[0].agent.name;
};

/** By hand, as the operator might. */
async function set(name: string, data: { isActive?: boolean; deletedAt?: Date | null }): Promise<void> {
  const { id } = await graph.db.agent.findFirstOrThrow({ where: { tenantId: 'acme', name } });
  await graph.db.agent.update({ where: { id }, data });
  graph.app.app.runs.agents.config.clear();
}

test('The active agent that the conversation names answers next, when agents are switched off, deleted or removed', async () => {
  const orders = await agentNamed('orders');
  const support = await begin({ scenarioKey: 'support', agentId: `agt_${orders.id}` });
  const plain = await begin({ agentId: `agt_${orders.id}` });
  const check = async (inScenario: string, without: string) => {
    expect([await activeAgent(support), await activeAgent(plain)]).toEqual([inScenario, without]);
    // The turn changes the active agent for good: each case has conversations of its own.
    const rows = await graph.db.conversation.findMany({ where: { tenantId: 'acme' } });
    expect([await whoAnswers(support), await whoAnswers(plain)]).toEqual([inScenario, without]);
    for (const { id, activeAgentId } of rows)
      await graph.db.conversation.update({ where: { id }, data: { activeAgentId } });
  };
  await check('orders', 'orders');
  await set('orders', { isActive: false });
  await check('supervisor', 'assistant');
  await set('supervisor', { isActive: false });
  // Nobody from outside comes into a scenario.
  const answers = async () => [await activeAgent(support), await activeAgent(plain), await whoAnswers(plain)];
  expect(await answers()).toEqual([null, 'assistant', 'assistant']);
  await set('assistant', { isActive: false });
  expect(await answers()).toEqual([null, 'development', 'development']);
  await graph.db.conversation.update({ where: { id: plain.slice(5) }, data: { activeAgentId: orders.id } });
  await set('development', { isActive: false });
  expect([await activeAgent(support), await activeAgent(plain)]).toEqual([null, null]);
  for (const name of ['orders', 'supervisor', 'assistant', 'development']) await set(name, { isActive: true });
  await check('orders', 'orders');

  await graph.db.scenarioAgent.deleteMany({ where: { tenantId: 'acme', agentId: orders.id } });
  graph.app.app.runs.agents.config.clear();
  await check('supervisor', 'orders');
  await set('orders', { deletedAt: new Date() });
  await check('supervisor', 'assistant');
});

test('A page of 50 conversations takes as many statements as one of 9', async () => {
  const other = await graph.viewer('bob');
  const fields = 'edges { node { activeAgent { name tools { name } llm { model apiKeyHint } } } }';
  const document = `query ($first: Int) { conversations(first: $first) { ${fields} } }`;
  const agents = await graph.db.agent.findMany({ where: { tenantId: 'acme', deletedAt: null, ownerId: null } });
  const scenarios = await graph.db.scenario.findMany({ where: { tenantId: 'acme' }, include: { agents: true } });
  await graph.db.conversation.createMany({
    data: Array.from({ length: 60 }, (_, n) => {
      const scenario = scenarios[n % scenarios.length];
      const member = scenario?.agents[n % scenario.agents.length];
      const floor = [
        { followsDefault: true },
        { activeAgentId: agents[n % agents.length]?.id ?? null },
        { scenarioId: scenario?.id ?? null, activeAgentId: member?.agentId ?? null },
      ];
      return { tenantId: 'acme', userId: 'bob', title: `${n}`, ...floor[n % 3] };
    }),
  });
  // The first one also reads the configuration: the default agent, and scenarios that nobody has used before.
  await graph.query(other, document, { first: 50 });
  const counts = new Set<number>();
  // Nine have each kind of conversation.
  for (const first of [9, 50, 50]) {
    const { data, errors, statements } = await graph.query(other, document, { first });
    expect(errors).toEqual([]);
    expect(data.conversations.edges).toHaveLength(first);
    for (const { node } of data.conversations.edges) expect(node.activeAgent.llm.model).toBe('test-model');
    counts.add(statements);
  }
  expect(counts.size).toBe(1);
  expect(Math.max(...counts)).toBeLessThanOrEqual(6);
});
