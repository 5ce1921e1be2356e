import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { expect, test } from 'vitest';
import { storeMessages } from '../../src/runs/transitions/store-messages.ts';
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
