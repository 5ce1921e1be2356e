import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { applyMigrations, MigrationError, migrationsFolder, pendingMigrations } from '../../src/database/migrate.ts';
import { readSnapshot } from '../../src/scenarios/snapshot.ts';
import { createTestDatabase, type TestDatabase } from '../support/database/database.ts';

describe('applyMigrations', () => {
  test('applyMigrations finds nothing to do in a migrated database', async () => {
    await using database = await createTestDatabase();
    expect(await applyMigrations(database.url)).toEqual([]);
    expect(await pendingMigrations(database.url)).toEqual([]);
  });

  test('applyMigrations applies what is new, once, and says beforehand what it would be', async () => {
    await using database = await createTestDatabase();
    await using folder = await copyMigrations();
    await folder.add(
      '20990101000000_one',
      "CREATE TABLE one (a TEXT DEFAULT 'x;y');\nINSERT INTO one VALUES (DEFAULT);",
    );
    await folder.add('20990101000001_two', 'CREATE TABLE two (a INT);');

    expect(await pendingMigrations(database.url, folder.path)).toEqual(['20990101000000_one', '20990101000001_two']);
    expect(await applyMigrations(database.url, folder.path)).toEqual(['20990101000000_one', '20990101000001_two']);
    expect(await applyMigrations(database.url, folder.path)).toEqual([]);
    expect(await query(database.url, 'SELECT a FROM one')).toEqual([{ a: 'x;y' }]);
  });

  test('Two processes that migrate at the same time do not disturb each other', async () => {
    await using database = await createTestDatabase();
    await using folder = await copyMigrations();
    await folder.add('20990101000000_one', 'CREATE TABLE one (a INT);');
    // One database behind a single session has no second one to wait: there the calls are made one after the other.
    const results =
      process.env.TEST_DATABASE_URL === undefined
        ? [await applyMigrations(database.url, folder.path), await applyMigrations(database.url, folder.path)]
        : await Promise.all([1, 2, 3].map(() => applyMigrations(database.url, folder.path)));
    expect(results.flat()).toEqual(['20990101000000_one']);
  });

  test('A migration that fails leaves nothing of itself, keeps those before it, and is tried again', async () => {
    await using database = await createTestDatabase();
    await using folder = await copyMigrations();
    await folder.add('20990101000000_one', 'CREATE TABLE one (a INT);');
    await folder.add('20990101000001_two', 'CREATE TABLE two (a INT); SELECT 1/0;');

    await expect(applyMigrations(database.url, folder.path)).rejects.toThrow(
      /^The migration 20990101000001_two failed and was rolled back: division by zero$/,
    );
    expect(await query(database.url, "SELECT to_regclass('one')::text a, to_regclass('two')::text b")).toEqual([
      { a: 'one', b: null },
    ]);
    expect(await pendingMigrations(database.url, folder.path)).toEqual(['20990101000001_two']);

    await folder.add('20990101000001_two', 'CREATE TABLE two (a INT);');
    expect(await applyMigrations(database.url, folder.path)).toEqual(['20990101000001_two']);
  });

  test('A migration that was edited is refused by name', async () => {
    await using database = await createTestDatabase();
    await using folder = await copyMigrations();
    await folder.add('20990101000000_one', 'CREATE TABLE one (a INT);');
    await applyMigrations(database.url, folder.path);
    await folder.add('20990101000000_one', 'CREATE TABLE one (a TEXT);');

    await expect(applyMigrations(database.url, folder.path)).rejects.toThrow(MigrationError);
    await expect(pendingMigrations(database.url, folder.path)).rejects.toThrow(
      /20990101000000_one was edited after it had been applied/,
    );
  });

  test('Line ends of another platform are not an edit of a migration', async () => {
    await using database = await createTestDatabase();
    await using folder = await copyMigrations();
    await folder.add('20990101000000_one', 'CREATE TABLE one (\n  a INT\n);\n');
    await applyMigrations(database.url, folder.path);
    await folder.add('20990101000000_one', 'CREATE TABLE one (\r\n  a INT\r\n);\r\n');
    expect(await pendingMigrations(database.url, folder.path)).toEqual([]);
  });

  test('A database that is ahead of the folder is refused', async () => {
    await using database = await createTestDatabase();
    await using folder = await copyMigrations();
    await folder.add('20990101000000_one', 'CREATE TABLE one (a INT);');
    await applyMigrations(database.url, folder.path);
    await expect(pendingMigrations(database.url)).rejects.toThrow(/20990101000000_one, which is not in the migrations/);
  });

  test('A migration that prisma left as failed is refused, and accepted once it is marked as rolled back', async () => {
    await using database = await createTestDatabase();
    await query(database.url, 'UPDATE _prisma_migrations SET finished_at = NULL');
    await expect(applyMigrations(database.url)).rejects.toThrow(/had failed before/);
    await query(database.url, 'UPDATE _prisma_migrations SET rolled_back_at = now()');
    expect(await pendingMigrations(database.url)).toContain('20261121000000_init');
  });
});

test('Guardrails of earlier versions, which were any JSON, are kept aside, and what is empty is no guardrail', async () => {
  await using database = await createTestDatabase();
  const migration = (await readdir(migrationsFolder)).find((name) => name.endsWith('_typed_guardrails')) ?? '';
  const sql = await readFile(join(migrationsFolder, migration, 'migration.sql'), 'utf8');
  // The database as it was before.
  await query(
    database.url,
    `DROP TABLE guardrail_results; DROP TYPE "GuardrailStage" CASCADE;
     ALTER TABLE agents DROP COLUMN bytes, DROP COLUMN guardrails;
     ALTER TABLE agents ADD COLUMN bytes INTEGER NOT NULL GENERATED ALWAYS AS (octet_length(instructions)) STORED;
     ALTER TABLE scenarios DROP CONSTRAINT scenarios_guardrails_list, DROP COLUMN unread_guardrails,
       ALTER COLUMN guardrails SET DEFAULT '{}';
     INSERT INTO tenants (id) VALUES ('t');
     INSERT INTO scenarios (id, tenant_id, key, name, updated_at, guardrails) VALUES
       (gen_random_uuid(), 't', 'empty', 'n', now(), '{}'), (gen_random_uuid(), 't', 'other', 'n', now(), '{"a": [1]}');`,
  );
  await query(database.url, `BEGIN; ${sql}; COMMIT;`);
  expect(await query(database.url, 'SELECT key, guardrails, unread_guardrails FROM scenarios ORDER BY key')).toEqual([
    { key: 'empty', guardrails: [], unread_guardrails: null },
    { key: 'other', guardrails: [], unread_guardrails: { a: [1] } },
  ]);
});

test('The room that attachments take is counted from those that are there already', async () => {
  await using database = await createTestDatabase();
  const migration = (await readdir(migrationsFolder)).find((name) => name.endsWith('_room_of_attachments')) ?? '';
  const sql = await readFile(join(migrationsFolder, migration, 'migration.sql'), 'utf8');
  const insert = (user: string, size: number) =>
    `INSERT INTO attachments (id, tenant_id, user_id, name, media_type, kind, size, expires_at)
       VALUES (gen_random_uuid(), 't', '${user}', 'n', 'text/plain', 'TEXT', ${size}, now());`;
  // The database as it was before.
  await query(
    database.url,
    `DROP TABLE attachment_user_bytes, attachment_tenant_bytes; DROP INDEX attachments_waiting;
     DROP FUNCTION count_attachment_bytes CASCADE; DROP FUNCTION uncount_attachment_bytes CASCADE;
     INSERT INTO tenants (id) VALUES ('t');
     INSERT INTO users (tenant_id, id) VALUES ('t', 'a'), ('t', 'b');
     ${insert('a', 10)} ${insert('a', 5)} ${insert('b', 3)}`,
  );
  await query(database.url, `BEGIN; ${sql}; COMMIT;`);
  const counted = `SELECT user_id, bytes::int FROM attachment_user_bytes
    UNION ALL SELECT tenant_id, bytes::int FROM attachment_tenant_bytes ORDER BY 1`;
  expect(await query(database.url, counted)).toEqual([
    { user_id: 'a', bytes: 15 },
    { user_id: 'b', bytes: 3 },
    { user_id: 't', bytes: 18 },
  ]);
  await query(database.url, `${insert('b', 4)} DELETE FROM attachments WHERE size = 10`);
  expect(await query(database.url, counted)).toEqual([
    { user_id: 'a', bytes: 5 },
    { user_id: 'b', bytes: 7 },
    { user_id: 't', bytes: 12 },
  ]);
});

test('Scenarios that are there already begin their versions with the present one, which nobody is said to have made', async () => {
  await using database = await createTestDatabase();
  const migration = (await readdir(migrationsFolder)).find((name) => name.endsWith('_scenario_versions')) ?? '';
  const sql = await readFile(join(migrationsFolder, migration, 'migration.sql'), 'utf8');
  const id = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
  // The database as it was before.
  await query(
    database.url,
    `DROP TABLE scenario_versions;
     INSERT INTO tenants (id) VALUES ('t');
     INSERT INTO agents (id, tenant_id, name, instructions) VALUES ('${id(1)}', 't', 'a', ''), ('${id(2)}', 't', 'b', '');
     INSERT INTO scenarios (id, tenant_id, key, name, version, updated_at) VALUES
       ('${id(3)}', 't', 'k', 'n', 7, '2026-01-02T03:04:05Z'), ('${id(4)}', 't', 'empty', 'n', 1, now());
     INSERT INTO scenario_agents (tenant_id, scenario_id, agent_id, is_root, position) VALUES
       ('t', '${id(3)}', '${id(2)}', true, 0), ('t', '${id(3)}', '${id(1)}', false, 1);
     INSERT INTO handoff_edges (scenario_id, from_agent_id, to_agent_id, description, position) VALUES
       ('${id(3)}', '${id(2)}', '${id(1)}', 'When?', 0);`,
  );
  await query(database.url, `BEGIN; ${sql}; COMMIT;`);
  const read = `SELECT version, snapshot, changed_by, created_at FROM scenario_versions ORDER BY version DESC`;
  const rows = z
    .array(z.object({ version: z.number(), snapshot: z.unknown(), changed_by: z.null(), created_at: z.date() }))
    .parse(await query(database.url, read));
  expect(rows.map(({ version }) => version)).toEqual([7, 1]);
  expect(rows[0]?.created_at.toISOString()).toBe('2026-01-02T03:04:05.000Z');
  const [first, empty] = rows.map((row) => readSnapshot(row));
  expect(first).toEqual({
    key: 'k',
    name: 'n',
    description: null,
    projectId: null,
    isActive: true,
    guardrails: [],
    orchestration: { mode: 'OFF', classifierAgentId: null, threshold: 0.6, instructions: null },
    members: [
      { agentId: id(2), isRoot: true, handoffs: [{ toAgentId: id(1), description: 'When?' }] },
      { agentId: id(1), isRoot: false, handoffs: [] },
    ],
  });
  expect(empty?.members).toEqual([]);
});

describe('the constraints that are written by hand', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  // Nothing stays, so that all of them can have the same database.
  const tryOut = (sql: string) => query(database.url, `BEGIN; ${sql}; ROLLBACK`);
  const tenant = "INSERT INTO tenants (id) VALUES ('t'); INSERT INTO users (tenant_id, id) VALUES ('t', 'u');";
  const id = (n: number) => `'00000000-0000-7000-8000-${String(n).padStart(12, '0')}'`;
  const agent = (n: number, name: string, rest = 'false, NULL, NULL') =>
    `INSERT INTO agents (id, tenant_id, name, instructions, is_default, owner_id, deleted_at)
     VALUES (${id(n)}, 't', '${name}', '', ${rest});`;
  const conversation = `INSERT INTO conversations (id, tenant_id, user_id, title) VALUES (${id(1)}, 't', 'u', 'A title');`;
  const run = (n: number, status: string) =>
    `INSERT INTO messages (id, tenant_id, conversation_id, position, role, content)
     VALUES (${id(100 + n)}, 't', ${id(1)}, ${n}, 'USER', 'hello');
     INSERT INTO runs (id, tenant_id, conversation_id, user_id, number, status, idempotency_key, payload_hash, input, user_message_id)
     VALUES (${id(n)}, 't', ${id(1)}, 'u', ${n}, '${status}', 'k${n}', '', '{}', ${id(100 + n)});`;
  const settings = (temperature: number, maxTokens: number) =>
    `INSERT INTO chat_settings (id, tenant_id, user_id, temperature, max_tokens)
     VALUES (${id(1)}, 't', 'u', ${temperature}, ${maxTokens});`;

  test.each([
    ['runs_one_active_per_conversation', conversation + run(1, 'RUNNING') + run(2, 'RUNNING')],
    ['agents_one_default_per_owner', agent(1, 'a', "true, 'u', NULL") + agent(2, 'b', "true, 'u', NULL")],
    ['agents_one_shared_default_per_tenant', agent(1, 'a', 'true, NULL, NULL') + agent(2, 'b', 'true, NULL, NULL')],
    ['agents_shared_name_per_tenant', agent(1, 'a') + agent(2, 'a')],
    ['agents_name_length', agent(1, 'a'.repeat(256))],
    ['chat_settings_temperature_range', settings(2.01, 1)],
    ['chat_settings_temperature_range', settings(-0.01, 1)],
    ['chat_settings_max_tokens_range', settings(1, 0)],
    ['chat_settings_max_tokens_range', settings(1, 32_001)],
    ['conversations_title_length', conversation.replace('A title', '')],
    ['conversations_title_length', conversation.replace('A title', 'ä'.repeat(201))],
    ['conversations_message_count_not_negative', `${conversation} UPDATE conversations SET message_count = -1`],
    ['messages_position_positive', conversation + run(1, 'QUEUED').replace(', 1, ', ', 0, ')],
    ['runs_last_seq_not_negative', `${conversation + run(1, 'QUEUED')} UPDATE runs SET last_seq = -1`],
    [
      'scenario_agents_one_root_per_scenario',
      `${agent(1, 'a') + agent(2, 'b')}
       INSERT INTO scenarios (id, tenant_id, key, name) VALUES (${id(1)}, 't', 'k', 'n');
       INSERT INTO scenario_agents (tenant_id, scenario_id, agent_id, is_root, position)
       VALUES ('t', ${id(1)}, ${id(1)}, true, 0), ('t', ${id(1)}, ${id(2)}, true, 1);`,
    ],
  ])('The constraint %s refuses wrong rows', async (constraint, sql) => {
    await expect(tryOut(tenant + sql)).rejects.toMatchObject({ constraint });
  });

  test('The constraints accept rows at the limits', async () => {
    await tryOut(
      tenant +
        conversation.replace('A title', '😀'.repeat(200)) +
        run(1, 'COMPLETED') +
        run(2, 'RUNNING') +
        run(3, 'QUEUED') +
        settings(2, 32_000) +
        agent(1, 'a', "true, 'u', NULL") +
        agent(2, 'a', 'true, NULL, NULL') +
        agent(3, 'a', 'true, NULL, now()'),
    );
  });
});

async function query(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function copyMigrations() {
  const path = await mkdtemp(join(tmpdir(), 'switchboard-migrations-'));
  await cp(migrationsFolder, path, { recursive: true });
  return {
    path,
    async add(name: string, sql: string) {
      await mkdir(join(path, name), { recursive: true });
      await writeFile(join(path, name, 'migration.sql'), sql);
      expect(await readFile(join(path, name, 'migration.sql'), 'utf8')).toBe(sql);
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
