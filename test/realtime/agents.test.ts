import { beforeAll, describe, expect, test } from 'vitest';
import { followConversation } from '../conversations/feed-reader.ts';
import type { Graph, TestViewer } from '../support/app.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import {
  agent,
  createScenario,
  inSeconds,
  readConversation,
  record,
  sendTurn,
  shareGraph,
  startSession,
  user,
} from './support.ts';

let graph: Graph;
let alice: TestViewer;
const shared = shareGraph();
beforeAll(() => {
  ({ graph, alice } = shared);
});

const read = (session: { conversation: { id: string } }) => readConversation(graph, alice, session.conversation.id);

describe('Guardrails', () => {
  test('What is redacted or blocked is in no row, title, later history or event, and the message says so.', async () => {
    const session = await startSession(graph, alice, { scenarioKey: 'guarded' });
    const { data, errors } = await record(
      graph,
      alice,
      session.id,
      user('g1', 'I am voice-mail@example.com'),
      agent('g3', 'Hello.'),
    );
    expect(errors).toEqual([]);
    const [redacted, fine] = data.recordRealtimeItems;
    expect(redacted).toMatchObject({ content: 'I am [EMAIL]', status: 'REDACTED' });
    expect(redacted.guardrailResults).toContainEqual(
      expect.objectContaining({ tripwireTriggered: true, stage: 'INPUT' }),
    );
    expect(fine).toMatchObject({ content: 'Hello.', status: 'COMPLETE' });
    // Sent again, it is the same item.
    const again = await record(graph, alice, session.id, user('g1', 'I am voice-mail@example.com'));
    expect(again.data.recordRealtimeItems[0].id).toBe(redacted.id);
    const stopped = await record(graph, alice, session.id, user('g4', 'My password is hunter2'));
    expect(stopped.data.recordRealtimeItems[0].status).toBe('BLOCKED');
    const given = (await sendTurn(graph, alice, session.conversation.id, 'And now?')).join('\n');
    expect(given).toContain('I am [EMAIL]');
    expect(given).not.toContain('hunter2');
    expect(given).not.toContain('voice-mail@example.com');
    expect(await dumpDatabase(graph)).not.toContain('voice-mail@example.com');
    expect(JSON.stringify(graph.app.logs)).not.toMatch(/voice-mail@example|hunter2/);
  });

  test('Of what an agent said and a guardrail blocks, nothing is stored, and no model is given anything.', async () => {
    const guardrails = [{ name: 'no-codes', stages: ['OUTPUT'], check: { patterns: ['(?i)swordfish'] } }];
    await createScenario(graph, alice, 'voice-blocked', ['assistant'], { guardrails });
    const session = await startSession(graph, alice, { scenarioKey: 'voice-blocked' });
    const said = await record(
      graph,
      alice,
      session.id,
      agent('b1', 'The code is Swordfish-77'),
      user('b2', 'Swordfish?'),
    );
    expect(said.data.recordRealtimeItems).toMatchObject([
      { content: '[REDACTED]', status: 'BLOCKED', guardrailResults: [{ guardrail: 'no-codes', stage: 'OUTPUT' }] },
      { content: 'Swordfish?', status: 'COMPLETE' },
    ]);
    // Messages of the user that follow each other are one for the model.
    expect(await sendTurn(graph, alice, session.conversation.id, 'Go on')).toEqual(['user: Swordfish?\n\nGo on']);
    expect(await dumpDatabase(graph)).not.toContain('Swordfish-77');
  });
});

describe('The active agent', () => {
  test('Agents that hand over to each other in the call switch the conversation, and every reader hears of it.', async () => {
    const session = await startSession(graph, alice);
    const { id, lastEventSeq } = session.conversation;
    await using events = followConversation(graph.app, alice.token, id, lastEventSeq);
    await record(
      graph,
      alice,
      session.id,
      agent('t1', 'I pass you on.'),
      agent('t2', 'Hello!', { agentName: 'billing' }),
    );
    const isSwitch = ({ __typename }: { __typename: string }) => __typename === 'AgentSwitched';
    expect((await events.until(isSwitch)).at(-1)).toMatchObject({
      fromAgent: { name: 'supervisor' },
      toAgent: { name: 'billing' },
    });
    // Who does not name an agent speaks as before; what arrives late switches nothing.
    await record(graph, alice, session.id, agent('t3', 'How can I help?'));
    await record(graph, alice, session.id, agent('t0', 'Welcome.', { agentName: 'orders', at: inSeconds(-600) }));
    const { messages, activeAgent } = await read(session);
    expect(activeAgent.name).toBe('billing');
    expect(messages.map(({ agent: by }) => by?.name)).toEqual(['orders', 'supervisor', 'billing', 'billing']);
  });

  test('In an orchestrated scenario, a classifier chooses who answers what was said, and the switch has its reason.', async () => {
    const orchestration = { mode: 'EVERY_TURN', threshold: 0.5 };
    await createScenario(graph, alice, 'voice-routed', ['supervisor', 'billing', 'orders'], { orchestration });
    const session = await startSession(graph, alice, { scenarioKey: 'voice-routed' });
    const { id, lastEventSeq } = session.conversation;
    await using events = followConversation(graph.app, alice.token, id, lastEventSeq);
    const reasoning = 'It is about a bill.';
    graph.app.model.add({ text: JSON.stringify({ agent: 'billing', confidence: 0.9, reasoning, alternatives: [] }) });
    const recorded = await record(graph, alice, session.id, user('c1', 'My bill is wrong'));
    expect(recorded.errors).toEqual([]);
    expect(recorded.data.recordRealtimeItems[0].routingDecision).toEqual({ reasoning, rootAgent: { name: 'billing' } });
    const isSwitch = ({ __typename }: { __typename: string }) => __typename === 'AgentSwitched';
    expect((await events.until(isSwitch)).at(-1)).toMatchObject({ toAgent: { name: 'billing' }, reason: reasoning });
    // An answer asks nobody, and is the new agent's.
    const answer = await record(graph, alice, session.id, agent('c2', 'I see.'));
    expect(answer.data.recordRealtimeItems[0].agent).toEqual({ name: 'billing' });
    // A classifier that answers prose: the agent that speaks goes on.
    graph.app.model.add({ text: 'I would say orders.' });
    const prose = await record(graph, alice, session.id, user('c3', 'And where is my parcel?'));
    expect(prose.errors).toEqual([]);
    expect((await read(session)).activeAgent.name).toBe('billing');
    // What classifiers use counts.
    const usage = await graph.query(alice, 'query ($id: ID!) { conversation(id: $id) { usage { modelCalls } } }', {
      id,
    });
    expect(usage.data.conversation.usage.modelCalls).toBe(2);
  });
});

test('The guardrails of the classifier check what it is asked about, and what they block or redact is stored so.', async () => {
  const own = { name: 'own', stages: ['INPUT'], check: { patterns: ['forbidden'] } };
  const mails = { name: 'mails', stages: ['INPUT'], check: { pii: ['EMAIL'] }, action: 'REDACT' };
  const input = { name: 'voice_classifier', instructions: 'You classify.', isShared: true, guardrails: [own, mails] };
  const token = await graph.app.token({ sub: 'boss', roles: ['admin'] });
  const create = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
  const classifierAgentId = (await graph.app.query(create, { input }, { token })).data.createAgent.id;
  const orchestration = { mode: 'EVERY_TURN', threshold: 0.5, classifierAgentId };
  await createScenario(graph, alice, 'voice-classifier', ['supervisor', 'billing'], { orchestration });
  const session = await startSession(graph, alice, { scenarioKey: 'voice-classifier' });
  const { requests } = graph.app.model;
  const asked = requests.length;
  const stopped = await record(graph, alice, session.id, user('q1', 'This is forbidden'));
  expect(stopped.errors).toEqual([]);
  expect(stopped.data.recordRealtimeItems[0]).toMatchObject({
    status: 'BLOCKED',
    routingDecision: null,
    guardrailResults: [{ guardrail: 'own', stage: 'INPUT', tripwireTriggered: true }],
  });
  expect(requests).toHaveLength(asked);
  const choice = { agent: 'billing', confidence: 0.9, reasoning: 'It is.', alternatives: [] };
  graph.app.model.add({ text: JSON.stringify(choice) });
  const said = await record(graph, alice, session.id, user('q2', 'I am bob@example.com'));
  expect(said.data.recordRealtimeItems[0]).toMatchObject({ status: 'REDACTED', content: 'I am [EMAIL]' });
  expect(JSON.stringify(requests.slice(asked).map(({ body }) => body))).not.toMatch(/bob@example|forbidden/);
});

test('The guardrails of the agent that is chosen check what it is to answer, as in a turn.', async () => {
  const own = { name: 'own', stages: ['INPUT'], check: { patterns: ['forbidden'] } };
  const input = { name: 'voice_strict', instructions: 'You answer.', isShared: true, guardrails: [own] };
  const token = await graph.app.token({ sub: 'boss', roles: ['admin'] });
  const create = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
  expect((await graph.app.query(create, { input }, { token })).errors).toEqual([]);
  const orchestration = { mode: 'EVERY_TURN', threshold: 0.5 };
  await createScenario(graph, alice, 'voice-chosen', ['supervisor', 'voice_strict'], { orchestration });
  const session = await startSession(graph, alice, { scenarioKey: 'voice-chosen' });
  const choice = { agent: 'voice_strict', confidence: 0.9, reasoning: 'It is.', alternatives: [] };
  graph.app.model.add({ text: JSON.stringify(choice) });
  const { data } = await record(graph, alice, session.id, user('w1', 'This is forbidden'));
  expect(data.recordRealtimeItems[0]).toMatchObject({
    status: 'BLOCKED',
    routingDecision: { rootAgent: { name: 'voice_strict' } },
    guardrailResults: [{ guardrail: 'own', stage: 'INPUT', tripwireTriggered: true }],
  });
  graph.app.model.add({ text: JSON.stringify(choice) });
  expect(await sendTurn(graph, alice, session.conversation.id, 'And now?')).toEqual(['user: And now?']);
});

test('A classifier is shown nothing of a turn that a guardrail has stopped.', async () => {
  const guardrails = [
    { name: 'out', stages: ['OUTPUT'], mode: 'HOLD_BACK', window: 10, check: { patterns: ['swordfish'] } },
  ];
  const orchestration = { mode: 'EVERY_TURN', threshold: 0.5 };
  await createScenario(graph, alice, 'voice-stopped', ['supervisor', 'billing'], { orchestration, guardrails });
  const session = await startSession(graph, alice, { scenarioKey: 'voice-stopped' });
  const choice = {
    text: JSON.stringify({ agent: 'supervisor', confidence: 0.9, reasoning: 'It is.', alternatives: [] }),
  };
  graph.app.model.add(choice, { text: 'It begins well, and then: swordfish' });
  const input = { conversationId: session.conversation.id, content: 'What is the code?', idempotencyKey: 'stopped' };
  const send = 'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { error { code } } }';
  const sent = await graph.query(alice, send, { input });
  expect(sent.data.sendMessage.error.code).toBe('GUARDRAIL_TRIPPED');
  let given = '';
  graph.app.model.add({
    ...choice,
    expect: ({ body }) => {
      given = JSON.stringify(body);
    },
  });
  await record(graph, alice, session.id, user('v1', 'And something else?'));
  expect(given).toContain('And something else?');
  expect(given).not.toMatch(/the code|begins well/);
});

describe('A batch that is overtaken while a classifier is asked about it', () => {
  const read =
    'query ($id: ID!) { realtimeSession(id: $id) { activeAgent { name } conversation { activeAgent { name } } } }';

  test.each(['supervisor', 'billing'])(
    'It moves nobody, if the classifier chooses %s: who has spoken since is newer.',
    async (name) => {
      const key = `voice-overtaken-${name}`;
      const orchestration = { mode: 'EVERY_TURN', threshold: 0.5 };
      await createScenario(graph, alice, key, ['supervisor', 'billing', 'orders'], { orchestration });
      const session = await startSession(graph, alice, { scenarioKey: key });
      const gate = Promise.withResolvers<void>();
      const { received, requests } = graph.app.model;
      const isAsked = received(requests.length + 1);
      const choice = { agent: name, confidence: 0.9, reasoning: 'It is.', alternatives: [] };
      graph.app.model.add({ text: JSON.stringify(choice), gate: gate.promise });
      const slow = record(graph, alice, session.id, user('o1', 'My bill is wrong', { at: inSeconds(-10) }));
      await isAsked;
      const hello = agent('o2', 'Hello from orders.', { agentName: 'orders', at: inSeconds(-5) });
      expect((await record(graph, alice, session.id, hello)).errors).toEqual([]);
      gate.resolve();
      const { data, errors } = await slow;
      expect(errors).toEqual([]);
      expect(data.recordRealtimeItems[0]).toMatchObject({ position: 1, routingDecision: null });
      const shown = await graph.query(alice, read, { id: session.id });
      const orders = { name: 'orders' };
      expect(shown.data.realtimeSession).toEqual({ activeAgent: orders, conversation: { activeAgent: orders } });
    },
  );
});

describe('Tools', () => {
  const execute = 'mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { ok result error } }';

  test('A tool that the voice agent calls runs as its user, in the conversation, under the name of the agent that speaks.', async () => {
    const session = await startSession(graph, alice);
    await record(graph, alice, session.id, agent('k1', 'Hello', { agentName: 'orders' }));
    const input = { name: 'echo_context', arguments: {}, realtimeSessionId: session.id };
    const { data } = await graph.query(alice, execute, { input });
    expect(data.executeTool).toMatchObject({
      ok: true,
      result: { userId: 'alice', tenantId: 'acme', agent: 'orders', conversationId: session.conversation.id.slice(5) },
    });
  });

  test('A tool that no agent of the scenario has is FORBIDDEN, and a session excludes a conversation.', async () => {
    const session = await startSession(graph, alice, { scenarioKey: 'assistant' });
    const base = { arguments: { orderNumber: '1042' }, realtimeSessionId: session.id };
    const refund = await graph.query(alice, execute, { input: { ...base, name: 'refund_order' } });
    expect(refund.errors[0]?.code).toBe('FORBIDDEN');
    const both = { ...base, name: 'lookup_order', conversationId: session.conversation.id };
    expect((await graph.query(alice, execute, { input: both })).errors[0]).toMatchObject({
      code: 'BAD_USER_INPUT',
      path: ['input', 'realtimeSessionId'],
    });
  });

  test('The guardrails of the agent that speaks check what goes into a tool and what comes out.', async () => {
    const guardrails = [
      { name: 'no-secrets', stages: ['TOOL_INPUT'], check: { patterns: ['(?i)forbidden'] } },
      { name: 'no-status', stages: ['TOOL_OUTPUT'], check: { patterns: ['(?i)alice'] }, action: 'REDACT' },
    ];
    await createScenario(graph, alice, 'voice-tools', ['orders'], { guardrails });
    const session = await startSession(graph, alice, { scenarioKey: 'voice-tools' });
    const call = (name: string, args: object) =>
      graph.query(alice, execute, { input: { name, arguments: args, realtimeSessionId: session.id } });
    const stopped = await call('current_time', { timeZone: 'forbidden' });
    expect(stopped.data.executeTool).toMatchObject({ ok: false, error: expect.stringContaining('"no-secrets"') });
    const redacted = await call('echo_context', {});
    expect(redacted.data.executeTool).toMatchObject({ ok: true, result: { userId: '[REDACTED]', tenantId: 'acme' } });
    const results = await graph.query(
      alice,
      'query ($id: ID!) { realtimeSession(id: $id) { guardrailResults { guardrail stage tripwireTriggered } } }',
      { id: session.id },
    );
    expect(results.data.realtimeSession.guardrailResults).toEqual(
      expect.arrayContaining([
        { guardrail: 'no-status', stage: 'TOOL_OUTPUT', tripwireTriggered: true },
        { guardrail: 'no-secrets', stage: 'TOOL_INPUT', tripwireTriggered: true },
      ]),
    );
  });
});
