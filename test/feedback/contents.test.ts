import { expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { listSelections } from '../projects/field-paths.ts';
import { shareApp } from '../support/app.ts';
import { openChat, openSocketClient, type SocketClient } from '../support/chat.ts';

// Admins who read feedback see the answer and how its run went, and nothing else of somebody else's conversation.

const app = shareApp();
/** In everything of the conversation but the answer. */
const marker = 'private-c41d';

/** What each selection below an object leads to, and which of them show the marker. */
async function readAll(token: string, id: string, type: string) {
  const shown: string[] = [];
  const codes = new Set<unknown>();
  for (const selection of listSelections(schema, type)) {
    const document = `query ($id: ID!) { node(id: $id) { ... on ${type} { ${selection} } } }`;
    const { data, errors } = await app.query(document, { id }, { token });
    for (const { extensions } of errors)
      codes.add(extensions.code === 'FORBIDDEN' ? extensions.code : `${extensions.code}: ${selection}`);
    if (JSON.stringify(data).includes(marker)) shown.push(selection);
  }
  return { shown, codes: [...codes] };
}

/** Rates the last message of a conversation. @returns the id of the message */
async function rateLast({ ask }: SocketClient, conversationId: string, rating: 'UP' | 'DOWN'): Promise<string> {
  const { conversation } = await ask('query ($id: ID!) { conversation(id: $id) { lastMessage { id } } }', {
    id: conversationId,
  });
  const { id } = conversation.lastMessage;
  await ask(`mutation ($id: ID!) { setFeedback(messageId: $id, rating: ${rating}) { id } }`, { id });
  return id;
}

/** A rated answer in a conversation in which everything else has the marker in it. */
async function openRated(tenant: string) {
  const admin = await openSocketClient(app, { tenant, sub: 'ada', roles: ['admin'] });
  const agent = async (name: string, tools: readonly string[]) => {
    const input = { name, instructions: 'Be brief.', isShared: true, tools };
    const { it } = await admin.ask('mutation ($input: CreateAgentInput!) { it: createAgent(input: $input) { id } }', {
      input,
    });
    return String(it.id);
  };
  const [first, second] = [await agent('first', ['current_time']), await agent('second', [])];
  await admin.ask('mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }', {
    input: {
      ...{ key: 'two', name: 'two', rootAgentId: first },
      agents: [
        { agentId: first, handoffs: [{ toAgentId: second }] },
        { agentId: second, handoffs: [] },
      ],
      guardrails: [{ name: 'looks', stages: ['INPUT'], check: { patterns: ['nothing-of-the-kind'] } }],
    },
  });
  const chat = await openChat(app, { scenarioKey: 'two', title: marker }, { tenant, sub: 'carla' });
  app.model.add(
    { text: marker, calls: [{ name: 'current_time', arguments: { timeZone: marker } }] },
    { calls: [{ name: 'transfer_to_second', arguments: { reason: marker } }] },
    { text: 'An answer.', calls: [] },
  );
  await chat.readToEnd(marker, { idempotencyKey: marker });
  // The name of a guardrail stands in why a run has failed, and may be its user's own.
  const failure = { errorCode: 'GUARDRAIL_TRIPPED', errorMessage: marker, errorRetryable: false };
  const where = { conversationId: chat.conversationId.slice('conv_'.length) };
  await app.app.db.run.updateMany({ where, data: { ...failure, status: 'FAILED' } });
  const messageId = await rateLast(chat, chat.conversationId, 'DOWN');
  // What the model thought before it, and what it has written beside the text.
  const details = { tenantId: tenant, messageId: messageId.slice('msg_'.length) };
  await app.app.db.messageDetails.create({ data: { ...details, data: { marker }, reasoning: marker } });
  const { feedback } = await admin.ask('{ feedback { edges { node { id } } } }');
  return { chat, admin, messageId, id: String(feedback.edges[0].node.id) };
}

test('No field below feedback leads an admin to anything of the conversation but the answer', async () => {
  const { chat, admin, messageId, id } = await openRated('t-contents');
  // Its user reads it all on the same ways, but for what is the admins'.
  const own = await readAll(chat.token, messageId, 'Message');
  expect(own.codes.filter((code) => code !== 'FORBIDDEN')).toEqual([]);
  expect(own.shown.length).toBeGreaterThan(6);
  expect(own.shown).toContainEqual(expect.stringMatching(/^[^{]*\bdata\b[^{]*\breasoning\b/));
  expect(await readAll(admin.token, id, 'Feedback')).toEqual({ shown: [], codes: ['FORBIDDEN'] });
  const shown = `query ($id: ID!) { node(id: $id) { ... on Feedback {
    run { idempotencyKey status error { code message retryable } } } } }`;
  const error = { code: 'GUARDRAIL_TRIPPED', message: '', retryable: false };
  expect((await admin.ask(shown, { id })).node).toEqual({ run: { idempotencyKey: '', status: 'FAILED', error } });
});

test('Of an answer that was imported, admins see neither the tool calls nor why its agent was chosen', async () => {
  const chat = await openChat(app, {}, { tenant: 't-imported', sub: 'carla' });
  const input = {
    ...{ conversationId: chat.conversationId, role: 'ASSISTANT', content: 'An answer.', idempotencyKey: marker },
    toolCalls: [{ callId: 'c1', name: 'lookup', arguments: JSON.stringify({ marker }), result: marker }],
    routingDecision: { selectedAgents: [], confidence: 1, reasoning: marker },
  };
  await chat.ask('mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }', { input });
  const messageId = await rateLast(chat, chat.conversationId, 'UP');
  expect((await readAll(chat.token, messageId, 'Message')).shown.length).toBeGreaterThan(2);
  const admin = await openSocketClient(app, { tenant: 't-imported', sub: 'ada', roles: ['admin'] });
  const { feedback } = await admin.ask('{ feedback { edges { node { id } } } }');
  expect((await readAll(admin.token, feedback.edges[0].node.id, 'Feedback')).shown).toEqual([]);
});

test('Of an agent that its user has for themselves, admins who read feedback see the name alone', async () => {
  const tenant = 't-own-agent';
  const user = await openSocketClient(app, { tenant, sub: 'carla' });
  const agentId = await user.createAgent({
    ...{ name: 'own', instructions: marker, description: marker, tools: ['current_time'] },
    guardrails: [{ name: marker, stages: ['INPUT'], check: { patterns: [marker] } }],
  });
  const conversationId = await user.createConversation({ agentId });
  app.model.add({ text: 'An answer.' });
  await user.chatTurn('ws', { conversationId }).rest();
  const llm = { provider: 'openai', model: marker, apiKey: `sk-${marker}` };
  const outputSchema = { type: 'object', description: marker };
  const { updateAgent } = await user.ask(
    `mutation ($id: ID!, $input: UpdateAgentInput!) {
      updateAgent(id: $id, input: $input) { instructions llm { model } }
    }`,
    { id: agentId, input: { llm, outputSchema } },
  );
  expect(updateAgent).toEqual({ instructions: marker, llm: { model: marker } });
  await rateLast(user, conversationId, 'UP');
  const admin = await openSocketClient(app, { tenant, sub: 'ada', roles: ['admin'] });
  const shown = 'name instructions description toolNames tools { name } llm { model } guardrails { name } outputSchema';
  const { feedback } = await admin.ask(
    `{ feedback { edges { node { agent { ${shown} } message { agent { ${shown} } } } } } }`,
  );
  const agent = {
    ...{ name: 'own', instructions: '', description: null, toolNames: [], tools: [] },
    ...{ llm: { model: 'test-model' }, guardrails: [], outputSchema: null },
  };
  expect(feedback.edges).toEqual([{ node: { agent, message: { agent } } }]);
});
