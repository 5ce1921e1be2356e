import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { mergeInOrder } from '../../src/realtime/place-items.ts';
import { followConversation } from '../conversations/feed-reader.ts';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';
import { dumpDatabase, inSeconds, readConversation, record, recordDocument, startSession } from './support.ts';

let graph: Graph;
let alice: TestViewer;

beforeAll(async () => {
  graph = await openGraph({ RATE_LIMIT_REALTIME: '0' });
  alice = await graph.viewer('alice');
});
afterEach(async () => {
  graph.app.model.assertDone();
  // Only so many may be open.
  await graph.db.realtimeSession.updateMany({ data: { endedAt: new Date() } });
});
afterAll(() => graph[Symbol.asyncDispose]());

const user = (itemId: string, content: string, more: object = {}) => ({
  itemId,
  role: 'USER' as const,
  content,
  ...more,
});
const agent = (itemId: string, content: string, more: object = {}) => {
  return { itemId, role: 'ASSISTANT' as const, content, ...more };
};
const read = (session: { conversation: { id: string } }) => readConversation(graph, alice, session.conversation.id);

/** Sends a turn, and returns the texts that the model was given. */
async function sendTurn(conversationId: string, content: string, answer = 'Fine.'): Promise<string[]> {
  let given: string[] = [];
  graph.app.model.add({
    text: answer,
    expect: ({ messages }) => {
      given = messages.map((item) => `${item.role}: ${'content' in item ? item.content : item.output}`);
    },
  });
  const { data, errors } = await graph.query(
    alice,
    'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { status } }',
    { input: { conversationId, content, idempotencyKey: randomUUID() } },
  );
  expect({ status: data?.sendMessage.status, errors }).toEqual({ status: 'COMPLETED', errors: [] });
  return given;
}

describe('One history', () => {
  test('What was said is part of the conversation: its count, title, preview, order in the list, and the next turn’s history.', async () => {
    const session = await startSession(graph, alice);
    const newer = await startSession(graph, alice);
    const { data, errors } = await record(
      graph,
      alice,
      session.id,
      user('h1', 'My order 1042 is late'),
      agent('h2', 'Let me look.'),
    );
    expect(errors).toEqual([]);
    expect(data.recordRealtimeItems).toMatchObject([
      { position: 1, role: 'USER', source: 'REALTIME', status: 'COMPLETE', agent: null },
      { position: 2, role: 'ASSISTANT', source: 'REALTIME', status: 'COMPLETE', agent: { name: 'supervisor' } },
    ]);
    expect(await read(session)).toMatchObject({
      title: 'My order 1042 is late',
      messageCount: 2,
      lastMessage: { content: 'Let me look.' },
    });
    const list = await graph.query(alice, '{ conversations(first: 2) { edges { node { id } } } }');
    const ids = list.data.conversations.edges.map(({ node }: { node: { id: string } }) => node.id);
    expect(ids).toEqual([session.conversation.id, newer.conversation.id]);
    expect(await sendTurn(session.conversation.id, 'And now?')).toEqual([
      'user: My order 1042 is late',
      'assistant: Let me look.',
      'user: And now?',
    ]);
    // And the call goes on after the turn.
    await record(graph, alice, session.id, user('h3', 'Thanks'));
    const { messages, texts } = await read(session);
    expect(texts).toEqual(['My order 1042 is late', 'Let me look.', 'And now?', 'Fine.', 'Thanks']);
    expect(messages.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5]);
  });

  test('A run that is under way while items are recorded is not harmed, and its messages do not move.', async () => {
    const session = await startSession(graph, alice);
    await record(graph, alice, session.id, user('r1', 'Before', { at: inSeconds(0) }));
    const gate = Promise.withResolvers<void>();
    const { received, requests } = graph.app.model;
    const isAsked = received(requests.length + 1);
    graph.app.model.add({ text: 'The answer of the turn.', gate: gate.promise });
    const sent = graph.query(alice, 'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { status } }', {
      input: { conversationId: session.conversation.id, content: 'Typed', idempotencyKey: randomUUID() },
    });
    await isAsked;
    const late = { at: inSeconds(-100) };
    const { errors } = await record(graph, alice, session.id, user('r2', 'Late', late), agent('r3', 'Meanwhile'));
    expect(errors).toEqual([]);
    gate.resolve();
    expect((await sent).data.sendMessage.status).toBe('COMPLETED');
    const { messages } = await read(session);
    expect(messages.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5]);
    expect(messages.slice(0, 2).map(({ content }) => content)).toEqual(['Before', 'Typed']);
    expect(new Set(messages.map(({ content }) => content))).toEqual(
      new Set(['Before', 'Typed', 'Late', 'Meanwhile', 'The answer of the turn.']),
    );
  });
});

describe('Items that are sent again', () => {
  test('An item is recorded once, and its message is returned again, in the order of the arguments.', async () => {
    const session = await startSession(graph, alice);
    const items = [user('a', 'One'), agent('b', 'Two')] as const;
    const first = await record(graph, alice, session.id, ...items);
    const again = await record(graph, alice, session.id, items[1], user('c', 'Three'), items[0], items[0]);
    expect(again.errors).toEqual([]);
    const [one, two] = first.data.recordRealtimeItems;
    expect(again.data.recordRealtimeItems.map(({ id }: { id: string }) => id)).toEqual([
      two.id,
      expect.stringMatching(/^msg_/),
      one.id,
    ]);
    expect((await read(session)).texts).toEqual(['One', 'Two', 'Three']);
  });

  test('Two sockets that send the same items at the same time make one message of each.', async () => {
    const session = await startSession(graph, alice);
    const items = Array.from({ length: 10 }, (_, index) => user(`s${index}`, `Text ${index}`));
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => {
        return record(graph, alice, session.id, ...(index % 2 ? items : items.toReversed()));
      }),
    );
    const idsOf = (index: number) =>
      new Set(answers[index]?.data.recordRealtimeItems.map(({ id }: { id: string }) => id));
    for (const [index, { errors }] of answers.entries()) {
      expect(errors).toEqual([]);
      expect(idsOf(index)).toEqual(idsOf(0));
    }
    const { messages, messageCount } = await read(session);
    expect(messageCount).toBe(10);
    expect(messages.map(({ position }) => position)).toEqual(items.map((_, index) => index + 1));
    const row = await graph.db.realtimeSession.findUniqueOrThrow({ where: { id: session.id.slice(4) } });
    expect(row.itemCount).toBe(10);
  });

  test('With another text, another role or in another session it is a CONFLICT, and nothing of the batch is written.', async () => {
    const session = await startSession(graph, alice);
    const { id: conversationId } = session.conversation;
    const other = await startSession(graph, alice, { conversationId });
    await record(graph, alice, session.id, user('x', 'Hello'));
    const codes = [
      await record(graph, alice, session.id, user('new1', 'New'), user('x', 'Hello!')),
      await record(graph, alice, session.id, agent('x', 'Hello'), user('new2', 'New')),
      await record(graph, alice, other.id, user('new3', 'New'), user('x', 'Hello')),
    ].map(({ errors }) => errors[0]?.code);
    expect(codes).toEqual(['CONFLICT', 'CONFLICT', 'CONFLICT']);
    const twice = await record(graph, alice, session.id, user('y', 'One'), user('y', 'Two'));
    expect(twice.errors[0]).toMatchObject({ code: 'BAD_USER_INPUT', path: ['items', 1, 'itemId'] });
    expect((await read(session)).texts).toEqual(['Hello']);
    // Two texts of one item at the same time: one of them is recorded.
    const raced = await Promise.all(
      ['First', 'Second'].map((content) => record(graph, alice, session.id, user('z', content))),
    );
    expect(raced.map(({ errors }) => errors[0]?.code ?? 'ok').sort()).toEqual(['CONFLICT', 'ok']);
    expect((await read(session)).messageCount).toBe(2);
  });
});

describe('Items out of order', () => {
  test('A batch is put in the order of its times, and an item without one comes after the one before it.', async () => {
    const session = await startSession(graph, alice);
    await record(
      graph,
      alice,
      session.id,
      agent('o3', 'third', { at: inSeconds(-10) }),
      agent('o4', 'fourth'),
      user('o1', 'first', { at: inSeconds(-30) }),
      user('o2', 'second'),
    );
    expect((await read(session)).texts).toEqual(['first', 'second', 'third', 'fourth']);
  });

  test('An item that arrives late takes its place, and whoever applies the events has the order of the server.', async () => {
    const session = await startSession(graph, alice);
    await record(graph, alice, session.id, user('l1', 'one', { at: inSeconds(-60) }));
    await record(
      graph,
      alice,
      session.id,
      agent('l3', 'three', { at: inSeconds(-40) }),
      user('l5', 'five', { at: inSeconds(-20) }),
    );
    const { lastEventSeq } = (
      await graph.query(alice, 'query ($id: ID!) { conversation(id: $id) { lastEventSeq } }', {
        id: session.conversation.id,
      })
    ).data.conversation;
    const before = (await read(session)).messages;
    const { errors } = await record(
      graph,
      alice,
      session.id,
      user('l4', 'four', { at: inSeconds(-30) }),
      agent('l2', 'two', { at: inSeconds(-50) }),
      user('l6', 'six', { at: inSeconds(-10) }),
    );
    expect(errors).toEqual([]);
    const after = await read(session);
    expect(after.texts).toEqual(['one', 'two', 'three', 'four', 'five', 'six']);
    expect(after.messages.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5, 6]);
    // A cache that takes positions by id and adds what it does not have by its position.
    const cached = new Map<string, number>(before.map(({ id, position }) => [id, position]));
    const order = before.map(({ id }) => id);
    const query = `subscription ($id: ID!, $after: Int) { conversationEvents(conversationId: $id, after: $after) {
      __typename ... on MessageAdded { edge { node { id position } } } } }`;
    const variables = { id: session.conversation.id, after: lastEventSeq };
    const events = graph.app.ws(alice.token).iterate<{
      conversationEvents: { edge?: { node: { id: string; position: number } } };
    }>({ query, variables });
    for (let seen = 0; seen < 5; ) {
      const node = (await events.next()).value?.data?.conversationEvents.edge?.node;
      if (!node) continue;
      seen += 1;
      cached.set(node.id, node.position);
      if (order.includes(node.id)) continue;
      const next = order.findIndex((id) => (cached.get(id) ?? 0) > node.position);
      order.splice(next < 0 ? order.length : next, 0, node.id);
    }
    await events.return?.();
    expect(order).toEqual(after.messages.map(({ id }) => id));
  });

  test('In whatever order items arrive, alone or in batches, the transcript is the same.', async () => {
    const spoken = Array.from({ length: 7 }, (_, index) => ({
      ...(index % 2 ? agent(`p${index}`, `text ${index}`) : user(`p${index}`, `text ${index}`)),
      at: inSeconds(index - 100),
    }));
    const orders = [
      [[6], [5], [4], [3], [2], [1], [0]],
      [[3, 1], [6, 0], [2, 5], [4]],
      [
        [0, 6],
        [1, 5, 3],
        [4, 2],
      ],
      [[5], [0, 1, 2, 3, 4, 6]],
    ];
    for (const batches of orders) {
      const session = await startSession(graph, alice);
      for (const batch of batches) {
        await record(graph, alice, session.id, ...batch.flatMap((index) => spoken[index] ?? []));
      }
      const { texts, messages } = await read(session);
      expect(texts).toEqual(spoken.map(({ content }) => content));
      expect(messages.map(({ position }) => position)).toEqual(spoken.map((_, index) => index + 1));
    }
  });

  test('A clock that is fast puts nothing before what is said later, and hides no handover.', async () => {
    const session = await startSession(graph, alice);
    await record(graph, alice, session.id, user('v1', 'one', { at: '2099-01-01T00:00:00Z' }), agent('v2', 'two'));
    await new Promise((resolve) => setTimeout(resolve, 2));
    await record(graph, alice, session.id, user('v3', 'three'), agent('v4', 'four', { agentName: 'billing' }));
    const { texts, activeAgent } = await read(session);
    expect(texts).toEqual(['one', 'two', 'three', 'four']);
    expect(activeAgent.name).toBe('billing');
  });

  test('mergeInOrder gives every position once and moves only what has to move.', () => {
    const at = (seconds: number) => new Date(seconds * 1_000);
    const old = [1, 3, 5].map((seconds, index) => ({ id: `old${seconds}`, at: at(seconds), position: index + 11 }));
    expect(mergeInOrder(old, [{ id: 'new9', at: at(9) }], 10)).toEqual({ added: new Map([['new9', 14]]), moved: [] });
    expect(mergeInOrder(old, [{ id: 'new3', at: at(3) }], 10)).toEqual({
      added: new Map([['new3', 13]]),
      moved: [{ id: 'old5', position: 14 }],
    });
    expect(
      mergeInOrder(
        old,
        [0, 4].map((seconds) => ({ id: `new${seconds}`, at: at(seconds) })),
        10,
      ),
    ).toEqual({
      added: new Map([
        ['new0', 11],
        ['new4', 14],
      ]),
      moved: [
        { id: 'old1', position: 12 },
        { id: 'old3', position: 13 },
        { id: 'old5', position: 15 },
      ],
    });
  });
});

describe('Bad batches', () => {
  test('A wrong item is named with its field and its limit, and nothing of the batch is written.', async () => {
    const session = await startSession(graph, alice);
    const good = user('good', 'Good');
    const many = Array.from({ length: 101 }, (_, index) => user(`m${index}`, 'x'));
    const large = Array.from({ length: 11 }, (_, index) => user(`big${index}`, 'x'.repeat(100_000)));
    const cases: readonly (readonly [object[], unknown[]])[] = [
      [
        [good, user('', 'x')],
        ['items', 1, 'itemId'],
      ],
      [
        [good, user('i'.repeat(256), 'x')],
        ['items', 1, 'itemId'],
      ],
      [
        [good, user('i', '')],
        ['items', 1, 'content'],
      ],
      [
        [good, user('i', ' \n ')],
        ['items', 1, 'content'],
      ],
      [
        [good, user('i', 'a\u0000b')],
        ['items', 1, 'content'],
      ],
      [
        [good, user('i', 'x'.repeat(100_001))],
        ['items', 1, 'content'],
      ],
      [
        [good, agent('i', 'x', { agentName: 'assistant' })],
        ['items', 1, 'agentName'],
      ],
      [
        [good, agent('i', 'x', { agentName: '' })],
        ['items', 1, 'agentName'],
      ],
      [many, ['items']],
      [large, ['items']],
    ];
    for (const [items, path] of cases) {
      const { errors } = await graph.query(alice, recordDocument, { sessionId: session.id, items });
      expect(errors[0]).toMatchObject({ code: 'BAD_USER_INPUT', path });
    }
    expect((await read(session)).messageCount).toBe(0);
    expect((await record(graph, alice, session.id)).data).toEqual({ recordRealtimeItems: [] });
  });

  test('After its end, when its time is over or when it is full, a session takes nothing more.', async () => {
    const rowOf = (id: string) => ({ where: { id: id.slice(4) } });
    const ended = await startSession(graph, alice);
    await record(graph, alice, ended.id, user('e1', 'In time'));
    await graph.query(alice, 'mutation ($id: ID!) { endRealtimeSession(id: $id) { id } }', { id: ended.id });
    const over = await startSession(graph, alice);
    const past = new Date(Date.now() - 1_000);
    await graph.db.realtimeSession.update({ ...rowOf(over.id), data: { expiresAt: past, endsAt: past } });
    const full = await startSession(graph, alice);
    await graph.db.realtimeSession.update({ ...rowOf(full.id), data: { itemCount: 4_999 } });
    for (const { id } of [ended, over]) {
      expect((await record(graph, alice, id, user(`late ${id}`, 'Too late'))).errors[0]?.code).toBe('CONFLICT');
    }
    expect((await record(graph, alice, full.id, user('f1', 'x'), user('f2', 'y'))).errors[0]?.code).toBe('CONFLICT');
    expect((await record(graph, alice, full.id, user('f1', 'x'))).errors).toEqual([]);
    expect((await read(ended)).texts).toEqual(['In time']);
    expect((await read(over)).texts).toEqual([]);
    expect((await read(full)).texts).toEqual(['x']);
    const tool = `mutation ($id: ID!) { executeTool(input: { name: "current_time", arguments: {}, realtimeSessionId: $id }) { ok } }`;
    for (const { id } of [ended, over])
      expect((await graph.query(alice, tool, { id })).errors[0]?.code).toBe('CONFLICT');
  });

  test('A session that ends while a batch is checked takes nothing of it.', async () => {
    const session = await startSession(graph, alice);
    await Promise.all([
      ...Array.from({ length: 6 }, (_, index) => record(graph, alice, session.id, user(`q${index}`, 'x'))),
      graph.query(alice, 'mutation ($id: ID!) { endRealtimeSession(id: $id) { id } }', { id: session.id }),
    ]);
    const { messages } = await read(session);
    const row = await graph.db.realtimeSession.findUniqueOrThrow({ where: { id: session.id.slice(4) } });
    expect(row.itemCount).toBe(messages.length);
    expect((await record(graph, alice, session.id, user('after', 'x'))).errors[0]?.code).toBe('CONFLICT');
  });

  test('With the conversation, the session and its items are deleted.', async () => {
    const session = await startSession(graph, alice);
    await record(graph, alice, session.id, user('d1', 'Gone'));
    await graph.query(alice, 'mutation ($id: ID!) { deleteConversation(id: $id) }', { id: session.conversation.id });
    expect((await record(graph, alice, session.id, user('d2', 'x'))).errors[0]?.code).toBe('NOT_FOUND');
    expect(await graph.db.realtimeItem.count({ where: { itemId: 'd1' } })).toBe(0);
  });
});

describe('The price', () => {
  test('A batch takes as many SQL statements with 80 items as with one, and a repeated one fewer.', async () => {
    const session = await startSession(graph, alice);
    await record(graph, alice, session.id, user('w', 'Warm'));
    const one = await record(graph, alice, session.id, user('n', 'One'));
    const items = Array.from({ length: 80 }, (_, index) => user(`n${index}`, `Text ${index}`));
    const many = await record(graph, alice, session.id, ...items);
    expect(many.errors).toEqual([]);
    expect(many.statements).toBe(one.statements);
    expect(one.statements).toBeLessThanOrEqual(11);
    const again = await record(graph, alice, session.id, ...items);
    expect(again.statements).toBeLessThanOrEqual(4);
    const late = await record(graph, alice, session.id, user('late', 'x', { at: inSeconds(-1) }));
    expect(late.statements).toBeLessThanOrEqual(one.statements + 4);
  });
});

describe('Guardrails', () => {
  test('What is redacted or blocked is in no row, title, later history or event, and the message says so.', async () => {
    const session = await startSession(graph, alice, { scenarioKey: 'guarded' });
    const { data, errors } = await record(
      graph,
      alice,
      session.id,
      user('g1', 'I am voice-mail@example.com'),
      agent('g2', 'Your password is swordfish-77'),
      agent('g3', 'Hello.'),
    );
    expect(errors).toEqual([]);
    const [redacted, blocked, fine] = data.recordRealtimeItems;
    expect(redacted).toMatchObject({ content: 'I am [EMAIL]', status: 'REDACTED' });
    expect(redacted.guardrailResults).toContainEqual(
      expect.objectContaining({ tripwireTriggered: true, stage: 'INPUT' }),
    );
    expect(fine).toMatchObject({ content: 'Hello.', status: 'COMPLETE' });
    expect(blocked.status).toBe(blocked.content === 'Your password is swordfish-77' ? 'COMPLETE' : 'BLOCKED');
    // Sent again, it is the same item.
    const again = await record(graph, alice, session.id, user('g1', 'I am voice-mail@example.com'));
    expect(again.data.recordRealtimeItems[0].id).toBe(redacted.id);
    const stopped = await record(graph, alice, session.id, user('g4', 'My password is hunter2'));
    expect(stopped.data.recordRealtimeItems[0].status).toBe('BLOCKED');
    const given = (await sendTurn(session.conversation.id, 'And now?')).join('\n');
    expect(given).toContain('I am [EMAIL]');
    expect(given).not.toContain('hunter2');
    expect(given).not.toContain('voice-mail@example.com');
    expect(await dumpDatabase(graph)).not.toContain('voice-mail@example.com');
    expect(JSON.stringify(graph.app.logs)).not.toMatch(/voice-mail@example|hunter2/);
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
    const { data } = await graph.query(alice, '{ agents(first: 100) { edges { node { id name } } } }');
    const idOf = (name: string) =>
      data.agents.edges.find(({ node }: { node: { name: string } }) => node.name === name).node.id;
    const token = await graph.app.token({ sub: 'boss', roles: ['admin'] });
    const input = {
      key: 'voice-routed',
      name: 'Routed',
      rootAgentId: idOf('supervisor'),
      agents: ['supervisor', 'billing', 'orders'].map((name) => ({ agentId: idOf(name), handoffs: [] })),
      orchestration: { mode: 'EVERY_TURN', threshold: 0.5 },
    };
    const create = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
    expect((await graph.app.query(create, { input }, { token })).errors).toEqual([]);
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
    const token = await graph.app.token({ sub: 'boss', roles: ['admin'] });
    const { data } = await graph.query(alice, '{ agents(first: 100) { edges { node { id name } } } }');
    const { id } = data.agents.edges.find(({ node }: { node: { name: string } }) => node.name === 'orders').node;
    const input = {
      key: 'voice-tools',
      name: 'Tools',
      rootAgentId: id,
      agents: [{ agentId: id, handoffs: [] }],
      guardrails,
    };
    const create = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
    expect((await graph.app.query(create, { input }, { token })).errors).toEqual([]);
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
