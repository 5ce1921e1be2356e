import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import pg from 'pg';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { completeMessage, insertMessage } from '../../src/runs/execute/run-rows.ts';
import { WriteQueue } from '../../src/runs/execute/write-queue.ts';
import { endRun } from '../../src/runs/transitions/end-run.ts';
import { storeMessages } from '../../src/runs/transitions/store-messages.ts';
import { storeOpenMessages } from '../../src/runs/upkeep/checkpoint.ts';
import { startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';

/** A run whose model has been asked and has said nothing, with a message that it could be writing. */
async function openRun(app: Awaited<ReturnType<typeof startTestApp>>) {
  const { db } = app.app;
  const chat = await openChat(app);
  const gate = createGate();
  app.model.add({ text: ['A', ' b'], afterTokens: 0, gate });
  const turn = chat.say('Hello');
  await gate.reached;
  const run = await db.run.findFirstOrThrow({ where: { status: 'RUNNING' }, orderBy: { startedAt: 'desc' } });
  const message = { messageId: randomUUID(), agentId: run.agentId ?? '', step: 0, content: 'A', run };
  const end = async () => {
    await db.message.deleteMany({ where: { id: message.messageId } });
    await db.conversation.update({ where: { id: run.conversationId }, data: { messageCount: 1 } });
    gate.open();
    return (await turn.rest()).at(-1)?.__typename;
  };
  return { run, message, end };
}

test('Messages that are being written are stored once, and only for runs that are still owned', async () => {
  await using app = await startTestApp();
  const { runs, db } = app.app;
  const { run, message, end } = await openRun(app);
  const stale = { ...message, messageId: randomUUID(), run: { ...run, leaseEpoch: run.leaseEpoch - 1 } };
  expect(await storeMessages(runs, [stale])).toEqual(new Set());
  expect(await storeMessages(runs, [message])).toEqual(new Set([message.messageId]));
  expect(await storeMessages(runs, [message])).toEqual(new Set());
  expect(await db.message.count({ where: { runId: run.id, role: 'ASSISTANT' } })).toBe(1);
  expect(await end()).toBe('RunCompleted');
});

// The embedded database has one session.
test.runIf(process.env.TEST_DATABASE_URL)(
  'A run or conversation that somebody has locked is passed over: nobody waits while holding locks of others',
  async () => {
    await using database = await createTestDatabase();
    await using app = await startTestApp({ databaseUrl: database.url });
    const { runs } = app.app;
    const [one, other] = [await openRun(app), await openRun(app)];
    const client = new pg.Client(database.url);
    await client.connect();
    try {
      for (const [table, id] of [
        ['runs', one.run.id],
        ['conversations', one.run.conversationId],
      ] as const) {
        await client.query('BEGIN');
        await client.query(`SELECT 1 FROM ${table} WHERE id = $1 FOR UPDATE`, [id]);
        // Without SKIP LOCKED this would wait for the transaction of this test.
        const stored = await storeMessages(runs, [one.message, other.message]);
        expect(stored.has(one.message.messageId)).toBe(false);
        await client.query('ROLLBACK');
      }
      await expect
        .poll(async () => (await storeMessages(runs, [one.message])).has(one.message.messageId), { timeout: 10_000 })
        .toBe(true);
    } finally {
      await client.end();
    }
    expect([await one.end(), await other.end()]).toEqual(['RunCompleted', 'RunCompleted']);
  },
);

async function countWaiting(client: pg.Client): Promise<number> {
  const { rows } = await client.query(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  );
  return rows.length;
}

test.runIf(process.env.TEST_DATABASE_URL)(
  'A reader that asks for the row of a message while that is being completed waits for it: nothing is written twice',
  async () => {
    await using database = await createTestDatabase();
    await using app = await startTestApp({ databaseUrl: database.url });
    const chat = await openChat(app);
    const gate = createGate();
    app.model.add(
      { text: ['A', ' b'], afterTokens: 2, gate, calls: [{ name: 'no_such_tool', arguments: {} }] },
      { text: 'Done.' },
    );
    const turn = chat.say('Hello');
    await turn.until('TextDelta');
    const [active] = app.app.runs.running.values();
    if (!active) throw new Error('The run is not carried out.');
    const client = new pg.Client(database.url);
    await client.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT 1 FROM conversations WHERE id = $1 FOR UPDATE', [active.run.conversationId]);
      gate.open();
      // The message is being completed: its statement waits for the conversation.
      await expect.poll(() => countWaiting(client), { timeout: 10_000 }).toBe(1);
      const written = active.progress.written();
      expect(active.progress.takeUnstored()).toBeNull();
      await client.query('COMMIT');
      await written;
    } finally {
      await client.end();
    }
    expect((await turn.rest()).at(-1)?.__typename).toBe('RunCompleted');
    const messages = await app.app.db.message.findMany({ where: { role: 'ASSISTANT' }, orderBy: { position: 'asc' } });
    expect(messages.map(({ position, status, content }) => [position, status, content])).toEqual([
      [2, 'COMPLETE', 'A b'],
      [3, 'COMPLETE', 'Done.'],
    ]);
  },
);

test
  .runIf(process.env.TEST_DATABASE_URL)
  .each(['insertMessage', 'completeMessage', 'storeMessages', 'endRun'] as const)(
  'A message whose row an earlier attempt of another statement writes meanwhile is written once: %s',
  async (name) => {
    await using database = await createTestDatabase();
    await using app = await startTestApp({ databaseUrl: database.url });
    const { runs, db } = app.app;
    const { run, message, end } = await openRun(app);
    const { messageId, agentId, step } = message;
    const transfers = '[]';
    const ended = {
      content: 'A b',
      status: 'COMPLETE',
      finishReason: 'STOP',
      transfers,
      takesCalls: false,
      citations: [],
      reasoning: null,
    } as const;
    const finished = { messageId, agentId, step, ...ended };
    const client = new pg.Client(database.url);
    await client.connect();
    try {
      // The earlier attempt has written the row, and has not committed.
      await client.query('BEGIN');
      await client.query('UPDATE conversations SET message_count = 2 WHERE id = $1', [run.conversationId]);
      await client.query(
        `INSERT INTO messages (id, tenant_id, conversation_id, position, role, status, content, agent_id, run_id, step)
         VALUES ($1, $2, $3, 2, 'ASSISTANT', 'STREAMING', 'A', $4, $5, 0)`,
        [messageId, run.tenantId, run.conversationId, agentId, run.id],
      );
      const send = {
        insertMessage: () => insertMessage(runs, run, { id: messageId, agentId, step }),
        completeMessage: () => completeMessage(runs, run, finished, { calls: null, ledger: null }),
        storeMessages: () => storeMessages(runs, [message]),
        endRun: () =>
          endRun(runs, {
            run,
            agentId,
            end: { status: 'COMPLETED', failure: null },
            archive: '',
            lastSeq: 9,
            message: finished,
            ledger: null,
            incomplete: false,
          }),
      };
      const sent = send[name]();
      if (name !== 'storeMessages') await expect.poll(() => countWaiting(client), { timeout: 10_000 }).toBe(1);
      await client.query('COMMIT');
      await sent;
    } finally {
      await client.end();
    }
    expect(await db.message.findMany({ where: { runId: run.id }, select: { position: true, content: true } })).toEqual([
      { position: 2, content: name === 'completeMessage' || name === 'endRun' ? 'A b' : 'A' },
    ]);
    expect(await db.conversation.findUnique({ where: { id: run.conversationId } })).toMatchObject({ messageCount: 2 });
    if (name !== 'endRun') return void (await end());
    app.model.assertDone();
  },
);

test.runIf(process.env.TEST_DATABASE_URL)(
  'A message that was passed over is stored in the same round, once nobody locks its run any more',
  // The round tries for a fraction of a second: on a busy machine, the lock may go later than that.
  { retry: 3 },
  async () => {
    await using database = await createTestDatabase();
    await using app = await startTestApp({ databaseUrl: database.url });
    const chat = await openChat(app);
    const gate = createGate();
    const client = new pg.Client(database.url);
    await client.connect();
    app.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
    const turn = chat.say('Hello');
    try {
      await turn.until('RunStarted');
      const [active] = app.app.runs.running.values();
      if (!active) throw new Error('The run is not carried out.');
      await client.query('BEGIN');
      await client.query('SELECT 1 FROM runs WHERE id = $1 FOR UPDATE', [active.run.id]);
      await turn.untilText('A');
      const storing = storeOpenMessages(app.app.runs);
      // The first attempt has passed it over.
      await expect.poll(() => active.progress.takeUnstored(), { interval: 5 }).not.toBeNull();
      await client.query('ROLLBACK');
      await storing;
      expect(await app.app.db.message.count({ where: { runId: active.run.id } })).toBe(1);
    } finally {
      await client.end();
      gate.open();
    }
    expect((await turn.rest()).at(-1)?.__typename).toBe('RunCompleted');
  },
);

test('What is queued while a turn waits for its writes is waited for too', async () => {
  const queue = new WriteQueue({ logger: pino({ enabled: false }), outageMs: 0 }, 'run');
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  queue.writeBehind(() => first.promise);
  let isFlushed = false;
  const flushed = queue.flush().then(() => {
    isFlushed = true;
  });
  queue.waitFor(second.promise);
  first.resolve();
  await setImmediate();
  expect(isFlushed).toBe(false);
  second.resolve();
  await flushed;
});
