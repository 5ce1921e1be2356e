import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Viewer } from '../../src/auth/viewer.ts';
import { openDatabase } from '../../src/database/client.ts';
import { ConfigurationCache } from '../../src/database/configuration-cache.ts';
import type { Statement } from '../../src/database/statements.ts';
import type { ScriptedStep } from '../../src/demo/steps.ts';
import type { RunEvent } from '../../src/log/event.ts';
import { chatTurn } from '../../src/runs/commands/follow.ts';
import { RunScheduler } from '../../src/runs/scheduler/scheduler.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { createTestDatabase, type TestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';

/** Between the first statement of a turn and its model call. */
const startStatements = 2;
/** Of a turn with one model step, from the request to the end, whatever its length. */
const oneStepStatements = 3;
/** Of a turn that hands off, then calls a tool, then answers. */
const threeStepStatements = 9;

let database: TestDatabase;
let app: TestApp;
let alice: SocketClient;
const viewer: Viewer = { userId: 'alice', tenantId: 'acme', roles: [], expiresAt: Number.POSITIVE_INFINITY };

beforeAll(async () => {
  database = await createTestDatabase();
  app = await startTestApp({ databaseUrl: database.url });
  alice = await openSocketClient(app, 'alice');
  for (const conversation of ['assistant', 'support', {}]) await countTurn(conversation, { text: 'Yes.' });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

/** What the tenant's configuration is remembered in; warm after the first turns. */
const warm = new ConfigurationCache();

/**
 * A scheduler whose statements are all recorded. Its background jobs do not run: checkpoints are one statement of the process
 * every half second, for all of its turns together, and no part of what a turn costs.
 */
function openCounted(config = warm) {
  const statements: Statement[] = [];
  const opened = openDatabase({ url: database.url, poolSize: 5, onQuery: (statement) => statements.push(statement) });
  const { db } = opened;
  const host = new RunScheduler({ ...app.app.runs, db, agents: { ...app.app.runs.agents, db, config } });
  return { host, statements, [Symbol.asyncDispose]: () => opened.close() };
}

type NewConversation = Parameters<SocketClient['createConversation']>[0];

/** Runs a turn on a counted host. */
async function countTurn(conversation: NewConversation, ...steps: ScriptedStep[]) {
  return countTurnOf(warm, conversation, ...steps);
}

async function countTurnOf(config: ConfigurationCache, conversation: NewConversation, ...steps: ScriptedStep[]) {
  const conversationId = await alice.createConversation(conversation);
  app.model.add(...steps);
  await using counted = openCounted(config);
  const events: RunEvent[] = [];
  for await (const event of await chatTurn(viewer, counted.host, {
    conversationId,
    content: 'Hello',
    idempotencyKey: randomUUID(),
  })) {
    events.push(event);
  }
  await counted.host.close();
  expect(events.at(-1)?.type).toBe('RunCompleted');
  return { events, statements: counted.statements.length, sql: counted.statements.map(({ sql }) => sql) };
}

test('A turn costs the same number of statements, whatever its length', async () => {
  const tokens = (count: number) => Array.from({ length: count }, (_, n) => `${n} `);
  const short = await countTurn('assistant', { text: tokens(20) });
  const long = await countTurn('assistant', { text: tokens(2_000), delayMs: 1 });
  const reasoning = await countTurn('assistant', { reasoning: tokens(200), text: tokens(200) });
  expect(short.sql).toHaveLength(oneStepStatements);
  expect(long.sql).toEqual(short.sql);
  expect(reasoning.sql).toEqual(short.sql);
});

test('A turn in a conversation without a scenario that this process has just written is not read before it starts', async () => {
  const first = await countTurn({}, { text: 'Yes.' });
  expect(first.sql).toHaveLength(oneStepStatements - 1);
});

test('Each further step costs a few statements, and a call and a handoff a few each', async () => {
  const { sql } = await countTurn(
    'support',
    { calls: [{ name: 'transfer_to_orders', arguments: { reason: 'an order' } }] },
    { text: 'I look.', calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }] },
    { text: 'It is shipped.' },
  );
  expect(sql).toHaveLength(threeStepStatements);
});

test('A classifier costs three statements: the last decision, the decision and the usage', async () => {
  const choice = { agent: 'orders', confidence: 0.9, reasoning: 'It is about an order.', alternatives: [] };
  // The first turn fills the cache.
  await countTurn('orchestrated', { text: JSON.stringify(choice) }, { text: 'Yes.' });
  const { sql } = await countTurn('orchestrated', { text: JSON.stringify(choice) }, { text: 'Yes.' });
  expect(sql).toHaveLength(oneStepStatements + 3);
});

test('Agents, scenario and the names of the bases that agents search cost one statement each if they are not cached', async () => {
  const cold = await countTurnOf(new ConfigurationCache(), 'support', { text: 'Yes.' });
  const remembered = await countTurn('support', { text: 'Yes.' });
  expect(cold.sql.length - remembered.sql.length).toBe(3);
});

test('A context snapshot costs a turn one statement, and a turn without one none', async () => {
  const create = `mutation { createContextSnapshot(input: { page: "here" }) { id } }`;
  const { id: contextSnapshotId } = (await alice.ask(create)).createContextSnapshot;
  const without = await countTurn('assistant', { text: 'Yes.' });
  const conversationId = await alice.createConversation('assistant');
  app.model.add({ text: 'Yes.' });
  await using counted = openCounted();
  const input = { conversationId, content: 'Hello', idempotencyKey: randomUUID(), contextSnapshotId };
  for await (const _ of await chatTurn(viewer, counted.host, input));
  await counted.host.close();
  const sql = counted.statements.map((statement) => statement.sql);
  expect(without.sql).toHaveLength(oneStepStatements);
  expect(sql.filter((statement) => !statement.includes('context_snapshots'))).toEqual(without.sql);
  expect(sql).toHaveLength(oneStepStatements + 1);
});

test('A long history costs as many statements as none', async () => {
  const conversationId = await alice.createConversation();
  await using counted = openCounted();
  const costs: number[] = [];
  for (let turn = 0; turn < 12; turn++) {
    app.model.add({ text: 'Yes.' });
    const before = counted.statements.length;
    const input = { conversationId, content: `Question ${turn}`, idempotencyKey: randomUUID() };
    for await (const _ of await chatTurn(viewer, counted.host, input));
    await Promise.all([...counted.host.running.values()].map((active) => active.done));
    costs.push(counted.statements.length - before);
  }
  // The first turn has no past to read the tool calls and handoffs of.
  expect(new Set(costs.slice(1)).size).toBe(1);
});

test('No transaction is open, and no connection is held, while the model is asked', async () => {
  const conversationId = await alice.createConversation();
  const [head, middle] = [createGate(), createGate()];
  app.model.add({ text: ['A', ' b'], afterTokens: 0, gate: head }, { text: ['C', ' d'], afterTokens: 1, gate: middle });
  await using counted = openCounted();
  const { host, statements } = counted;
  const open = () => {
    const kinds = statements.map(({ sql }) => sql.trim().split(/\s/, 1)[0]?.toUpperCase());
    return (
      kinds.filter((kind) => kind === 'BEGIN').length -
      kinds.filter((kind) => /^(COMMIT|ROLLBACK)$/.test(kind ?? '')).length
    );
  };
  const busy = async () => {
    const rows = await app.app.db.$queryRaw<{ state: string }[]>`
      SELECT state FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`;
    return rows.length;
  };
  const start = (idempotencyKey: string) =>
    chatTurn(viewer, host, { conversationId, content: 'Hello', idempotencyKey });

  const first = await start('first');
  await head.reached;
  expect(statements.length).toBe(startStatements);
  expect({ open: open(), busy: await busy() }).toEqual({ open: 0, busy: 0 });
  // Whoever wants the conversation's row gets it.
  await app.app.db.conversation.updateMany({ where: { id: conversationId.slice(5) }, data: { updatedAt: new Date() } });
  head.open();
  for await (const _ of first);

  const second = await start('second');
  await middle.reached;
  await second.next();
  expect({ open: open(), busy: await busy() }).toEqual({ open: 0, busy: 0 });
  middle.open();
  for await (const _ of second);
  await host.close();
  // Transactions would have been counted.
  await host.db.$transaction((tx) => tx.run.count());
  expect(statements.filter(({ sql }) => sql === 'BEGIN').length).toBeGreaterThan(0);
});
