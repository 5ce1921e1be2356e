import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp();

test('Settings of the turn come before those of the user, and those before the agent’s', async () => {
  const { conversationId, ...socketClient } = await openChat(app, 'support');
  const { agents } = await socketClient.ask(`{ agents { edges { node { id name } } } }`);
  const idOf = new Map<string, string>(
    agents.edges.map(({ node }: { node: { id: string; name: string } }) => [node.name, node.id]),
  );
  const update = `mutation ($input: UpdateChatSettingsInput!) { updateChatSettings(input: $input) { id } }`;
  const send = async (input: Record<string, unknown> = {}) => {
    app.model.add({ text: 'Yes.' });
    await socketClient.ask(documents.sendMessage, {
      input: { conversationId, content: 'Hello', idempotencyKey: crypto.randomUUID(), ...input },
    });
    return app.model.requests.at(-1);
  };
  expect(await send()).toMatchObject({
    model: 'test-model',
    // Nobody gave one.
    temperature: null,
    maxTokens: null,
    tools: [
      'current_time',
      'echo_context',
      'transfer_to_billing',
      'transfer_to_orders',
      'transfer_to_human_escalation',
    ],
  });
  await socketClient.ask(update, {
    input: {
      model: 'settings-model',
      temperature: 0.1,
      maxTokens: 77,
      enabledTools: ['echo_context'],
      enabledAgents: [idOf.get('supervisor'), idOf.get('orders')],
    },
  });
  expect(await send()).toMatchObject({
    model: 'settings-model',
    temperature: 0.1,
    maxTokens: 77,
    tools: ['echo_context', 'transfer_to_orders'],
  });
  expect(await send({ model: 'turn-model', temperature: 0, maxTokens: 1 })).toMatchObject({
    model: 'turn-model',
    temperature: 0,
    maxTokens: 1,
    tools: ['echo_context', 'transfer_to_orders'],
  });
  // The agent that the request names becomes and stays the active agent.
  const orders = await send({ agentId: idOf.get('orders') });
  expect(orders?.instructions).toContain('orders specialist');
  expect((await send())?.instructions).toContain('orders specialist');
});

test('The model of an agent comes after the settings', async () => {
  const { conversationId, ...socketClient } = await openChat(app);
  const { currentAgent } = await socketClient.ask(`{ currentAgent { id } }`);
  const llm = { provider: 'own', model: 'own-model', apiUrl: app.model.url, api: 'RESPONSES' };
  await app.app.db.agent.update({ where: { id: rowOf(currentAgent.id) }, data: { llm } });
  try {
    app.model.add({ text: 'One.' }, { text: 'Two.' });
    await socketClient.chatTurn('ws', { conversationId }).rest();
    expect(app.model.requests.at(-1)).toMatchObject({ model: 'own-model', api: 'RESPONSES' });
    await socketClient.chatTurn('ws', { conversationId, model: 'turn-model' }).rest();
    expect(app.model.requests.at(-1)).toMatchObject({ model: 'turn-model', api: 'RESPONSES' });
  } finally {
    await app.app.db.$executeRaw`UPDATE agents SET llm = NULL`;
  }
});

test('The next turn knows the turns before it: their tools, their handoffs, the active agent', async () => {
  const { conversationId, ...socketClient } = await openChat(app, 'support');
  app.model.add(
    { calls: [{ id: 'c1', name: 'transfer_to_billing', arguments: { reason: 'money' } }] },
    { text: 'Looking.', calls: [{ id: 'c2', name: 'lookup_order', arguments: { orderNumber: '1046' } }] },
    { text: 'It waits for payment.' },
    { text: 'Welcome.' },
  );
  await socketClient.chatTurn('ws', { conversationId, content: 'Did I pay 1046?' }).rest();
  const second = await socketClient.chatTurn('ws', { conversationId, content: 'Thanks' }).rest();
  expect(second[1]?.decision?.selectedAgents).toEqual([{ name: 'billing' }]);
  const request = app.model.requests.at(-1);
  expect(request?.instructions).toContain('billing specialist');
  const { messages = [] } = request ?? {};
  expect(messages).toEqual([
    { role: 'user', content: 'Did I pay 1046?' },
    {
      role: 'assistant',
      content: '',
      calls: [{ id: 'c1', name: 'transfer_to_billing', arguments: '{"reason":"money"}' }],
    },
    { role: 'tool', callId: 'c1', output: expect.stringContaining('active agent') },
    {
      role: 'assistant',
      content: 'Looking.',
      calls: [{ id: 'c2', name: 'lookup_order', arguments: '{"orderNumber":"1046"}' }],
    },
    { role: 'tool', callId: 'c2', output: expect.stringContaining('waiting for payment') },
    { role: 'assistant', content: 'It waits for payment.', calls: [] },
    { role: 'user', content: 'Thanks' },
  ]);
});

test('The history stays valid after turns that were cancelled, cut in a tool call, or failed', async () => {
  const { conversationId, ...socketClient } = await openChat(app);
  const gate = createGate();
  app.model.add(
    { calls: [{ id: 'open', name: 'echo_context', arguments: {} }] },
    { text: ['Half', ' way'], afterTokens: 1, gate },
  );
  const one = socketClient.chatTurn('ws', { conversationId, content: 'one' });
  await one.untilText('Half');
  await socketClient.ask(documents.cancelRun, { id: (await first(one.events)).runId });
  // As a crash leaves it: a call without a result.
  await app.app.db.toolCall.updateMany({
    where: { callId: 'open' },
    data: { status: 'CANCELLED', error: 'The turn was stopped.' },
  });
  app.model.add({ misbehave: { status: 400 } });
  const two = await socketClient.chatTurn('ws', { conversationId, content: 'two' }).rest();
  expect(two.at(-1)).toMatchObject({ __typename: 'RunFailed', error: { code: 'MODEL_ERROR', retryable: false } });
  app.model.add({ text: 'Fine.' });
  const three = await socketClient.chatTurn('ws', { conversationId, content: 'three' }).rest();
  expect(three.at(-1)?.__typename).toBe('RunCompleted');
  expect(app.model.requests.at(-1)?.messages).toEqual([
    { role: 'user', content: 'one' },
    { role: 'assistant', content: '', calls: [{ id: 'open', name: 'echo_context', arguments: '{}' }] },
    { role: 'tool', callId: 'open', output: expect.stringContaining('Cancelled') },
    { role: 'assistant', content: 'Half', calls: [] },
    // The turn of the first of the two failed; strict servers take one message for both.
    { role: 'user', content: 'two\n\nthree' },
  ]);
});

async function first<T>(events: readonly T[]): Promise<T> {
  const [event] = events;
  if (!event) throw new Error('Nothing came.');
  return event;
}

function rowOf(id: string): string {
  return id.slice(id.indexOf('_') + 1);
}
