import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Database } from '../../src/database/client.ts';
import { RunCursor } from '../../src/log/cursor.ts';
import { storedTurn } from '../../src/runs/input.ts';
import { recoverRuns } from '../../src/runs/upkeep/recover.ts';
import { decide, refund, startWaitingTurn, tryDecide } from '../approvals/decide.ts';
import { startTestApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';
import { assembleTexts, sequenceOf } from '../support/clients/turn-reader.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';

/** Room for what is on its way, not an expectation. */
const drainTimeout = { timeout: 240_000 };
const room = { timeout: 240_000 };

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

const rowId = (runId: string) => runId.slice('run_'.length);
const run = `query ($id: ID!) { run(id: $id) { status lastSeq toolCalls { id callId status } } }`;

/** Turns like one that waits for a person, each in a conversation of its own, without an archive. @returns their row ids */
async function copyWaiting(db: Database, runId: string, count: number, actionExpiresAt: Date): Promise<string[]> {
  const { tenantId, userId, payloadHash, input } = await db.run.findUniqueOrThrow({ where: { id: rowId(runId) } });
  const own = { tenantId, userId };
  const ids = Array.from({ length: count }, () => ({
    id: randomUUID(),
    conversationId: randomUUID(),
    userMessageId: randomUUID(),
  }));
  await db.conversation.createMany({
    data: ids.map(({ conversationId: id }) => ({ ...own, id, title: 'Copy', messageCount: 1, runCount: 1 })),
  });
  await db.message.createMany({
    data: ids.map(({ conversationId, userMessageId: id }) => {
      return { id, tenantId, conversationId, position: 1, role: 'USER', content: 'x' };
    }),
  });
  const common = {
    ...own,
    payloadHash,
    input: storedTurn.parse(input),
    actionExpiresAt,
    idempotencyKey: 'k',
    number: 1,
  };
  await db.run.createMany({ data: ids.map((each) => ({ ...common, ...each, status: 'REQUIRES_ACTION' })) });
  return ids.map(({ id }) => id);
}

test('However many waiting runs are followed, each reader hears how its own goes on', room, async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  one.model.add({ calls: [refund('r')] });
  const { runId, reader } = await startWaitingTurn(here);
  const others = await copyWaiting(one.app.db, runId, 600, new Date(Date.now() + 3_600_000));
  const followed = others.map((id) => new RunCursor(two.app.runs.log.open(id), 0));
  const late = there.runEvents('ws', runId);
  await late.until('ApprovalRequested');
  one.model.add({ text: 'Done.' });
  await decide(here, runId, 'r');
  expect(sequenceOf(await late.rest())).toEqual(sequenceOf(await reader.rest()));
  expect(followed.filter((cursor) => cursor.hasUnreadEnd)).toEqual([]);
  for (const cursor of followed) await cursor.return();
});

test('Runs that cannot be cancelled when their time is over do not hold up others', room, async () => {
  await using app = await startTestApp();
  const { db, runs } = app.app;
  const socketClient = await openSocketClient(app, 'alice');
  app.model.add({ calls: [refund('r')] });
  const { runId, reader } = await startWaitingTurn(socketClient);
  const broken = await copyWaiting(db, runId, 120, new Date(Date.now() - 120_000));
  await db.runArchive.createMany({ data: broken.map((id) => ({ runId: id, events: 'not an archive' })) });
  const past = new Date(Date.now() - 60_000);
  await db.run.update({ where: { id: rowId(runId) }, data: { actionExpiresAt: past } });
  await recoverRuns(runs, { all: false });
  expect((await reader.rest()).at(-1)?.__typename).toBe('RunCancelled');
  expect((await socketClient.ask(run, { id: runId })).run.status).toBe('CANCELLED');
});

test.each([1, 3])(
  'A pause is stored although the answers to %i attempts are lost: the run waits and can be decided on',
  room,
  async (times) => {
    await using app = await startTestApp();
    const socketClient = await openSocketClient(app, 'alice');
    let lost = 0;
    const { db } = app.app;
    const loseAnswers = new Proxy(db.$transaction, {
      apply: async (transact, _self, args) => {
        const result: unknown = await Reflect.apply(transact, db, args);
        if (lost === times || (await db.run.count({ where: { status: 'REQUIRES_ACTION' } })) === 0) return result;
        lost++;
        throw new Error('Connection terminated unexpectedly');
      },
    });
    Object.defineProperty(db, '$transaction', { configurable: true, value: loseAnswers });
    app.model.add({ calls: [refund('r')] });
    const { runId, reader } = await startWaitingTurn(socketClient);
    await expect.poll(() => app.app.runs.running.size, drainTimeout).toBe(0);
    expect(lost).toBe(times);
    expect((await socketClient.ask(run, { id: runId })).run).toMatchObject({
      status: 'REQUIRES_ACTION',
      toolCalls: [{ callId: 'r', status: 'AWAITING_APPROVAL' }],
    });
    app.model.add({ text: 'Done.' });
    await decide(socketClient, runId, 'r');
    const events = await reader.rest();
    expect(sequenceOf(events).filter((type) => type === 'ApprovalRequested')).toHaveLength(1);
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
  },
);

test(
  'onDisconnect CANCEL holds when the last reader leaves a run that has been carried on elsewhere',
  room,
  async () => {
    await using both = await openTwo();
    const { one, two, here, there } = both;
    one.model.add({ calls: [refund('r')] });
    const { runId, reader } = await startWaitingTurn(here, { onDisconnect: 'CANCEL' });
    two.model.add({ text: ['It', ' is'], afterTokens: 1, gate: createGate() });
    await decide(there, runId, 'r');
    await two.model.received(1);
    await reader.leave();
    await expect.poll(async () => (await there.ask(run, { id: runId })).run.status, drainTimeout).toBe('CANCELLED');
    expect(two.model.requests[0]?.signal.aborted).toBe(true);
  },
);

test.each(['ws', 'sse'] as const)(
  'Over %s, the readers of a conversation that is deleted hear of the end, on any instance',
  room,
  async (transport) => {
    await using both = await openTwo();
    const { one, here, there } = both;
    one.model.add({ calls: [refund('r')] });
    const { conversationId, runId, reader } = await startWaitingTurn(here, {}, 1, transport);
    const other = there.runEvents(transport, runId);
    await other.until('ApprovalRequested');
    await here.ask(`mutation ($id: ID!) { deleteConversation(id: $id) }`, { id: conversationId });
    for (const events of [await reader.rest(), await other.rest()]) {
      const last = events.at(-1);
      expect(last).toMatchObject({
        __typename: 'RunCancelled',
        run: { id: runId, status: 'CANCELLED', lastSeq: last?.seq },
      });
    }
    const gone = await tryDecide(one, here, { runId, callId: 'r', approve: true });
    expect(gone.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
  },
);

test('lastSeq does not fall back when a waiting run goes on', room, async () => {
  await using app = await startTestApp();
  const socketClient = await openSocketClient(app, 'alice');
  app.model.add({ text: 'I refund it.', calls: [refund('r')] });
  const { runId, reader } = await startWaitingTurn(socketClient);
  const before = (await socketClient.ask(run, { id: runId })).run.lastSeq;
  // What it goes on with is not read before it has been asked.
  const gate = Promise.withResolvers<void>();
  const { tools } = app.app.runs;
  const find = tools.findTools.bind(tools);
  Object.defineProperty(tools, 'findTools', {
    value: async (...args: Parameters<typeof find>) => {
      await gate.promise;
      return find(...args);
    },
  });
  await decide(socketClient, runId, 'r');
  expect((await socketClient.ask(run, { id: runId })).run).toMatchObject({ status: 'RUNNING', lastSeq: before });
  app.model.add({ text: 'Done.' });
  gate.resolve();
  expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');
});

test('A run whose process died after the decisions reports no start of a call that was denied', room, async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  one.model.add({ calls: [refund('a'), refund('b', '1043')] });
  const { runId, reader } = await startWaitingTurn(here, {}, 2);
  one.model.add({ text: ['It', ' is'], afterTokens: 1, gate: createGate() });
  await decide(here, runId, 'a', false);
  await decide(here, runId, 'b');
  await reader.untilText('It');
  await one.app.db.run.update({
    where: { id: rowId(runId) },
    data: { leaseOwner: randomUUID(), leaseExpiresAt: new Date(0) },
  });
  two.model.add({ text: 'Done.' });
  await recoverRuns(two.app.runs, { all: true });
  const events = await there.runEvents('ws', runId).rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  const calls = events.flatMap(({ __typename, toolCall }) =>
    toolCall ? [[__typename, toolCall.callId, toolCall.status]] : [],
  );
  expect(calls).toEqual([
    ['ToolCallCompleted', 'a', 'DENIED'],
    ['ToolCallStarted', 'b', 'RUNNING'],
    ['ToolCallCompleted', 'b', 'SUCCEEDED'],
  ]);
  expect(assembleTexts(await reader.rest()).size).toBeGreaterThan(0);
});
