import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LeaseLost } from '../../src/runs/lease.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';

/** Room for what is on its way, not an expectation. */
const room = { timeout: 120_000 };

test(
  'A process whose run was taken writes nothing of it, calls none of its tools and reports no end',
  room,
  async () => {
    await using app = await startTestApp();
    const { db, runs } = app.app;
    const alice = await openSocketClient(app, 'alice');
    const conversationId = await alice.createConversation('support');
    const gate = createGate();
    app.model.add(
      { calls: [{ name: 'transfer_to_orders', arguments: { reason: 'an order' } }] },
      {
        text: ['I', ' look.'],
        afterTokens: 1,
        gate,
        calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }],
      },
    );
    const reader = alice.chatTurn('ws', { conversationId, content: 'Where is 1042?' });
    await reader.untilText('I');
    const id = reader.events[0]?.runId.slice('run_'.length) ?? '';
    const active = runs.running.get(id);
    // Its message is written behind the turn.
    await expect.poll(() => db.message.count({ where: { runId: id, step: 1 } })).toBe(1);
    // As if another process had taken it: whatever this one still sends comes too late.
    await db.run.update({
      where: { id },
      data: { leaseOwner: 'another', leaseEpoch: { increment: 1 }, leaseExpiresAt: new Date(Date.now() + 60_000) },
    });
    gate.open();
    expect(await active?.done).toBe('lost');
    const run = await db.run.findUniqueOrThrow({
      where: { id },
      include: { messages: { where: { step: { not: null } } }, toolCalls: true, modelCalls: true, archive: true },
    });
    expect(run).toMatchObject({ status: 'RUNNING', leaseOwner: 'another', toolCalls: [], archive: null });
    expect(run.messages).toMatchObject([{ status: 'STREAMING' }]);
    expect(run.modelCalls.map(({ step }) => step)).toEqual([0]);
    // The owner carries out the rest; its readers here are told of that end and of no other.
    app.model.add({ text: 'I look again.' });
    await db.run.update({ where: { id }, data: { leaseOwner: runs.instanceId, leaseExpiresAt: new Date(0) } });
    const events = await reader.rest();
    expect(events.filter(({ __typename }) => /^Run(Completed|Failed|Cancelled)$/.test(__typename))).toHaveLength(1);
    expect([...assembleTexts(events).values()].filter((text) => text !== '')).toEqual(['I look again.']);
    app.model.add({ text: 'unused' });
    await alice.chatTurn('ws', { conversationId }).rest();
  },
);

test(
  'A run whose plan cannot be read is interrupted with all that its rows hold, and is not retryable',
  room,
  async () => {
    await using app = await startTestApp();
    const { db, runs } = app.app;
    const alice = await openSocketClient(app, 'alice');
    const agentId = await alice.createAgent({ name: 'looking', instructions: 'Look.', tools: ['lookup_order'] });
    const conversationId = await alice.createConversation({ agentId });
    const gate = createGate();
    app.model.add(
      { text: 'I look.', calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }] },
      { text: ['It', ' is'], afterTokens: 1, gate },
    );
    const reader = alice.chatTurn('ws', { conversationId });
    await reader.untilText('It');
    const runId = reader.events[0]?.runId ?? '';
    const id = runId.slice('run_'.length);
    // What is being written has a row once it takes long.
    await expect
      .poll(() => db.message.count({ where: { runId: id, status: 'STREAMING' } }), { timeout: 10_000 })
      .toBe(1);
    await db.runPlan.update({ where: { runId: id }, data: { plan: '{"agents":[{"later":true}]}' } });
    // As if its process had given it back: whoever takes it over reads the plan.
    await db.run.update({ where: { id }, data: { leaseOwner: null, leaseEpoch: { increment: 1 } } });
    gate.open();
    expect(await runs.running.get(id)?.done).toBe('lost');
    expect((await reader.rest()).at(-1)).toMatchObject({ __typename: 'RunFailed' });
    const { run } = await alice.ask(documents.run, { id: runId });
    expect(run).toMatchObject({
      ...{ status: 'FAILED', error: { code: 'INTERRUPTED', retryable: false } },
      ...{ messages: [{ content: 'I look.' }, { status: 'PARTIAL' }], toolCalls: [{ status: 'SUCCEEDED' }] },
    });
    expect([...assembleTexts(await alice.runEvents('sse', runId).rest()).values()]).toContain('I look.');
  },
);

test(
  'A run that is taken up by its row after readers were told of it goes on after all that they were given',
  room,
  async () => {
    await using app = await startTestApp();
    const { db, runs } = app.app;
    const alice = await openSocketClient(app, 'alice');
    const conversationId = await alice.createConversation();
    const gate = createGate();
    const reasoning = Array.from({ length: 40 }, (_, n) => `${n} `);
    app.model.add({ reasoning, text: 'Never.', delayMs: 2, afterTokens: 30, gate }, { text: 'Hello.' });
    const reader = alice.chatTurn('ws', { conversationId });
    await reader.until(({ __typename, delta }) => __typename === 'ReasoningDelta' && /29 $/.test(delta ?? ''));
    const { runId = '', seq: after = 0 } = reader.events.at(-1) ?? {};
    const id = runId.slice('run_'.length);
    await expect.poll(async () => (await db.run.findUnique({ where: { id } }))?.lastSeq).toBeGreaterThan(0);
    await reader.leave();
    const active = runs.running.get(id);
    // As after an outage that was too long: the row still says that the run is this process's, and nothing of it is written.
    active?.stop(new LeaseLost(id));
    expect(await active?.done).toBe('lost');
    runs.log.drop(id);
    gate.open();
    const rest = await alice.runEvents('ws', runId, after).rest();
    expect(rest.every(({ seq }) => seq > after)).toBe(true);
    expect([...assembleTexts(rest).values()]).toEqual(['Hello.']);
    expect(rest.at(-1)?.__typename).toBe('RunCompleted');
  },
);

test('The events that a stale lease does not cover are held back until the lease is renewed', room, async () => {
  await using app = await startTestApp();
  const { runs } = app.app;
  const alice = await openSocketClient(app, 'alice');
  const conversationId = await alice.createConversation();
  const gate = createGate();
  app.model.add({ text: ['A', ' b', ' c'], afterTokens: 1, gate });
  const reader = alice.chatTurn('ws', { conversationId });
  await reader.untilText('A');
  const id = reader.events[0]?.runId.slice('run_'.length) ?? '';
  const buffer = runs.log.find(id);
  buffer?.hold();
  const before = buffer?.lastSeq ?? 0;
  expect(buffer?.read(buffer.indexAfter(before))).toBeNull();
  gate.open();
  expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');
  expect([...assembleTexts(reader.events).values()]).toEqual(['A b c']);
});

test(
  'A process that was stopped for longer than its lease does nothing more in the run that another has taken over',
  room,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'switchboard-test-'));
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => rm(folder, { recursive: true, force: true }));
    await using database = await createTestDatabase();
    await using alive = await startTestApp({ databaseUrl: database.url });
    await using model = await createScriptedModel();
    const there = await openSocketClient(alive, 'alice');
    const conversationId = await there.createConversation('support');
    await using stopped = await startServer(folder, {
      DATABASE_URL: database.url,
      OPENAI_BASE_URL: model.url,
      MODEL: 'test-model',
    });
    const here = await openSocketClient(stopped, 'alice');
    const gate = createGate();
    model.add(
      { calls: [{ name: 'transfer_to_orders', arguments: { reason: 'an order' } }] },
      {
        text: ['I', ' look.'],
        afterTokens: 1,
        gate,
        calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }],
      },
    );
    const reader = here.chatTurn('ws', { conversationId, content: 'Where is 1042?' });
    await reader.untilText('I');
    const runId = reader.events[0]?.runId ?? '';
    const id = runId.slice('run_'.length);
    process.kill(stopped.pid ?? 0, 'SIGSTOP');
    // The whole answer and its call wait for the process.
    gate.open();
    alive.model.add({ text: 'I look again.' });
    const told = await there.runEvents('ws', runId).rest();
    expect(told.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
    // Whether the index of the search has a message is noted behind the turn, by any process.
    const messages = { omit: { isIndexed: true } } as const;
    const read = () =>
      alive.app.db.run.findUniqueOrThrow({ where: { id }, include: { messages, toolCalls: true, archive: true } });
    const ended = await read();
    expect(ended.toolCalls).toEqual([]);
    process.kill(stopped.pid ?? 0, 'SIGCONT');
    const events = await reader.rest();
    expect(events.filter(({ __typename }) => /^Run(Completed|Failed|Cancelled)$/.test(__typename))).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted', seq: told.at(-1)?.seq });
    expect(assembleTexts(events)).toEqual(assembleTexts(told));
    expect(await read()).toEqual(ended);
  },
);
