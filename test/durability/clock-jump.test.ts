import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';

/** Longer than leases last and are looked at, and shorter than the access tokens of the test. */
const jumpMs = 30 * 60_000;
/** Longer than it takes until leases are renewed and looked at. */
const roundMs = 3_000;

/** Lets the clock of this process be set. Durations (performance.now, timers) go on as they do. */
function openClock() {
  const RealDate = Date;
  const clock = {
    aheadMs: 0,
    [Symbol.dispose]() {
      globalThis.Date = RealDate;
    },
  };
  const now = () => RealDate.now() + clock.aheadMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (_, args, target) => Reflect.construct(RealDate, args.length === 0 ? [now()] : args, target),
    get: (real, name) => (name === 'now' ? now : Reflect.get(real, name)),
  });
  return clock;
}

test('A clock that jumps by half an hour, ahead and back, ends no turn and takes none from its owner', {
  timeout: 240_000,
}, async () => {
  await using database = await createTestDatabase();
  await using one = await startTestApp({ databaseUrl: database.url });
  await using two = await startTestApp({ databaseUrl: database.url });
  const alice = await openSocketClient(one, 'alice');
  const conversationId = await alice.createConversation();
  const gate = createGate();
  one.model.add({ text: ['A', ' b', ' c'], afterTokens: 2, gate });
  const reader = alice.chatTurn('ws', { conversationId });
  await reader.untilText('A b');
  {
    using clock = openClock();
    for (const aheadMs of [jumpMs, -jumpMs]) {
      clock.aheadMs = aheadMs;
      expect(Math.abs(Date.now() - performance.timeOrigin - performance.now())).toBeGreaterThan(jumpMs / 2);
      await sleep(roundMs);
      expect(one.app.runs.running.size).toBe(1);
    }
  }
  gate.open();
  const events = await reader.rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  expect([...assembleTexts(events).values()]).toEqual(['A b c']);
  const { run } = await alice.ask(documents.run, { id: events[0]?.runId ?? '' });
  expect(run).toMatchObject({ status: 'COMPLETED', resumedCount: 0 });
  expect(two.model.requests).toEqual([]);
});
