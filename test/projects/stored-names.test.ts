import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import { migrationsFolder } from '../../src/database/migrate.ts';
import { createTestDatabase } from '../support/database/database.ts';

const migration = join(migrationsFolder, '20261128200100_project_references', 'migration.sql');

/** The tables as they were before: a name in place of each reference. */
const before = `
  ALTER TABLE agents DROP COLUMN project_id;
  CREATE UNIQUE INDEX agents_shared_name_per_tenant ON agents (tenant_id, name)
    WHERE owner_id IS NULL AND deleted_at IS NULL;
  DROP TRIGGER conversations_feed_update ON conversations;
  ALTER TABLE conversations DROP COLUMN project_id, ADD COLUMN project_id TEXT;
  ALTER TABLE scenarios DROP COLUMN project_id, ADD COLUMN project_id TEXT;
  CREATE UNIQUE INDEX scenarios_tenant_id_project_id_key_key ON scenarios (tenant_id, project_id, key);
  ALTER TABLE scenarios ADD CONSTRAINT scenarios_project_id_length CHECK (char_length(project_id) BETWEEN 1 AND 255);
  CREATE UNIQUE INDEX scenarios_key_of_all_projects ON scenarios (tenant_id, key) WHERE project_id IS NULL;
  CREATE CONSTRAINT TRIGGER conversations_feed_update AFTER UPDATE ON conversations
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.title, OLD.scenario_id, OLD.project_id, OLD.follows_default, OLD.active_agent_id)
        IS DISTINCT FROM (NEW.title, NEW.scenario_id, NEW.project_id, NEW.follows_default, NEW.active_agent_id))
    EXECUTE FUNCTION feed_conversation();`;

const long = 'n'.repeat(300);
const twin = `${'n'.repeat(299)}m`;
const odd = [
  'Web Shop',
  ' web-shop',
  'web-shop',
  'WEB-SHOP',
  'prj_1',
  `'; DROP TABLE projects; --`,
  'é',
  'e\u0301',
  '🏬',
];

test('The names that conversations and scenarios have stored become projects, whatever characters they have', async () => {
  await using database = await createTestDatabase();
  const client = new pg.Client(database.url);
  await client.connect();
  try {
    await client.query(before);
    await client.query(`INSERT INTO tenants (id) VALUES ('one'), ('two');
      INSERT INTO users (tenant_id, id) VALUES ('one', 'alice'), ('one', 'bob'), ('two', 'alice');`);
    const add = (tenant: string, user: string, name: string | null) =>
      client.query(
        `INSERT INTO conversations (id, tenant_id, user_id, title, project_id) VALUES (gen_random_uuid(), $1, $2, 'T', $3)`,
        [tenant, user, name],
      );
    for (const name of [...odd, long, twin, '', null]) await add('one', 'alice', name);
    await add('one', 'bob', 'web-shop');
    await add('one', 'bob', 'web-shop');
    await add('two', 'alice', 'web-shop');
    await client.query(`INSERT INTO scenarios (id, tenant_id, key, name, updated_at, project_id) VALUES
      (gen_random_uuid(), 'one', 'k', 'n', now(), 'web-shop'), (gen_random_uuid(), 'one', 'k', 'n', now(), 'alone'),
      (gen_random_uuid(), 'one', 'k', 'n', now(), NULL)`);
    const events = await client.query('SELECT count(*) FROM feed_events');
    const updated = await client.query('SELECT id, updated_at FROM conversations ORDER BY id');

    await client.query(`BEGIN; ${await readFile(migration, 'utf8')}; COMMIT;`);

    // Nobody's list is told of it, or changes its order.
    expect((await client.query('SELECT count(*) FROM feed_events')).rows).toEqual(events.rows);
    expect((await client.query('SELECT id, updated_at FROM conversations ORDER BY id')).rows).toEqual(updated.rows);
    const projects = await client.query<{ tenant: string; key: string; name: string; members: string | null }>(
      `SELECT p.tenant_id AS tenant, p.key, p.name,
         string_agg(m.user_id || ' ' || m.role, ', ' ORDER BY m.user_id) AS members
       FROM projects AS p LEFT JOIN project_members AS m ON m.project_id = p.id GROUP BY p.id`,
    );
    const found = new Map(projects.rows.map(({ tenant, key, members }) => [`${tenant} ${key}`, members]));
    expect(projects.rows.every(({ key, name }) => key === name)).toBe(true);
    const expected = new Map<string, string | null>([
      ...odd.map((name): [string, string] => [`one ${name}`, 'alice EDITOR']),
      ['one web-shop', 'alice EDITOR, bob EDITOR'],
      ['two web-shop', 'alice EDITOR'],
      ['one alone', null],
    ]);
    const shortened = [...found].filter(([name]) => !expected.has(name));
    expect(shortened.map(([, members]) => members)).toEqual(['alice EDITOR', 'alice EDITOR']);
    for (const [name] of shortened) expect(name).toMatch(/^one n{222}-[0-9a-f]{32}$/);
    expect(found.size).toBe(expected.size + 2);
    for (const [name, members] of expected) expect([name, found.get(name)]).toEqual([name, members]);

    const rows = await client.query<{ tenant: string; key: string | null; count: string }>(
      `SELECT c.tenant_id AS tenant, p.key, count(*) FROM conversations AS c
       LEFT JOIN projects AS p ON p.id = c.project_id AND p.tenant_id = c.tenant_id GROUP BY 1, 2`,
    );
    const counts = new Map(rows.rows.map(({ tenant, key, count }) => [`${tenant} ${key}`, Number(count)]));
    expect(counts.get('one null')).toBe(2);
    expect(counts.get('one web-shop')).toBe(3);
    expect(counts.get('two web-shop')).toBe(1);
    expect(counts.get('one Web Shop')).toBe(1);
    const scenarios = await client.query(
      'SELECT p.key FROM scenarios AS s LEFT JOIN projects AS p ON p.id = s.project_id ORDER BY 1',
    );
    expect(scenarios.rows).toEqual([{ key: 'alone' }, { key: 'web-shop' }, { key: null }]);

    // A reference cannot point across, and the feed tells of changes again.
    await expect(
      client.query(`UPDATE conversations SET project_id = (SELECT id FROM projects WHERE tenant_id = 'two')
        WHERE tenant_id = 'one'`),
    ).rejects.toThrow(/conversations_tenant_id_project_id_fkey/);
    await client.query(`UPDATE conversations SET title = 'Other' WHERE tenant_id = 'two'`);
    const after = await client.query('SELECT count(*) FROM feed_events');
    expect(Number(after.rows[0].count)).toBe(Number(events.rows[0].count) + 1);
  } finally {
    await client.end();
  }
});
