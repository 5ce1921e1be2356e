import { randomUUID, randomUUIDv7 } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Db } from '../../src/database/client.ts';
import { purge } from '../../src/retention/purge.ts';
import { shareApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';

const app = shareApp();
const dayMs = 24 * 3_600_000;

test('A purge that is stopped before its end each time gets on with every kind: none waits for another', async () => {
  const { db } = app.app;
  const tenantId = `t-${randomUUID()}`;
  const alice = await openChat(app, {}, { tenant: tenantId, sub: 'alice' });
  for (let n = 0; n < 34; n++) await alice.createConversation();
  const call = { tenantId, userId: 'alice', step: 0, model: 'm', complete: true, durationMs: 1 };
  await db.modelCall.createMany({ data: Array.from({ length: 8 }, () => ({ ...call, id: randomUUIDv7() })) });
  const left = async () => ({
    conversations: await db.conversation.count({ where: { tenantId } }),
    calls: await db.modelCall.count({ where: { tenantId } }),
  });
  expect(await left()).toEqual({ conversations: 35, calls: 8 });

  const stop = new AbortController();
  let deleted = 0;
  const counting: Pick<Db, '$queryRaw' | '$executeRaw'> = {
    $queryRaw: (...args: Parameters<typeof db.$queryRaw>) => db.$queryRaw(...args),
    // The ledger is deleted by these, in its turn.
    $executeRaw: (...args: Parameters<typeof db.$executeRaw>) => {
      deleted += 1;
      if (deleted === 2) stop.abort(new Error('The process stops.'));
      return db.$executeRaw(...args);
    },
  };
  const retention = { archives: null, conversations: 5, guardrailResults: null, ledger: 5 };
  const now = new Date(Date.now() + 10 * dayMs);
  const stopped = purge(counting, { retention, now, signal: stop.signal, pauseMs: 0, batch: 2 });
  await expect(stopped).rejects.toThrow('The process stops.');
  const { conversations, calls } = await left();
  expect(conversations).toBeGreaterThan(0);
  expect(conversations).toBeLessThan(35);
  expect(calls).toBe(4);
});
