import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { computeCapacity, findSaturated, readInputs, usualLoad } from '../../bench/capacity/model.ts';
import { simulateLoad } from '../../bench/capacity/simulate.ts';
import { openDatabase } from '../../src/database/client.ts';
import { chatTurn } from '../../src/runs/commands/follow.ts';
import { RunScheduler } from '../../src/runs/scheduler/scheduler.ts';
import { startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';

const inputs = readInputs(join(import.meta.dirname, '../../bench/capacity/inputs.json'));

/** How far a prediction may be from what is counted, as a factor. */
const factor = 2;
const turns = 8;

/** The tables of each input, and what they hold per row. */
const tables = {
  messages: ['messages'],
  runs: ['runs'],
  archives: ['run_archives'],
  ledger: ['model_calls', 'user_token_days', 'tenant_token_days'],
  feed: ['feed_events'],
} as const;

test('The model predicts what turns of 200 tokens write, row by row, and how many statements they take', async () => {
  await using database = await createTestDatabase();
  await using app = await startTestApp({ databaseUrl: database.url });
  const { db } = app.app;
  const sizes = async () => {
    const entries = Object.entries(tables).map(async ([kind, names]) => {
      const each = await Promise.all(
        names.map((name) =>
          db.$queryRawUnsafe<{ bytes: number }[]>(
            `SELECT coalesce(sum(pg_column_size(t.*)), 0)::int AS bytes FROM "${name}" AS t`,
          ),
        ),
      );
      return [kind, each.reduce((sum, [row]) => sum + (row?.bytes ?? 0), 0)] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  };
  // Words of four letters that do not repeat, as a text that cannot be compressed much.
  const text = Array.from({ length: 200 }, (_, n) => `${((n * 7_919 + 46_656) % 1_679_616).toString(36)} `);
  const chat = await openChat(app, {});
  const before = await sizes();
  for (let turn = 0; turn < turns; turn += 1) {
    app.model.add({ text });
    await chat.readToEnd('A question of usual length, as people write it.');
  }
  const after = await sizes();
  for (const [kind, predicted] of Object.entries(inputs.bytesPerTurn)) {
    const counted = ((after[kind] ?? 0) - (before[kind] ?? 0)) / turns;
    expect(counted, kind).toBeGreaterThan(predicted / factor);
    expect(counted, kind).toBeLessThan(predicted * factor);
  }

  // The same turn on a host whose statements are recorded.
  let statements = 0;
  const counted = openDatabase({
    url: database.url,
    poolSize: 5,
    onQuery: () => {
      statements += 1;
    },
  });
  const host = new RunScheduler({
    ...app.app.runs,
    db: counted.db,
    agents: { ...app.app.runs.agents, db: counted.db },
  });
  app.model.add({ text });
  const { tenantId, userId } = await db.conversation.findUniqueOrThrow({ where: { id: chat.conversationId.slice(5) } });
  const viewer = { tenantId, userId, roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const input = { conversationId: chat.conversationId, content: 'Hello', idempotencyKey: randomUUID() };
  const events: string[] = [];
  for await (const event of await chatTurn(viewer, host, input)) events.push(event.type);
  expect(events.at(-1)).toBe('RunCompleted');
  await host.close();
  await counted.close();
  expect(statements).toBeGreaterThanOrEqual(inputs.statementsPerTurn / factor);
  expect(statements).toBeLessThanOrEqual(inputs.statementsPerTurn * factor);
  expect(Object.keys(inputs.bytesPerTurn).sort()).toEqual(Object.keys(tables).sort());
  // What is compared here is no estimate; what is called one is an input.
  expect(inputs.estimated).not.toContain('statementsPerTurn');
  expect(Object.keys(inputs)).toEqual(expect.arrayContaining(inputs.estimated));
});

test('The simulation agrees with the formula where nothing has to wait, and shows the queue where it must', () => {
  const load = { ...usualLoad, users: 100_000 };
  const predicted = computeCapacity(inputs, load);
  const turnSeconds = load.tokensPerTurn / load.tokensPerSecond;
  const common = { turnsPerSecond: predicted.turnsPerSecond, turnSeconds, seconds: 1_000, seed: 1 };
  const roomy = simulateLoad({ ...common, places: 1_000 });
  expect(roomy.averageAtOnce / predicted.turnsAtOnce).toBeGreaterThan(0.95);
  expect(roomy.averageAtOnce / predicted.turnsAtOnce).toBeLessThan(1.05);
  expect(roomy.turns / (predicted.turnsPerSecond * 1_000)).toBeCloseTo(1, 1);
  expect(roomy.waited).toBe(0);
  // As many places as turns on average: most have to wait. A third more: few.
  const tight = simulateLoad({ ...common, places: Math.ceil(predicted.turnsAtOnce) });
  expect(tight.waited).toBeGreaterThan(0.3);
  expect(tight.maxAtOnce).toBe(Math.ceil(predicted.turnsAtOnce));
  expect(simulateLoad({ ...common, places: Math.ceil(predicted.turnsAtOnce * 1.3) }).waited).toBeLessThan(0.05);
  expect(simulateLoad({ ...common, places: 1_000 })).toEqual(roomy);
});

test('What is needed grows with the users, and what is beyond one machine is named, the worst first', () => {
  const of = (users: number) => computeCapacity(inputs, { ...usualLoad, users });
  const [small, large, huge] = [of(10_000), of(1_000_000), of(100_000_000)];
  expect(large.turnsPerSecond / small.turnsPerSecond).toBeCloseTo(100, 6);
  expect(large.storageBytesPerDay / small.storageBytesPerDay).toBeCloseTo(100, 6);
  expect(small.instances).toBe(2);
  expect(findSaturated(small)).toEqual([]);
  expect(findSaturated(huge).map(({ what }) => what)).toContain('databaseCores');
  const times = findSaturated(huge).map((each) => each.times);
  expect(times).toEqual(times.toSorted((a, b) => b - a));
});
