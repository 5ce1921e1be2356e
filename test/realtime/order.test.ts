import { beforeAll, describe, expect, test } from 'vitest';
import { mergeInOrder } from '../../src/realtime/place-items.ts';
import type { Graph, TestViewer } from '../support/app.ts';
import { agent, inSeconds, readConversation, record, shareGraph, startSession, user } from './support.ts';

let graph: Graph;
let alice: TestViewer;
const shared = shareGraph();
beforeAll(() => {
  ({ graph, alice } = shared);
});

const read = (session: { conversation: { id: string } }) => readConversation(graph, alice, session.conversation.id);

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
      // Each follows the one before it, also after it has moved.
      const ids = messages.map(({ id }) => id);
      const { data } = await graph.query(
        alice,
        'query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Message { parent { id } } } }',
        { ids },
      );
      const parents = data.nodes.map(({ parent }: { parent: { id: string } | null }) => parent?.id);
      expect(parents).toEqual([undefined, ...ids.slice(0, -1)]);
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
