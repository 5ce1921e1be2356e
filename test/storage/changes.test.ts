import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { configurationChannel, listenForChanges } from '../../src/database/changes.ts';
import { createTestDatabase } from '../support/database/database.ts';

// The embedded database delivers no notices: nobody else is on it.
describe.runIf(process.env.TEST_DATABASE_URL)('listenForChanges', () => {
  async function listen() {
    const stack = new AsyncDisposableStack();
    const { url } = stack.use(await createTestDatabase());
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    stack.defer(() => client.end());
    const heard: string[] = [];
    const listener = stack.use(
      await listenForChanges(url, {
        notices: { [configurationChannel]: (tenantId) => heard.push(tenantId) },
        gap: () => heard.push('gap'),
        error: () => heard.push('lost'),
      }),
    );
    /** What was heard since the last time. Notices come in the order of their commits: after the mark there are none. */
    const hear = async () => {
      await client.query(`NOTIFY switchboard_configuration, 'mark'`);
      await expect.poll(() => heard).toContain('mark');
      return heard.splice(0).filter((entry) => entry !== 'mark');
    };
    return { client, heard, hear, listener, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }

  test('A change of what turns are compiled from is heard, with the tenant, once a transaction', async () => {
    await using database = await listen();
    const { client, hear } = database;
    await client.query(`INSERT INTO tenants (id) VALUES ('acme'), ('other')`);
    await hear();
    const agent = (n: number, tenant: string) =>
      `INSERT INTO agents (id, tenant_id, name, instructions) VALUES ('00000000-0000-0000-0000-00000000000${n}', '${tenant}', 'a${n}', '')`;
    await client.query(`BEGIN; ${agent(1, 'acme')}; ${agent(2, 'acme')}; COMMIT`);
    expect(await hear()).toEqual(['acme']);
    await client.query(agent(3, 'other'));
    expect(await hear()).toEqual(['other']);
    const scenario = '00000000-0000-0000-0000-000000000009';
    const member = (n: number) =>
      `INSERT INTO scenario_agents VALUES ('acme', '${scenario}', '00000000-0000-0000-0000-00000000000${n}', ${n === 1}, ${n})`;
    await client.query(`INSERT INTO scenarios (id, tenant_id, key, name) VALUES ('${scenario}', 'acme', 'k', 'k')`);
    expect(await hear()).toEqual(['acme']);
    await client.query(member(1));
    await client.query(member(2));
    expect(await hear()).toEqual(['acme', 'acme']);
    await client.query(
      `INSERT INTO handoff_edges SELECT '${scenario}', a.agent_id, b.agent_id, NULL, 0
       FROM scenario_agents a, scenario_agents b WHERE a.agent_id < b.agent_id`,
    );
    expect(await hear()).toEqual(['acme']);
    await client.query('DELETE FROM handoff_edges');
    expect(await hear()).toEqual(['acme']);
    // What turns are not compiled from is not announced.
    await client.query(`INSERT INTO users (tenant_id, id) VALUES ('acme', 'u')`);
    expect(await hear()).toEqual([]);
    await client.query(`UPDATE agents SET name = 'b' WHERE tenant_id = 'other'`);
    expect(await hear()).toEqual(['other']);
  });

  test('A connection that was lost is made again, and what was missed is known to be missed', async () => {
    await using database = await listen();
    const { client, heard } = database;
    await client.query(`INSERT INTO tenants (id) VALUES ('acme')`);
    heard.length = 0;
    await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()`,
    );
    await expect.poll(() => heard).toEqual(['gap', 'lost', 'gap']);
    await client.query(
      `INSERT INTO agents (id, tenant_id, name, instructions) VALUES (gen_random_uuid(), 'acme', 'a', '')`,
    );
    await expect.poll(() => heard).toEqual(['gap', 'lost', 'gap', 'acme']);
  });

  test('A listener that has stopped is gone, and does not come back', async () => {
    await using database = await listen();
    const { client, heard, listener } = database;
    await listener.close();
    const countListeners = async () => {
      const { rows } = await client.query<{ count: string }>(
        `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
      );
      return rows[0]?.count;
    };
    await expect.poll(countListeners).toBe('0');
    expect(heard).toEqual(['gap']);
  });
});

test('A database that cannot be reached is reported', async () => {
  const on = { notices: {}, gap: () => {}, error: () => {} };
  await expect(listenForChanges('postgresql://nobody@127.0.0.1:1/none', on)).rejects.toThrow();
});
