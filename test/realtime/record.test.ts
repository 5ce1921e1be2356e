import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Graph, TestViewer } from '../support/app.ts';
import {
  agent,
  inSeconds,
  readConversation,
  record,
  recordDocument,
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
    expect(await sendTurn(graph, alice, session.conversation.id, 'And now?')).toEqual([
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
    // Years that the database does not have, also by their offset.
    for (const at of ['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+01:00', '9999-12-31T23:00:00-02:00']) {
      const { errors } = await record(graph, alice, session.id, user('year', 'x', { at }));
      expect(errors[0]?.code).toBe('BAD_USER_INPUT');
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
    expect(one.statements).toBeLessThanOrEqual(12);
    const again = await record(graph, alice, session.id, ...items);
    expect(again.statements).toBeLessThanOrEqual(5);
    const late = await record(graph, alice, session.id, user('late', 'x', { at: inSeconds(-1) }));
    expect(late.statements).toBeLessThanOrEqual(one.statements + 4);
  });
});
