import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { recoverRuns } from '../../src/runs/upkeep/recover.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openChat, openSocketClient } from '../support/chat.ts';
import { assembleTexts, sequenceOf } from '../support/clients/turn-reader.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';

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

test('A run can be followed and read from the other instance, from any seq, to its end', async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  const conversationId = await here.createConversation();
  const gate = createGate();
  one.model.add({ text: ['A', ' b', ' c'], afterTokens: 2, gate });
  const reader = here.chatTurn('ws', { conversationId, idempotencyKey: 'k' });
  await reader.untilText('A b');
  const runId = reader.events[0]?.runId ?? '';
  const seen = reader.events.map((event) => event.seq);

  // What is stored so far, and what comes after it.
  await expect
    .poll(async () => (await there.ask(documents.conversation, { id: conversationId })).conversation.activeRun.lastSeq)
    .toBe(seen.at(-1));
  const { conversation } = await there.ask(documents.conversation, { id: conversationId });
  const hydrated = new Map<string, string>(
    conversation.messages.edges.map(({ node }: { node: { id: string; content: string } }) => [node.id, node.content]),
  );
  const places = [0, ...seen];
  const rests = places.map((after, index) => there.runEvents(index % 2 ? 'ws' : 'sse', runId, after).rest());
  const keyed = there.chatTurn('ws', { conversationId, idempotencyKey: 'k', after: 2 }).rest();
  await expect.poll(() => two.app.runs.log.find(runId.slice(4))?.readers).toBe(places.length + 1);
  gate.open();
  const all = await reader.rest();
  for (const [index, after] of places.entries()) {
    const rest = (await rests[index]) ?? [];
    expect(rest.every((event) => event.seq > after)).toBe(true);
    expect(rest.at(-1)?.__typename).toBe('RunCompleted');
    const before = all.filter((event) => event.seq <= after);
    expect(assembleTexts(rest, assembleTexts(before))).toEqual(assembleTexts(all));
    expect(sequenceOf([...before, ...rest])).toEqual(sequenceOf(all));
  }
  expect((await keyed)[0]?.seq).toBe(3);
  const [messageId = ''] = assembleTexts(all).keys();
  expect(assembleTexts((await rests.at(-1)) ?? [], hydrated).get(messageId)).toBe('A b c');
  expect(sequenceOf(await there.runEvents('ws', runId).rest())).toEqual(sequenceOf(all));
  await expect.poll(() => two.app.runs.log.runIds()).toEqual([]);
});

test('A run can be cancelled from the other instance, and interrupted by a turn there', async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  const conversationId = await here.createConversation();
  one.model.add({ text: ['A', ' b'], afterTokens: 1, gate: createGate() });
  const reader = here.chatTurn('ws', { conversationId });
  await reader.untilText('A');
  const runId = reader.events[0]?.runId ?? '';
  const asked = await Promise.all([1, 2].map(() => there.ask(documents.cancelRun, { id: runId })));
  for (const { cancelRun } of asked) expect(cancelRun).toMatchObject({ id: runId, status: 'CANCELLED' });
  const events = await reader.rest();
  expect(events.slice(-2)).toMatchObject([
    { __typename: 'MessageCompleted', message: { status: 'PARTIAL', content: 'A' } },
    { __typename: 'RunCancelled' },
  ]);
  await expect.poll(() => one.model.requests[0]?.signal.aborted).toBe(true);

  one.model.add({ text: ['C', ' d'], afterTokens: 1, gate: createGate() });
  const second = here.chatTurn('ws', { conversationId });
  await second.untilText('C');
  // The instance that ends the run starts the next one: either of them may do so.
  const answer = { text: 'E' };
  one.model.add(answer);
  const third = await there.chatTurn('sse', { conversationId, content: 'Stop', ifBusy: 'INTERRUPT' }).rest();
  expect(third.at(-1)?.__typename).toBe('RunCompleted');
  expect([...assembleTexts(third).values()]).toEqual(['E']);
  expect((await second.rest()).at(-1)?.__typename).toBe('RunCancelled');
  expect(two.model.requests).toEqual([]);
});

test('Deleting a conversation on one instance stops its turn on the other', async () => {
  await using both = await openTwo();
  const { one, here, there } = both;
  const conversationId = await here.createConversation();
  one.model.add({ text: ['A', ' b'], afterTokens: 1, gate: createGate() });
  const { startRun } = await here.ask(documents.startRun, {
    input: { conversationId, content: 'x', idempotencyKey: 'k' },
  });
  await one.model.received(1);
  await there.ask(`mutation ($id: ID!) { deleteConversation(id: $id) }`, { id: conversationId });
  await expect.poll(() => one.model.requests[0]?.signal.aborted).toBe(true);
  await expect.poll(() => one.app.runs.running.size).toBe(0);
  const gone = await here
    .runEvents('ws', startRun.id)
    .next()
    .catch((error: unknown) => error);
  expect(gone).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
});

test('Two instances start the same turn at the same time: it runs once, and both read it', async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  for (let round = 0; round < 5; round++) {
    const conversationId = await here.createConversation();
    const asked = one.model.requests.length + two.model.requests.length;
    // Whoever is first asks its own model; the other model is not asked.
    const answer = { text: ['Just', ' once'], firstTokenDelayMs: 20 };
    one.model.add(answer);
    two.model.add(answer);
    const readers = Array.from({ length: 10 }, (_, n) =>
      (n % 2 ? here : there).chatTurn('ws', { conversationId, idempotencyKey: 'same' }),
    );
    const all = await Promise.all(readers.map((reader) => reader.rest()));
    expect(new Set(all.map((events) => events[0]?.runId)).size).toBe(1);
    for (const events of all) {
      expect([...assembleTexts(events).values()]).toEqual(['Just once']);
      expect(events.at(-1)?.__typename).toBe('RunCompleted');
    }
    expect(one.model.requests.length + two.model.requests.length).toBe(asked + 1);
    // The answer that was not asked for is used up by a turn of its own.
    const other = one.model.requests.length > two.model.requests.length ? there : here;
    await other.chatTurn('ws', { conversationId }).rest();
  }
});

test('Two instances start different turns at the same time: one runs, the others are told which', async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  const conversationId = await here.createConversation();
  const gate = createGate();
  one.model.add({ text: ['One', ' only'], afterTokens: 1, gate });
  two.model.add({ text: ['One', ' only'], afterTokens: 1, gate });
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, async (_, n) => {
      const input = { conversationId, content: 'x', idempotencyKey: `key ${n}` };
      const socketClient = n % 2 ? here : there;
      return socketClient.ask(documents.startRun, { input }).catch((error: unknown) => String(error));
    }),
  );
  const started = outcomes.filter((outcome) => typeof outcome === 'object');
  expect(started).toHaveLength(1);
  const { id } = started[0].startRun;
  for (const outcome of outcomes) if (typeof outcome === 'string') expect(outcome).toContain(id);
  gate.open();
  expect((await there.runEvents('ws', id).rest()).at(-1)?.__typename).toBe('RunCompleted');
  const other = one.model.requests.length === 0 ? here : there;
  await other.chatTurn('ws', { conversationId }).rest();
});

test('An instance that stops in order leaves its queue to the other', { timeout: 40_000 }, async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  const conversationId = await here.createConversation();
  const gate = createGate();
  one.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
  const reader = here.chatTurn('ws', { conversationId });
  await reader.untilText('A');
  const input = { conversationId, content: 'Next', idempotencyKey: 'next', ifBusy: 'ENQUEUE' };
  const { startRun } = await here.ask(documents.startRun, { input });
  const waiting = there.runEvents('ws', startRun.id).rest();
  two.model.add({ text: 'Taken over' });
  const closing = one.app.runs.close();
  const refused = await here.ask(documents.startRun, { input: { ...input, idempotencyKey: 'late' } }).catch(String);
  expect(refused).toContain('UNAVAILABLE');
  gate.open();
  await closing;
  expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');
  const events = await waiting;
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  expect([...assembleTexts(events).values()]).toEqual(['Taken over']);
});

test('If an instance dies, the other carries out the rest of its run, and then its queue', {
  timeout: 240_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-test-'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  await using database = await createTestDatabase();
  await using alive = await startTestApp({ databaseUrl: database.url });
  await using model = await createScriptedModel();
  const { conversationId, ...there } = await openChat(alive, 'assistant', { sub: 'alice' });

  await using dying = await startServer(folder, {
    DATABASE_URL: database.url,
    OPENAI_BASE_URL: model.url,
    MODEL: 'test-model',
  });
  const here = await openSocketClient(dying, 'alice');
  model.add({ text: ['Last', ' words'], afterTokens: 1, gate: createGate() });
  const reader = here.chatTurn('ws', { conversationId, content: 'Speak' });
  await reader.untilText('Last');
  const runId = reader.events[0]?.runId ?? '';
  const input = { conversationId, content: 'Next', idempotencyKey: 'next', ifBusy: 'ENQUEUE' };
  const { startRun } = await here.ask(documents.startRun, { input });
  const where = { id: runId.slice(4) };
  // Its text is saved; what was not would be lost.
  await expect
    .poll(async () => (await alive.app.db.message.findFirst({ where: { runId: where.id } }))?.content)
    .toBe('Last');
  const following = there.runEvents('sse', runId, 2).rest();
  const waiting = there.runEvents('ws', startRun.id).rest();
  alive.model.add({ text: 'Other words' }, { text: 'I am here' });
  await dying.end('SIGKILL');
  const seen = await reader.rest().catch(() => reader.events);

  const events = await following;
  expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
  for (const after of [0, ...seen.map((event) => event.seq)]) {
    const rest = await there.runEvents('ws', runId, after).rest();
    expect(rest.at(-1)?.__typename).toBe('RunCompleted');
    expect([...assembleTexts(rest, assembleTexts(seen.filter((event) => event.seq <= after))).values()]).toEqual([
      'Other words',
    ]);
  }
  const next = await waiting;
  expect(next.at(-1)?.__typename).toBe('RunCompleted');
  expect(alive.model.requests.map(({ messages }) => messages)).toEqual([
    [{ role: 'user', content: 'Speak' }],
    [
      { role: 'user', content: 'Speak' },
      { role: 'assistant', content: 'Other words', calls: [] },
      { role: 'user', content: 'Next' },
    ],
  ]);
  const { run } = await there.ask(documents.run, { id: runId });
  expect(run).toMatchObject({ status: 'COMPLETED', messages: [{ status: 'COMPLETE', content: 'Other words' }] });
});

test('An instance that was taken for dead stops its turn, and its readers get the rest', {
  timeout: 40_000,
}, async () => {
  await using both = await openTwo();
  const { one, two, here, there } = both;
  const conversationId = await here.createConversation();
  one.model.add({ text: ['A', ' b'], afterTokens: 1, gate: createGate() });
  const reader = here.chatTurn('ws', { conversationId });
  await reader.untilText('A');
  const runId = reader.events[0]?.runId ?? '';
  two.model.add({ text: 'C' });
  // As if it had slept for longer than its lease. It has not: where it renews its lease just then, it is believed.
  await expect
    .poll(async () => {
      await recoverRuns(two.app.runs, { all: true });
      return (await there.ask(documents.run, { id: runId })).run.status;
    })
    .toBe('COMPLETED');
  const events = await reader.rest();
  expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
  await expect.poll(() => one.model.requests[0]?.signal.aborted).toBe(true);
  expect((await there.runEvents('ws', runId).rest()).at(-1)?.__typename).toBe('RunCompleted');
  const { run } = await there.ask(documents.run, { id: runId });
  expect([...assembleTexts(events).values()]).toEqual(
    run.messages.map((message: { content: string }) => message.content),
  );
});
