import { describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { documents, openChat, type SocketClient } from '../support/chat.ts';
import { assembleTexts, openStream, sequenceOf } from '../support/clients/turn-reader.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp();

async function readRun(socketClient: SocketClient, id: string) {
  return (await socketClient.ask(documents.run, { id })).run;
}

describe.each(['ws', 'sse'] as const)('over %s', (transport) => {
  test('A turn with a tool call and a handoff: its events, and what it leaves behind', async () => {
    const { conversationId, ...socketClient } = await openChat(app, 'support');
    app.model.add(
      {
        calls: [{ id: 'c1', name: 'transfer_to_orders', arguments: { reason: 'an order' } }],
        usage: { inputTokens: 10, outputTokens: 2, cachedInputTokens: 4 },
      },
      {
        text: ['Let', ' me', ' see.'],
        calls: [{ id: 'c2', name: 'lookup_order', arguments: { orderNumber: '1042' } }],
        usage: { inputTokens: 20, outputTokens: 5, reasoningTokens: 1 },
      },
      { text: ['It', ' is', ' shipped.'], usage: { inputTokens: 30, outputTokens: 3 } },
    );
    const reader = socketClient.chatTurn(transport, { conversationId, content: 'Where is 1042?' });
    const events = await reader.rest();
    expect(sequenceOf(events)).toEqual([
      'RunStarted',
      'RoutingDecided',
      'HandoffOccurred',
      'MessageStarted',
      'TextDelta',
      'MessageCompleted',
      'ToolCallStarted',
      'ToolCallCompleted',
      'MessageStarted',
      'TextDelta',
      'MessageCompleted',
      'RunCompleted',
    ]);
    const seqs = events.map((event) => event.seq);
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    expect(seqs[0]).toBe(1);
    const [first] = events;
    const last = events.at(-1);
    expect(first?.userMessage).toMatchObject({ role: 'USER', status: 'COMPLETE', content: 'Where is 1042?' });
    expect(last?.run).toMatchObject({ status: 'COMPLETED', lastSeq: last?.seq });
    expect(new Set(events.map((event) => event.runId)).size).toBe(1);
    expect(events.find((event) => event.handoff)?.handoff).toMatchObject({
      fromAgent: { name: 'supervisor' },
      toAgent: { name: 'orders' },
      reason: 'an order',
    });

    const run = await readRun(socketClient, first?.runId ?? '');
    expect(run).toMatchObject({
      status: 'COMPLETED',
      lastSeq: last?.seq,
      agent: { name: 'orders' },
      userMessage: { role: 'USER', content: 'Where is 1042?' },
      messages: [
        {
          role: 'ASSISTANT',
          status: 'COMPLETE',
          content: 'Let me see.',
          agent: { name: 'orders' },
          source: 'CHAT',
          toolCalls: [{ callId: 'c2', name: 'lookup_order' }],
        },
        { role: 'ASSISTANT', status: 'COMPLETE', content: 'It is shipped.', toolCalls: [] },
      ],
      toolCalls: [
        {
          callId: 'c2',
          name: 'lookup_order',
          arguments: '{"orderNumber":"1042"}',
          status: 'SUCCEEDED',
          result: { number: '1042', status: 'shipped' },
          error: null,
          agent: { name: 'orders' },
        },
      ],
      handoffs: [
        { fromAgent: { name: 'supervisor' }, toAgent: { name: 'orders' }, reason: 'an order', run: { id: run.id } },
      ],
      routingDecision: {
        rootAgent: { name: 'supervisor' },
        selectedAgents: [{ name: 'supervisor' }],
        selectedTools: ['current_time', 'echo_context'],
        alternatives: ['billing', 'orders', 'human_escalation'],
      },
      usage: {
        inputTokens: 60,
        outputTokens: 10,
        totalTokens: 70,
        cachedInputTokens: 4,
        reasoningTokens: 1,
        modelCalls: 3,
        complete: true,
      },
      error: null,
    });
    for (const at of ['createdAt', 'startedAt', 'finishedAt']) expect(run[at]).toEqual(expect.any(String));
    for (const call of run.toolCalls) expect([call.startedAt, call.finishedAt]).not.toContain(null);
    const stored = new Map(
      run.messages.map((message: { id: string; content: string }) => [message.id, message.content]),
    );
    expect(assembleTexts(events)).toEqual(stored);

    const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
    expect(conversation).toMatchObject({ activeAgent: { name: 'orders' }, activeRun: null, messageCount: 3 });
    expect(conversation.usage).toEqual({ totalTokens: 70, modelCalls: 3, complete: true });
  });

  test('A run can be attached to after any of its events, while it runs and when it is over', async () => {
    const { conversationId, ...socketClient } = await openChat(app);
    const gate = createGate();
    app.model.add(
      { calls: [{ name: 'echo_context', arguments: {} }] },
      { text: ['One', ' two', ' three', ' four'], afterTokens: 2, gate },
    );
    const reader = socketClient.chatTurn(transport, { conversationId });
    await reader.untilText('One two');
    const { runId } = await first(reader.events);
    const seen = reader.events.map((event) => event.seq);
    const attached = seen.map((seq) => ({ seq, reader: socketClient.runEvents(transport, runId, seq) }));
    gate.open();
    const all = await reader.rest();
    const whole = await socketClient.runEvents(transport, runId).rest();
    expect(assembleTexts(whole)).toEqual(assembleTexts(all));
    expect(sequenceOf(whole)).toEqual(sequenceOf(all));
    for (const { seq, reader } of attached) {
      const rest = await reader.rest();
      expect(rest.every((event) => event.seq > seq)).toBe(true);
      const before = all.filter((event) => event.seq <= seq);
      expect(assembleTexts(rest, assembleTexts(before))).toEqual(assembleTexts(all));
      expect(rest.at(-1)?.__typename).toBe('RunCompleted');
    }
    for (const { seq } of all.slice(0, -1)) {
      const rest = await socketClient.runEvents(transport, runId, seq).rest();
      const before = all.filter((event) => event.seq <= seq);
      expect(rest[0]?.seq).toBeGreaterThan(seq);
      expect(sequenceOf([...before, ...rest])).toEqual(sequenceOf(all));
      expect(assembleTexts(rest, assembleTexts(before))).toEqual(assembleTexts(all));
    }
    expect(await socketClient.runEvents(transport, runId, all.at(-1)?.seq).rest()).toEqual([]);
  });

  test('cancelRun in the middle of a text keeps the text and ends the provider’s request', async () => {
    const { conversationId, ...socketClient } = await openChat(app);
    const gate = createGate();
    app.model.add({ text: ['Half', ' an', ' answer'], afterTokens: 2, gate });
    const asked = app.model.requests.length;
    const reader = socketClient.chatTurn(transport, { conversationId });
    await reader.untilText('Half an');
    const { runId } = await first(reader.events);
    const cancelled = await socketClient.ask(documents.cancelRun, { id: runId });
    expect(cancelled.cancelRun).toMatchObject({ id: runId, status: 'CANCELLED' });
    const events = await reader.rest();
    expect(sequenceOf(events).slice(-3)).toEqual(['TextDelta', 'MessageCompleted', 'RunCancelled']);
    expect(events.at(-2)?.message).toMatchObject({ status: 'PARTIAL', content: 'Half an' });
    expect(events.at(-1)?.seq).toBe(cancelled.cancelRun.lastSeq);
    await expect.poll(() => app.model.requests[asked]?.signal.aborted).toBe(true);

    const run = await readRun(socketClient, runId);
    expect(run).toMatchObject({
      status: 'CANCELLED',
      error: null,
      messages: [{ status: 'PARTIAL', content: 'Half an' }],
      usage: { modelCalls: 1, complete: false },
    });
    // Again, and twice at once: it stays as it is.
    const again = await Promise.all([1, 2].map(() => socketClient.ask(documents.cancelRun, { id: runId })));
    expect(again).toEqual([cancelled, cancelled]);
    expect(await readRun(socketClient, runId)).toEqual(run);
  });

  test('onDisconnect CANCEL ends the run with its last subscriber, not before', async () => {
    const { conversationId, ...socketClient } = await openChat(app);
    app.model.add({ text: ['A', ' b', ' c'], afterTokens: 2, gate: createGate() });
    const one = socketClient.chatTurn(transport, { conversationId, onDisconnect: 'CANCEL' });
    await one.untilText('A b');
    const { runId } = await first(one.events);
    const two = socketClient.runEvents(transport, runId);
    await two.untilText('A b');
    await one.leave();
    await expect.poll(() => app.app.runs.log.find(rowOf(runId))?.readers).toBe(1);
    expect(await readRun(socketClient, runId)).toMatchObject({ status: 'RUNNING' });
    await two.leave();
    await expect.poll(async () => (await readRun(socketClient, runId)).status).toBe('CANCELLED');
    expect((await readRun(socketClient, runId)).messages).toMatchObject([{ status: 'PARTIAL', content: 'A b' }]);
  });

  test('onDisconnect CONTINUE lets the run go on without readers', async () => {
    const { conversationId, ...socketClient } = await openChat(app);
    const gate = createGate();
    app.model.add({ text: ['A', ' b', ' c'], afterTokens: 2, gate });
    const reader = socketClient.chatTurn(transport, { conversationId });
    await reader.untilText('A b');
    const { runId } = await first(reader.events);
    await reader.leave();
    await expect.poll(() => app.app.runs.log.find(rowOf(runId))?.readers).toBe(0);
    gate.open();
    await expect.poll(async () => (await readRun(socketClient, runId)).status).toBe('COMPLETED');
    expect((await readRun(socketClient, runId)).messages).toMatchObject([{ status: 'COMPLETE', content: 'A b c' }]);
  });

  test('A retry takes back what its reader has seen', async () => {
    const { conversationId, ...socketClient } = await openChat(app);
    app.model.add({ text: ['Wrong', ' way'], misbehave: 'truncate' }, { text: ['Right', ' way', ' round'] });
    const events = await socketClient.chatTurn(transport, { conversationId }).rest();
    expect(sequenceOf(events)).toEqual([
      'RunStarted',
      'RoutingDecided',
      'MessageStarted',
      'TextDelta',
      'TextRetracted',
      'TextDelta',
      'MessageCompleted',
      'RunCompleted',
    ]);
    expect([...assembleTexts(events).values()]).toEqual(['Right way round']);
    const run = await readRun(socketClient, events[0]?.runId ?? '');
    expect(run.messages).toMatchObject([{ status: 'COMPLETE', content: 'Right way round' }]);
    expect(run.usage).toMatchObject({ modelCalls: 2, complete: false });
  });
});

test('A read in the middle of a turn, and the events after its lastSeq, give the stored text at every moment', async () => {
  const { conversationId, ...socketClient } = await openChat(app);
  const tokens = Array.from({ length: 60 }, (_, n) => `${n} `);
  app.model.add(
    { text: tokens.slice(0, 30), delayMs: 40, calls: [{ name: 'echo_context', arguments: {} }] },
    { text: tokens.slice(30), delayMs: 40 },
  );
  const reader = socketClient.chatTurn('ws', { conversationId });
  const readers: Promise<{ texts: Map<string, string>; types: string[] }>[] = [];
  const lastSeqs = new Set<number>();
  for (let event = await reader.next(); event; event = await reader.next()) {
    const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
    if (!conversation.activeRun) continue;
    const { id, lastSeq } = conversation.activeRun;
    lastSeqs.add(lastSeq);
    const texts = new Map<string, string>(
      conversation.messages.edges.map(({ node }: { node: { id: string; content: string } }) => [node.id, node.content]),
    );
    readers.push(
      socketClient
        .runEvents('sse', id, lastSeq)
        .rest()
        .then((events) => ({ texts: assembleTexts(events, texts), types: events.map((entry) => entry.__typename) })),
    );
  }
  const stored = await socketClient.ask(documents.conversation, { id: conversationId });
  const expected = new Map(
    stored.conversation.messages.edges.map(({ node }: { node: { id: string; content: string } }) => [
      node.id,
      node.content,
    ]),
  );
  // A run that writes nothing down but its beginning would pass, too: the seq has to move.
  expect(lastSeqs.size).toBeGreaterThan(2);
  expect(readers.length).toBeGreaterThan(5);
  for (const { texts, types } of await Promise.all(readers)) {
    expect(texts).toEqual(expected);
    expect(types.at(-1)).toBe('RunCompleted');
  }
});

test('startRun returns immediately, and runEvents follows', async () => {
  const { conversationId, ...socketClient } = await openChat(app);
  const gate = createGate();
  app.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
  const input = { conversationId, content: 'Hello', idempotencyKey: 'k' };
  const { startRun } = await socketClient.ask(documents.startRun, { input });
  expect(startRun.status).toBe('RUNNING');
  const reader = socketClient.runEvents('ws', startRun.id);
  await reader.untilText('A');
  expect(await socketClient.ask(documents.startRun, { input })).toEqual({ startRun });
  gate.open();
  expect((await reader.rest()).at(-1)).toMatchObject({ __typename: 'RunCompleted', run: { id: startRun.id } });
  expect(await socketClient.ask(documents.startRun, { input })).toEqual({
    startRun: { ...startRun, status: 'COMPLETED' },
  });
});

test('sendMessage returns when the turn is over, and the same key with the same run', async () => {
  const { conversationId, ...socketClient } = await openChat(app);
  app.model.add({ text: 'Done.' });
  const input = { conversationId, content: 'Hello', idempotencyKey: 'k' };
  const sent = await socketClient.ask(documents.sendMessage, { input });
  expect(sent.sendMessage).toMatchObject({
    status: 'COMPLETED',
    error: null,
    messages: [{ content: 'Done.', status: 'COMPLETE' }],
  });
  expect(await socketClient.ask(documents.sendMessage, { input })).toEqual(sent);
});

test('Deleting a conversation stops its turns, and every reader hears the end', async () => {
  const { conversationId, ...socketClient } = await openChat(app);
  app.model.add({ text: ['A', ' b'], afterTokens: 1, gate: createGate() });
  const asked = app.model.requests.length;
  const running = socketClient.chatTurn('ws', { conversationId });
  await running.untilText('A');
  const { startRun } = await socketClient.ask(documents.startRun, {
    input: { conversationId, content: 'Next', idempotencyKey: 'next', ifBusy: 'ENQUEUE' },
  });
  // Nothing of the rows is selected: they are gone.
  const plain = `subscription ($runId: ID!) { runEvents(runId: $runId) { __typename seq runId } }`;
  const waiting = openStream(app, 'sse', socketClient.token, plain, { runId: startRun.id });
  const attached = openStream(app, 'ws', socketClient.token, plain, { runId: (await first(running.events)).runId });
  await attached.until('TextDelta');
  const waitingRest = waiting.rest();
  await expect.poll(() => app.app.runs.log.find(rowOf(startRun.id))?.readers).toBe(1);
  const deleted = await socketClient.ask(`mutation ($id: ID!) { deleteConversation(id: $id) }`, { id: conversationId });
  expect(deleted).toEqual({ deleteConversation: conversationId });
  expect((await attached.rest()).at(-1)?.__typename).toBe('RunCancelled');
  expect((await waitingRest).at(-1)?.__typename).toBe('RunCancelled');
  await expect.poll(() => app.model.requests[asked]?.signal.aborted).toBe(true);
  const left = await app.app.db.message.count({ where: { conversationId: rowOf(conversationId) } });
  expect(left).toBe(0);
  // What it cost is not forgotten.
  const { viewer } = await socketClient.ask(`{ viewer { usage { modelCalls complete } } }`);
  expect(viewer.usage).toEqual({ modelCalls: 1, complete: false });
  expect(app.app.runs.running.size).toBe(0);
});

test('After turns of every kind nothing of them stays in memory', async () => {
  await expect.poll(() => app.app.runs.log.runIds()).toEqual([]);
  expect(app.app.runs.running.size).toBe(0);
});

async function first<T>(events: readonly T[]): Promise<T> {
  const [event] = events;
  if (!event) throw new Error('Nothing came.');
  return event;
}

function rowOf(id: string): string {
  return id.slice(id.indexOf('_') + 1);
}
