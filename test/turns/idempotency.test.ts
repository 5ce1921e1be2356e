import { describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { documents, openChat, type SocketClient } from '../support/chat.ts';
import { StreamRefused, type TurnReader } from '../support/clients/turn-reader.ts';
import { createGate, type Gate } from '../support/scripted-model/gate.ts';

const app = shareApp({ env: { SOCKETS_PER_USER: '200' } });

/** A conversation with a turn in the middle of its text. */
async function beBusy(): Promise<{
  socketClient: SocketClient;
  conversationId: string;
  gate: Gate;
  reader: TurnReader;
  runId: string;
}> {
  const { conversationId, ...socketClient } = await openChat(app, 'support');
  const gate = createGate();
  app.model.add({ text: ['First', ' answer'], afterTokens: 1, gate });
  const reader = socketClient.chatTurn('ws', { conversationId, content: 'first', idempotencyKey: 'first' });
  await reader.untilText('First');
  return { socketClient, conversationId, gate, reader, runId: reader.events[0]?.runId ?? '' };
}

async function refusalOf(reader: TurnReader) {
  const error: unknown = await reader.next().catch((refusal: unknown) => refusal);
  if (!(error instanceof StreamRefused)) throw new Error(`It was not refused: ${JSON.stringify(error)}`);
  return error.errors;
}

async function statusesIn(socketClient: SocketClient, conversationId: string): Promise<string[]> {
  const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
  return conversation.runs.edges.map(({ node }: { node: { status: string } }) => node.status);
}

describe('the idempotency key', () => {
  test('The idempotency key with another payload is a CONFLICT that names the run', async () => {
    const { socketClient, conversationId, gate, reader, runId } = await beBusy();
    const input = { conversationId, content: 'other words', idempotencyKey: 'first' };
    const expected = [{ extensions: { code: 'CONFLICT', runId } }];
    expect(await refusalOf(socketClient.chatTurn('ws', input))).toMatchObject(expected);
    expect(await refusalOf(socketClient.chatTurn('ws', { ...input, ifBusy: 'ENQUEUE' }))).toMatchObject(expected);
    gate.open();
    await reader.rest();
    expect(await refusalOf(socketClient.chatTurn('ws', { ...input, content: 'first', temperature: 1 }))).toMatchObject(
      expected,
    );
    // How a client reads, and what it wants of a busy conversation, is not what it says.
    const again = socketClient.chatTurn('ws', {
      ...input,
      content: 'first',
      ifBusy: 'ENQUEUE',
      onDisconnect: 'CANCEL',
      after: 2,
    });
    const events = await again.rest();
    expect(events[0]).toMatchObject({ runId, seq: 3 });
    expect(await statusesIn(socketClient, conversationId)).toEqual(['COMPLETED']);
  });

  test('The idempotency key is the conversation’s own', async () => {
    const { socketClient, gate, reader, runId } = await beBusy();
    gate.open();
    await reader.rest();
    app.model.add({ text: 'Elsewhere' });
    const conversationId = await socketClient.createConversation();
    const events = await socketClient
      .chatTurn('ws', { conversationId, content: 'first', idempotencyKey: 'first' })
      .rest();
    expect(events[0]?.runId).not.toBe(runId);
  });

  test('Fifty starts with one key at the same time are one turn, which all of them read', async () => {
    const { conversationId, ...socketClient } = await openChat(app);
    const gate = createGate();
    app.model.add({ text: ['All', ' read', ' this'], afterTokens: 2, gate });
    const asked = app.model.requests.length;
    const readers = Array.from({ length: 50 }, (_, n) =>
      socketClient.chatTurn(n % 5 === 0 ? 'sse' : 'ws', { conversationId, idempotencyKey: 'one' }),
    );
    await Promise.all(readers.map((reader) => reader.untilText('All read')));
    gate.open();
    const all = await Promise.all(readers.map((reader) => reader.rest()));
    expect(new Set(all.map((events) => events[0]?.runId)).size).toBe(1);
    for (const events of all) {
      expect(events.map((event) => event.delta ?? '').join('')).toBe('All read this');
      expect(events.at(-1)?.__typename).toBe('RunCompleted');
    }
    const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
    expect(conversation).toMatchObject({ messageCount: 2, runs: { edges: [{ node: { status: 'COMPLETED' } }] } });
    expect(app.model.requests.length).toBe(asked + 1);
  });

  test('Fifty starts with different keys at the same time: one runs, the others are told which', async () => {
    const { conversationId, ...socketClient } = await openChat(app);
    const gate = createGate();
    app.model.add({ text: ['One', ' only'], afterTokens: 1, gate });
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, async (_, n) => {
        const reader = socketClient.chatTurn(n % 5 === 0 ? 'sse' : 'ws', {
          conversationId,
          idempotencyKey: `key ${n}`,
        });
        return { reader, first: await reader.next().catch((error: unknown) => error) };
      }),
    );
    const refused = outcomes.flatMap(({ first }) => (first instanceof StreamRefused ? first.errors : []));
    const [started, ...others] = outcomes.filter(({ first }) => !(first instanceof StreamRefused));
    expect(others).toEqual([]);
    expect(refused).toHaveLength(49);
    const runId = started?.reader.events[0]?.runId;
    for (const { extensions } of refused) expect(extensions).toMatchObject({ code: 'CONFLICT', runId });
    gate.open();
    await started?.reader.rest();
    const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
    expect(conversation).toMatchObject({ messageCount: 2, runs: { edges: [{}] } });
  });

  test('Fifty queued starts at the same time all end, one after the other', async () => {
    const { conversationId, ...socketClient } = await openChat(app);
    let most = 0;
    app.model.add(
      ...Array.from({ length: 50 }, () => ({
        text: 'Yes.',
        firstTokenDelayMs: 5,
      })),
    );
    const rowId = conversationId.slice(5);
    const watch = setInterval(async () => {
      const running = await app.app.db.run.count({ where: { conversationId: rowId, status: 'RUNNING' } });
      most = Math.max(most, running);
    }, 20);
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        socketClient
          .chatTurn(n % 5 === 0 ? 'sse' : 'ws', { conversationId, content: `turn ${n}`, ifBusy: 'ENQUEUE' })
          .rest(),
      ),
    );
    clearInterval(watch);
    expect(all.map((events) => events.at(-1)?.__typename)).toEqual(Array.from({ length: 50 }, () => 'RunCompleted'));
    expect(most).toBe(1);
    const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
    expect(conversation).toMatchObject({ messageCount: 100, activeRun: null });
    // Each request ends with its own user message, and has the answers of all before it.
    const lengths = app.model.requests.slice(-50).map((request) => request.messages.length);
    expect(lengths).toEqual(Array.from({ length: 50 }, (_, n) => 2 * n + 1));
  });
});
