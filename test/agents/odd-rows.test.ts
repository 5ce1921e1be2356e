import { randomUUID } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';

// Rows that somebody wrote by hand.

const app = shareApp();
let alice: SocketClient;

beforeAll(async () => {
  alice = await openSocketClient(app, 'alice');
  // Who comes first brings the seed.
  await listAgents();
});

async function writeRow(name: string, columns: { llm?: unknown; tts?: unknown }): Promise<string> {
  const { db } = app.app;
  const { id } = await db.agent.findFirstOrThrow({ where: { tenantId: 'acme', name } });
  const { llm, tts } = columns;
  await db.$executeRaw`
    UPDATE agents SET llm = ${JSON.stringify(llm ?? null)}::jsonb, tts = ${JSON.stringify(tts ?? null)}::jsonb
    WHERE id = ${id}::uuid`;
  app.app.runs.agents.config.drop('acme');
  return `agt_${id}`;
}

async function listAgents() {
  const { data, errors } = await app.query(
    '{ agents(first: 100) { edges { node { name llm { provider model api } tts { provider } } } } }',
    {},
    { token: alice.token },
  );
  const nodes: { name: string; llm: unknown; tts: unknown }[] = data.agents.edges.map(
    (edge: { node: unknown }) => edge.node,
  );
  return { nodes, errors };
}

function send(conversationId: string, agentId?: string) {
  const input = { conversationId, content: 'Hello', idempotencyKey: randomUUID(), ...(agentId && { agentId }) };
  return app.query(
    'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { status messages { content } } }',
    { input },
    { token: alice.token },
  );
}

test('An agent that names no API uses that of its provider', async () => {
  await writeRow('orders', { llm: { provider: 'openai', model: 'gpt-x' } });
  await writeRow('billing', { llm: { provider: 'groq', model: 'llama' } });
  const { nodes, errors } = await listAgents();
  expect(errors).toEqual([]);
  expect(nodes.find(({ name }) => name === 'orders')?.llm).toEqual({
    provider: 'openai',
    model: 'gpt-x',
    api: 'RESPONSES',
  });
  expect(nodes.find(({ name }) => name === 'billing')?.llm).toMatchObject({ api: 'CHAT_COMPLETIONS' });
});

test('An agent whose stored configuration is invalid fails alone', async () => {
  const orders = await writeRow('orders', { llm: { provider: 'openai' }, tts: 'loud' });
  const billing = await writeRow('billing', { llm: { provider: 'groq', model: 'm', apiUrl: 'groq.com/v1' } });
  const { nodes, errors } = await listAgents();
  expect(nodes.length).toBeGreaterThan(2);
  const unreadable = { provider: 'unreadable', model: '', api: 'CHAT_COMPLETIONS' };
  expect(nodes.find(({ name }) => name === 'orders')).toMatchObject({ llm: unreadable, tts: null });
  expect(errors).toMatchObject([{ path: ['agents', 'edges', expect.any(Number), 'node', 'tts'] }]);
  expect(errors[0]?.extensions.code).toBe('CONFLICT');

  // The others of its scenario go on, and are not offered to hand over to it.
  const conversationId = await alice.createConversation({ scenarioKey: 'support' });
  app.model.add({ text: 'Yes.' });
  expect(await send(conversationId)).toMatchObject({
    data: { sendMessage: { status: 'COMPLETED', messages: [{ content: 'Yes.' }] } },
  });
  expect(JSON.stringify(app.model.requests.at(-1)?.body)).not.toContain('transfer_to_orders');
  for (const [id, name] of [
    [orders, 'orders'],
    [billing, 'billing'],
  ] as const) {
    const refused = await send(conversationId, id);
    expect(refused.errors).toMatchObject([
      { message: expect.stringContaining(`"${name}"`), extensions: { code: 'CONFLICT' } },
    ]);
    const tested = await app.query('mutation ($id: ID!) { testAgent(id: $id, prompt: "Hi") { ok } }', { id });
    expect(tested.errors[0]?.extensions.code).toBe('CONFLICT');
  }
  expect(app.logs.filter(({ msg }) => msg === 'a stored provider is invalid')).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ agent: orders, kind: 'llm' }),
      expect.objectContaining({ agent: orders, kind: 'tts' }),
      expect.objectContaining({ agent: billing, kind: 'llm' }),
    ]),
  );
});
