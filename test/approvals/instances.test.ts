import { expect, test } from 'vitest';
import { recoverRuns } from '../../src/runs/upkeep/recover.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import { assembleTexts, sequenceOf, type TurnEvent } from '../support/clients/turn-reader.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';
import { createBillingConversation, decide, refund, startWaitingTurn, tryDecide } from './decide.ts';

/** Room for what is on its way, not an expectation. */
const drainTimeout = { timeout: 15_000 };

/** Two servers on one database, and alice on both. */
async function openTwo() {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createTestDatabase());
  const one = opening.use(await startTestApp({ databaseUrl: database.url }));
  const two = opening.use(await startTestApp({ databaseUrl: database.url }));
  const here = await openSocketClient(one, 'alice');
  const there = await openSocketClient(two, 'alice');
  const opened = opening.move();
  return { one, two, here, there, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

const run = `query ($id: ID!) { run(id: $id) { status lastSeq error { code } toolCalls { id callId status } messages { content status } usage { modelCalls } } }`;

test('A waiting run is read, decided on and carried on from the other instance', { timeout: 40_000 }, async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  const conversationId = await createBillingConversation(here);
  const gate = createGate();
  one.model.add({ text: ['Let', ' me.'], afterTokens: 1, gate, calls: [refund('r')] });
  const reader = here.chatTurn('ws', { conversationId, idempotencyKey: 'k' });
  await reader.untilText('Let');
  const runId = reader.events[0]?.runId ?? '';
  // Before it waits, and after: both are there when it goes on.
  const early = there.runEvents('sse', runId);
  const requested = early.until('ApprovalRequested');
  await expect.poll(() => two.app.runs.log.find(runId.slice(4))?.readers, drainTimeout).toBe(1);
  gate.open();
  await requested;
  await reader.until('ApprovalRequested');
  expect(sequenceOf(early.events)).toEqual(sequenceOf(reader.events));
  const after = reader.events.at(-1)?.seq;
  const late = there.chatTurn('ws', { conversationId, idempotencyKey: 'k', after });

  two.model.add({ text: ['It', ' is.'] });
  await decide(there, runId, 'r');
  const [all, rest, first] = await Promise.all([early.rest(), late.rest(), reader.rest()]);
  for (const events of [all, first]) {
    expect(sequenceOf(events)).toEqual(sequenceOf(first));
    expect([...assembleTexts(events).values()]).toEqual(['Let me.', 'It is.']);
    const seqs = events.map(({ seq }) => seq);
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
  }
  expect(rest.every(({ seq }) => seq > (after ?? 0))).toBe(true);
  expect(sequenceOf(rest)).toEqual(sequenceOf(first).slice(-sequenceOf(rest).length));
  expect(rest[0]?.__typename).toBe('ToolCallStarted');
  // Its beginning was asked of one model, its end of the other's.
  expect([one.model.requests.length, two.model.requests.length]).toEqual([1, 1]);
  expect((await here.ask(run, { id: runId })).run).toMatchObject({ status: 'COMPLETED', usage: { modelCalls: 2 } });
  await expect.poll(() => [...one.app.runs.log.runIds(), ...two.app.runs.log.runIds()], drainTimeout).toEqual([]);
});

test('Two instances that decide on the last two calls, or on the same one, let the run go on once', {
  timeout: 240_000,
}, async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  for (let round = 0; round < 6; round++) {
    const same = round % 2 === 0;
    one.model.add({ calls: [refund('a', '404'), ...(same ? [] : [refund('b', '404')])] });
    const { conversationId, runId, reader } = await startWaitingTurn(here, {}, same ? 1 : 2);
    const asked = [one.model.requests.length, two.model.requests.length] as const;
    const answer = { text: 'Once.' };
    one.model.add(answer);
    two.model.add(answer);
    const answers = await Promise.all([
      tryDecide(one, here, { runId, callId: 'a', approve: true }),
      tryDecide(two, there, { runId, callId: same ? 'a' : 'b', approve: true }),
    ]);
    expect(answers.filter(({ errors }) => errors.length === 0)).toHaveLength(same ? 1 : 2);
    const events = await reader.rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    expect([...assembleTexts(events).values()]).toEqual(['Once.']);
    expect(one.model.requests.length + two.model.requests.length).toBe(asked[0] + asked[1] + 1);
    // The answer that was not asked for is used up by a turn of its own.
    const other = two.model.requests.length > asked[1] ? here : there;
    await other.chatTurn('ws', { conversationId }).rest();
  }
});

test('A waiting run is cancelled from the other instance, and nobody takes it for lost', {
  timeout: 40_000,
}, async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  one.model.add({ calls: [refund('r')] });
  const { runId, reader } = await startWaitingTurn(here);
  for (const { app } of [one, two]) await recoverRuns(app.runs, { all: true });
  expect((await there.ask(run, { id: runId })).run.status).toBe('REQUIRES_ACTION');
  const { cancelRun } = await there.ask(documents.cancelRun, { id: runId });
  expect(cancelRun.status).toBe('CANCELLED');
  const events = await reader.rest();
  expect(events.slice(-2)).toMatchObject([
    { toolCall: { callId: 'r', status: 'CANCELLED' } },
    { __typename: 'RunCancelled', seq: cancelRun.lastSeq },
  ]);
});

test('A run that is cancelled as it begins to wait does not wait', { timeout: 40_000 }, async () => {
  await using both = await openTwo();
  const { one, here, there } = both;
  const conversationId = await createBillingConversation(here);
  const gate = createGate();
  one.model.add({ text: ['A', ' b'], afterTokens: 1, gate, calls: [refund('r')] });
  const reader = here.chatTurn('ws', { conversationId });
  await reader.untilText('A');
  const runId = reader.events[0]?.runId ?? '';
  // Asked for as the other instance does; then either the background jobs or the pause see it first.
  await one.app.db.run.update({ where: { id: runId.slice(4) }, data: { cancelRequestedAt: new Date() } });
  gate.open();
  expect((await reader.rest()).at(-1)?.__typename).toBe('RunCancelled');
  expect((await there.ask(run, { id: runId })).run.status).toBe('CANCELLED');
  expect(await one.app.db.runPause.count()).toBe(0);
});

const room = { timeout: 240_000 };

test('A run that waits survives kill -9, and goes on after the restart', room, async () => {
  await using data = await createTestDataFolder();
  await using model = await createScriptedModel();
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
  model.add({
    text: 'I look and refund.',
    calls: [
      { id: 'look', name: 'lookup_order', arguments: { orderNumber: '1042' } },
      refund('a'),
      { id: 'go', name: 'transfer_to_orders', arguments: { reason: 'then' } },
      refund('b', '1043'),
    ],
  });
  let seen: TurnEvent[];
  let conversationId: string;
  let runId: string;
  {
    await using server = await startServer(data.folder, env);
    const socketClient = await openSocketClient(server, 'alice');
    const waiting = await startWaitingTurn(socketClient, {}, 2);
    ({ conversationId, runId } = waiting);
    // What is decided on one call before the end of the process is kept.
    await decide(socketClient, runId, 'b', true, '{"orderNumber":"1044"}');
    seen = [...waiting.reader.events];
    await server.end('SIGKILL');
    await waiting.reader.rest().catch(() => {});
    expect(waiting.reader.events).toEqual(seen);
  }
  // Once more before anybody has looked, and once in order.
  await (await startServer(data.folder, env)).end('SIGKILL');
  expect(await (await startServer(data.folder, env)).end('SIGTERM')).toBe(0);

  await using server = await startServer(data.folder, env);
  const socketClient = await openSocketClient(server, 'alice');
  const before = (await socketClient.ask(run, { id: runId })).run;
  expect(before).toMatchObject({ status: 'REQUIRES_ACTION', lastSeq: seen.at(-1)?.seq });
  expect(sequenceOf(seen)).toEqual(sequenceOf(await readTo(socketClient.runEvents('ws', runId), before.lastSeq)));
  const reader = socketClient.runEvents('sse', runId, seen.at(-1)?.seq);
  model.add({ text: 'Orders here.', match: ({ instructions }) => instructions.includes('orders specialist') });
  await decide(socketClient, runId, 'a', false);
  const rest = await reader.rest();
  expect(sequenceOf(rest)).toEqual([
    'ToolCallCompleted',
    'ToolCallStarted',
    'ToolCallCompleted',
    'HandoffOccurred',
    'MessageStarted',
    'TextDelta',
    'MessageCompleted',
    'RunCompleted',
  ]);
  expect(rest[0]?.seq).toBe(before.lastSeq + 1);
  expect(rest.slice(0, 3).map(({ toolCall }) => [toolCall?.callId, toolCall?.status])).toEqual([
    ['a', 'DENIED'],
    ['b', 'RUNNING'],
    ['b', 'SUCCEEDED'],
  ]);
  expect(rest[2]?.toolCall?.result).toMatchObject({ number: '1044', status: 'refunded' });
  expect(model.requests.at(-1)?.messages).toMatchObject([
    { role: 'user' },
    {
      role: 'assistant',
      content: 'I look and refund.',
      calls: [{ id: 'look' }, { id: 'a' }, { id: 'go' }, { id: 'b', arguments: '{"orderNumber":"1044"}' }],
    },
    { role: 'tool', callId: 'look', output: expect.stringContaining('shipped') },
    { role: 'tool', callId: 'a', output: expect.stringContaining('denied') },
    { role: 'tool', callId: 'go' },
    { role: 'tool', callId: 'b', output: expect.stringContaining('refunded') },
  ]);
  const all = sequenceOf([...seen, ...rest]);
  expect(sequenceOf(await socketClient.runEvents('ws', runId).rest())).toEqual(all);
  const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
  expect(conversation).toMatchObject({ activeRun: null, activeAgent: { name: 'orders' } });
});

test('kill -9 right after the approval: the next server goes on with what the call returned', room, async () => {
  await using data = await createTestDataFolder();
  await using model = await createScriptedModel();
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
  const refunding = { text: 'I refund.', calls: [refund('r')] };
  model.add(refunding, { misbehave: 'hang-before-headers' }, { text: 'Done.' });
  let seen: TurnEvent[];
  let conversationId: string;
  let runId: string;
  {
    await using server = await startServer(data.folder, env);
    const socketClient = await openSocketClient(server, 'alice');
    const waiting = await startWaitingTurn(socketClient);
    ({ conversationId, runId } = waiting);
    await decide(socketClient, runId, 'r');
    await waiting.reader.until('ToolCallCompleted');
    await model.received(2);
    await server.end('SIGKILL');
    seen = await waiting.reader.rest().catch(() => waiting.reader.events);
  }
  await using server = await startServer(data.folder, env);
  const socketClient = await openSocketClient(server, 'alice');
  await socketClient.runEvents('ws', runId).rest();
  const taken = (await socketClient.ask(run, { id: runId })).run;
  expect(taken).toMatchObject({
    status: 'COMPLETED',
    toolCalls: [{ callId: 'r', status: 'SUCCEEDED' }],
    messages: [
      { content: 'I refund.', status: 'COMPLETE' },
      { content: 'Done.', status: 'COMPLETE' },
    ],
  });
  for (const after of [0, ...seen.map(({ seq }) => seq)]) {
    const rest = await socketClient.runEvents('ws', runId, after).rest();
    expect(rest.every(({ seq }) => seq > after)).toBe(true);
    expect(rest.at(-1)).toMatchObject({ __typename: 'RunCompleted', seq: taken.lastSeq });
    const texts = assembleTexts(rest, assembleTexts(seen.filter(({ seq }) => seq <= after)));
    expect([...texts.values()]).toEqual(['I refund.', 'Done.']);
  }
  const late = await tryDecide(server, socketClient, { runId, callId: 'r', approve: true });
  expect(late.errors).toMatchObject([{ extensions: { code: 'CONFLICT' } }]);
  model.add({ text: 'Again.' });
  const next = await socketClient.chatTurn('ws', { conversationId, content: 'So?' }).rest();
  expect(next.at(-1)?.__typename).toBe('RunCompleted');
});

/** Reads up to a seq, and goes. */
async function readTo(reader: ReturnType<Awaited<ReturnType<typeof openSocketClient>>['runEvents']>, seq: number) {
  await reader.until((event) => event.seq === seq);
  await reader.leave();
  return reader.events;
}
