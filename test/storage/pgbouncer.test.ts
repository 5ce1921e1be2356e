import { describe, expect, test } from 'vitest';
import { readEnv } from '../../src/config/env.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { findProgram } from '../support/proxies/find-program.ts';
import { startPgBouncer } from '../support/proxies/pgbouncer.ts';

// The embedded database has no other instance, and nothing in front of it.
describe.runIf(process.env.TEST_DATABASE_URL)('instances behind PgBouncer in transaction mode', () => {
  test('A change of the configuration on one instance is seen by the next turn on another', async () => {
    await using database = await createTestDatabase();
    await using pooler = await startPgBouncer(database.url);
    const options = { databaseUrl: pooler.url, env: { DATABASE_DIRECT_URL: database.url } };
    await using one = await startTestApp(options);
    await using other = await startTestApp(options);
    const alice = await openSocketClient(one, 'alice');
    const agentId = await alice.createAgent({ name: 'changing', instructions: 'Version 0.' });
    const elsewhere = await openSocketClient(other, 'alice');
    const conversationId = await elsewhere.createConversation({ agentId });

    const instructionsOfTurn = async () => {
      other.model.add({ text: 'Yes.' });
      await elsewhere.chatTurn('ws', { conversationId }).rest();
      return other.model.requests.at(-1)?.instructions;
    };
    expect(await instructionsOfTurn()).toBe('Version 0.');
    for (let version = 1; version <= 3; version++) {
      const input = { instructions: `Version ${version}.` };
      await alice.ask('mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }', {
        id: agentId,
        input,
      });
      // Without notices, it would be seen after half a minute.
      await expect.poll(instructionsOfTurn, { timeout: 15_000 }).toBe(input.instructions);
    }
  });

  test('Simultaneous turns on two instances share the connections of the pooler', async () => {
    await using database = await createTestDatabase();
    await using pooler = await startPgBouncer(database.url);
    const options = { databaseUrl: pooler.url, env: { DATABASE_DIRECT_URL: database.url } };
    await using one = await startTestApp(options);
    await using other = await startTestApp(options);
    const takeTurns = async (app: TestApp) => {
      const client = await openSocketClient(app, 'alice');
      const ends = await Promise.all(
        Array.from({ length: 12 }, async () => {
          app.model.add({ calls: [{ id: '', name: 'current_time', arguments: {} }] }, { text: 'It is late.' });
          const conversationId = await client.createConversation();
          return (await client.chatTurn('ws', { conversationId }).rest()).at(-1)?.__typename;
        }),
      );
      expect(new Set(ends)).toEqual(new Set(['RunCompleted']));
    };
    await Promise.all([takeTurns(one), takeTurns(other)]);
  });

  test('Without DATABASE_DIRECT_URL, the start fails and says that it is needed', async () => {
    await using database = await createTestDatabase();
    await using pooler = await startPgBouncer(database.url);
    await expect(startTestApp({ databaseUrl: pooler.url })).rejects.toThrow(/set DATABASE_DIRECT_URL/);
  });

  test.runIf(findProgram('pgbouncer'))(
    'A pooler that ignores the settings of a session is found by the sessions that connections share',
    async () => {
      await using database = await createTestDatabase();
      const ignored = 'statement_timeout,idle_in_transaction_session_timeout,options';
      await using pooler = await startPgBouncer(database.url, [`ignore_startup_parameters = ${ignored}`]);
      await expect(startTestApp({ databaseUrl: pooler.url })).rejects.toThrow(/set DATABASE_DIRECT_URL/);
      await using _app = await startTestApp({
        databaseUrl: pooler.url,
        env: { DATABASE_DIRECT_URL: database.url },
      });
    },
  );

  test('If DATABASE_DIRECT_URL leads nowhere, the start fails and names it', async () => {
    await using database = await createTestDatabase();
    const env = { DATABASE_DIRECT_URL: 'postgresql://nobody@127.0.0.1:1/none' };
    await expect(startTestApp({ databaseUrl: database.url, env })).rejects.toThrow(
      /DATABASE_DIRECT_URL cannot be used/,
    );
  });
});

test('DATABASE_DIRECT_URL alone is refused: the embedded database has no pooler in front of it', () => {
  expect(() => readEnv({ DATABASE_DIRECT_URL: 'postgresql://switchboard@db:5432/switchboard' })).toThrow(
    'DATABASE_URL is missing: DATABASE_DIRECT_URL means nothing without one',
  );
});
