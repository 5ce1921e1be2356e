import pg from 'pg';
import { expect, test } from 'vitest';
import { recoverRuns, takeReleasedRuns } from '../../src/runs/upkeep/recover.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';

/** More than a run may lose to deaths. */
const handovers = 4;

test('A long turn that is handed over by one instance after the other goes on, also if its last instance dies then', {
  timeout: 120_000,
}, async () => {
  await using database = await createTestDatabase();
  const open = () => startTestApp({ databaseUrl: database.url, env: { DRAIN_SECONDS: '0' } });
  let current = await open();
  const alice = await openSocketClient(current, 'alice');
  const conversationId = await alice.createConversation();
  current.model.add({ text: ['A', ' b'], afterTokens: 1, gate: createGate() });
  const { startRun } = await alice.ask(documents.startRun, {
    input: { conversationId, content: 'Long', idempotencyKey: 'k' },
  });
  await current.model.received(1);
  for (let left = handovers; left > 0; left--) {
    const next = await open();
    next.model.add({ text: ['A', ' b'], afterTokens: 1, gate: createGate() });
    await current[Symbol.asyncDispose]();
    // As when an instance is told of it by Redis; without, it would look two seconds later.
    await takeReleasedRuns(next.app.runs);
    await expect.poll(() => next.model.requests.length).toBe(1);
    current = next;
  }
  await using dead = current;
  await using last = await open();
  last.model.add({ text: 'A whole answer.' });
  // As at a start after kill -9: what the rows say of the former owner is the same.
  await recoverRuns(last.app.runs, { all: true });
  const client = await openSocketClient(last, 'alice');
  await client.runEvents('ws', startRun.id).rest();
  const { run } = await client.ask(documents.run, { id: startRun.id });
  expect(run).toMatchObject({
    status: 'COMPLETED',
    resumedCount: handovers + 1,
    messages: [{ content: 'A whole answer.' }],
  });
  // It notices at its next checkpoint that the run is not its own any more.
  await expect.poll(() => dead.app.runs.running.size, { timeout: 10_000 }).toBe(0);
});

/** Two instances that hand over at once, and a client of their database that can hold locks. */
async function openTwo() {
  await using opening = new AsyncDisposableStack();
  const { url } = opening.use(await createTestDatabase());
  const open = () => startTestApp({ databaseUrl: url, env: { DRAIN_SECONDS: '0' } });
  const [one, two] = [opening.use(await open()), opening.use(await open())];
  const client = new pg.Client(url);
  opening.defer(() => client.end());
  await client.connect();
  const opened = opening.move();
  return { one, two, client, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

// The embedded database has one session: nobody else can hold a lock there.
test.runIf(process.env.TEST_DATABASE_URL)(
  'A turn that does not end does not hold up the hand-over of the others, which go on elsewhere',
  { timeout: 120_000 },
  async () => {
    await using opened = await openTwo();
    const { one, two, client } = opened;
    const [slow, quick] = [createGate(), createGate()];
    one.model.add({ text: ['Slow', ' turn'], afterTokens: 1, gate: slow });
    const alice = await openSocketClient(one, 'alice');
    const start = async () => {
      const conversationId = await alice.createConversation();
      const reader = alice.chatTurn('ws', { conversationId });
      const { runId } = await reader.until('TextDelta');
      reader.rest().catch(() => {});
      return { runId: runId.slice('run_'.length), conversationId: conversationId.slice('conv_'.length) };
    };
    const stuck = await start();
    one.model.add({ text: ['Quick', ' turn'], afterTokens: 1, gate: quick });
    const other = await start();
    const rowOf = ({ runId: id }: { runId: string }) => two.app.db.run.findUniqueOrThrow({ where: { id } });

    await client.query('BEGIN');
    await client.query('SELECT 1 FROM conversations WHERE id = $1 FOR UPDATE', [stuck.conversationId]);
    // Its end waits for the lock.
    slow.open();
    await expect.poll(() => one.app.runs.running.get(stuck.runId)?.progress.closing).toBe(true);

    two.model.add({ text: 'A whole answer.' });
    const closing = one.app.close();
    await expect
      .poll(async () => (await rowOf(other)).leaseOwner, { timeout: 30_000 })
      .not.toBe(one.app.runs.instanceId);
    await expect.poll(async () => (await rowOf(other)).status, { timeout: 30_000 }).toBe('COMPLETED');
    // It has not been given back: its process may still end it.
    expect((await rowOf(stuck)).leaseOwner).toBe(one.app.runs.instanceId);
    await client.query('COMMIT');
    await closing;
    await expect.poll(async () => (await rowOf(stuck)).status, { timeout: 30_000 }).toBe('COMPLETED');
  },
);

test.runIf(process.env.TEST_DATABASE_URL)(
  'Turns whose last text cannot be saved are stopped all the same, and go on elsewhere',
  { timeout: 120_000 },
  async () => {
    await using opened = await openTwo();
    const { one, two, client } = opened;
    one.model.add({ text: ['A', ' b'], afterTokens: 1, gate: createGate() });
    const alice = await openSocketClient(one, 'alice');
    const conversationId = await alice.createConversation();
    const reader = alice.chatTurn('ws', { conversationId });
    const { runId } = await reader.untilText('A');
    reader.rest().catch(() => {});

    await client.query('BEGIN');
    await client.query('LOCK TABLE messages');
    two.model.add({ text: 'A whole answer.' });
    const closing = one.app.close();
    // The statement that saves it waits for as long as statements may, which is longer than this.
    await expect.poll(() => one.model.requests[0]?.signal.aborted, { timeout: 20_000 }).toBe(true);
    await client.query('COMMIT');
    await closing;
    const find = () => two.app.db.run.findUniqueOrThrow({ where: { id: runId.slice('run_'.length) } });
    await expect.poll(async () => (await find()).status).toBe('COMPLETED');
    expect(one.logs.some(({ msg }) => msg === 'could not save the last text')).toBe(true);
  },
);
