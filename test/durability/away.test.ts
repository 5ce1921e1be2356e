import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { openProxy } from '../support/database/proxy.ts';
import { createGate } from '../support/scripted-model/gate.ts';

// The lines of docs/operations.md about a database that is away for a while. They only wait: all at the same time.
describe('a database that goes away', { concurrent: true }, () => {
  test.for([
    { what: 'restarts', awayMs: 1_000 },
    { what: 'is away for 3 seconds', awayMs: 3_000 },
    // Longer than a lease lasts.
    { what: 'is away for 30 seconds', awayMs: 30_000 },
  ])(
    'A PostgreSQL that $what costs a turn nothing but time, and its instance recovers by itself',
    { timeout: 240_000 },
    async ({ awayMs }, { expect }) => {
      await using database = await createTestDatabase();
      await using proxy = await openProxy(database.url);
      await using app = await startTestApp({ databaseUrl: proxy.url });
      const alice = await openSocketClient(app, 'alice');
      const conversationId = await alice.createConversation();
      const other = await alice.createConversation();
      const gate = createGate();
      app.model.add({ text: ['A', ' b', ' c', ' d'], afterTokens: 2, gate });
      const reader = alice.chatTurn('ws', { conversationId });
      await reader.untilText('A b');

      proxy.cut();
      const back = sleep(awayMs).then(() => proxy.restore());
      // Nobody waits in vain: it is said at once.
      const input = { conversationId: other, content: 'x', idempotencyKey: 'k' };
      const refused = await alice.ask(documents.startRun, { input }).catch(String);
      expect(refused).toContain('UNAVAILABLE');
      expect((await fetch(`${app.url}/ready`)).status).toBe(503);
      // The model goes on, and ends its answer, while nothing can be stored.
      gate.open();
      await back;

      const events = await reader.rest();
      expect(events.at(-1)?.__typename).toBe('RunCompleted');
      expect([...assembleTexts(events).values()]).toEqual(['A b c d']);
      const { run } = await alice.ask(documents.run, { id: events[0]?.runId ?? '' });
      expect(run).toMatchObject({ status: 'COMPLETED', messages: [{ content: 'A b c d', status: 'COMPLETE' }] });
      await expect.poll(async () => (await fetch(`${app.url}/ready`)).status).toBe(200);
      app.model.add({ text: 'As before.' });
      const next = await alice.chatTurn('ws', { ...input, idempotencyKey: 'later' }).rest();
      expect(next.at(-1)?.__typename).toBe('RunCompleted');
      expect(app.app.runs.running.size).toBe(0);
      const said = app.logs.map(({ msg }) => msg);
      const [begins, ends] = [
        said.indexOf('the database cannot be reached'),
        said.lastIndexOf('the database answers again'),
      ];
      expect(begins).toBeGreaterThanOrEqual(0);
      expect(ends).toBeGreaterThan(begins);
    },
  );
});

// By itself: each of them has a database of its own to start.
test('A PostgreSQL that is away for longer than OUTAGE_SECONDS has its turns given up; when it is back they go on as if their process had died', {
  timeout: 240_000,
}, async () => {
  await using database = await createTestDatabase();
  await using proxy = await openProxy(database.url);
  await using app = await startTestApp({ databaseUrl: proxy.url, env: { OUTAGE_SECONDS: '15' } });
  const alice = await openSocketClient(app, 'alice');
  const conversationId = await alice.createConversation();
  app.model.add({ text: ['A', ' b', ' c'], afterTokens: 2, gate: createGate() });
  const reader = alice.chatTurn('ws', { conversationId });
  await reader.untilText('A b');

  proxy.cut();
  // Nothing is held in memory for it any more, and its model is not asked for more.
  await expect.poll(() => app.app.runs.running.size, { timeout: 60_000 }).toBe(0);
  await expect.poll(() => app.model.requests[0]?.signal.aborted).toBe(true);
  app.model.add({ text: 'A whole answer.' });
  proxy.restore();

  const events = await reader.rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  expect([...assembleTexts(events).values()]).toEqual(['A whole answer.']);
  const { run } = await alice.ask(documents.run, { id: events[0]?.runId ?? '' });
  expect(run).toMatchObject({ status: 'COMPLETED', resumedCount: 1, messages: [{ content: 'A whole answer.' }] });
});
