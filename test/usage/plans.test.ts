import { expect, test } from 'vitest';
import { type Database, openDatabase } from '../../src/database/client.ts';
import type { Statement } from '../../src/database/statements.ts';
import { readRunSpans } from '../../src/runs/read/run-spans.ts';
import { listTenantRuns, type TenantRunListArgs } from '../../src/runs/read/tenant-runs.ts';
import { readTenantUsage, type TenantUsageArgs } from '../../src/runs/read/tenant-usage.ts';
import { openGraph } from '../support/app.ts';
import { explainReads } from '../support/database/plans.ts';

/** Tenants, the users of each, and the runs of each user: a model call and a run in each hour. */
const [tenants, users, hours] = [6, 10, 80];

async function fill(db: Database) {
  await db.$executeRaw`
    INSERT INTO tenants (id) SELECT 'filled-' || t FROM generate_series(1, ${tenants}::int) AS t ON CONFLICT DO NOTHING`;
  await db.$executeRaw`
    INSERT INTO users (tenant_id, id)
    SELECT 'filled-' || t, 'user-' || u FROM generate_series(1, ${tenants}::int) AS t, generate_series(1, ${users}::int) AS u`;
  await db.$executeRaw`
    INSERT INTO agents (id, tenant_id, name, instructions, updated_at)
    SELECT overlay(md5(t || '-agent-' || a) PLACING '4111a' FROM 13)::uuid, 'filled-' || t, 'agent ' || a, 'Answer.', now()
    FROM generate_series(1, ${tenants}::int) AS t, generate_series(0, 4) AS a`;
  await db.$executeRaw`
    INSERT INTO conversations (id, tenant_id, user_id, title, follows_default, updated_at)
    SELECT overlay(md5(t || '-' || u) PLACING '4111a' FROM 13)::uuid, 'filled-' || t, 'user-' || u, 'x', true, now()
    FROM generate_series(1, ${tenants}::int) AS t, generate_series(1, ${users}::int) AS u`;
  await db.$executeRaw`
    INSERT INTO messages (id, tenant_id, conversation_id, position, role, content)
    SELECT overlay(md5(t || '-m-' || u) PLACING '4111a' FROM 13)::uuid, 'filled-' || t,
      overlay(md5(t || '-' || u) PLACING '4111a' FROM 13)::uuid, 1, 'USER', 'x'
    FROM generate_series(1, ${tenants}::int) AS t, generate_series(1, ${users}::int) AS u`;
  await db.$executeRaw`
    INSERT INTO runs (id, tenant_id, user_id, conversation_id, number, status, idempotency_key, payload_hash, input,
      user_message_id, agent_id, is_current, created_at)
    SELECT overlay(md5(t || '-' || u || '-' || h) PLACING '4111a' FROM 13)::uuid, 'filled-' || t, 'user-' || u,
      overlay(md5(t || '-' || u) PLACING '4111a' FROM 13)::uuid, h,
      (CASE WHEN h % 50 = 0 THEN 'FAILED' ELSE 'COMPLETED' END)::"RunStatus", 'key-' || h, '', '{}',
      overlay(md5(t || '-m-' || u) PLACING '4111a' FROM 13)::uuid,
      overlay(md5(t || '-agent-' || h % 5) PLACING '4111a' FROM 13)::uuid, h = 1,
      '2026-03-01T00:00:00Z'::timestamptz + make_interval(hours => h)
    FROM generate_series(1, ${tenants}::int) AS t, generate_series(1, ${users}::int) AS u, generate_series(1, ${hours}::int) AS h`;
  await db.$executeRaw`
    INSERT INTO model_calls (id, tenant_id, user_id, run_id, agent_id, step, model, input_tokens, complete, duration_ms, created_at)
    SELECT overlay(md5('call' || id) PLACING '4111a' FROM 13)::uuid, tenant_id, user_id, id, agent_id, 0, 'm', 10, true, 5, created_at
    FROM runs`;
  await db.$executeRawUnsafe('VACUUM (ANALYZE) runs');
  await db.$executeRawUnsafe('VACUUM (ANALYZE) model_calls');
}

test('Usage and runs of a tenant are read by their indexes: of the range and the filters that are asked for', async () => {
  await using graph = await openGraph();
  await fill(graph.db);
  const statements: Statement[] = [];
  const onQuery = (statement: Statement) => void statements.push(statement);
  await using watched = openDatabase({ url: graph.databaseUrl, poolSize: 2, onQuery });
  const { db } = watched;
  const viewer = await graph.viewer('ada', 'filled-3', ['admin']);
  const agent = await graph.db.agent.findFirstOrThrow({ where: { tenantId: 'filled-3', name: 'agent 2' } });
  const agentId = `agt_${agent.id}`;

  /** @returns the indexes that the statements of some work use */
  const explain = async (what: string, work: () => Promise<unknown>) => {
    statements.length = 0;
    await work();
    const indexes: string[] = [];
    for (const statement of [...statements]) {
      const reads = await explainReads(watched, statement);
      expect(reads.scanned, `${what}: ${statement.sql}`).toEqual([]);
      indexes.push(...reads.indexes);
    }
    return indexes;
  };
  const day = { from: new Date('2026-03-02T00:00:00Z'), to: new Date('2026-03-03T00:00:00Z') };
  const usage = (args: Partial<TenantUsageArgs>) => readTenantUsage(viewer, db, { ...day, by: ['DAY'], ...args });
  expect(await explain('a day', () => usage({}))).toEqual(['model_calls_tenant_id_created_at_idx']);
  expect(
    await explain('a day by all', () => usage({ by: ['DAY', 'AGENT', 'USER', 'MODEL'], orderBy: 'TOKENS' })),
  ).toEqual(['model_calls_tenant_id_created_at_idx']);
  expect(await explain('a user', () => usage({ userId: 'user-4' }))).toEqual([
    'model_calls_tenant_id_user_id_created_at_idx',
  ]);
  expect((await usage({})).totals).toMatchObject({ modelCalls: users * 24, inputTokens: users * 240 });

  const runs = (args: TenantRunListArgs) => listTenantRuns(viewer, db, { first: 20, ...args });
  const { pageInfo } = await runs({});
  const after = pageInfo.endCursor;
  const lists: [string, TenantRunListArgs, string][] = [
    ['all', {}, 'runs_tenant_id_created_at_id_idx'],
    ['the next page', { after }, 'runs_tenant_id_created_at_id_idx'],
    ['the last page', { first: null, last: 20 }, 'runs_tenant_id_created_at_id_idx'],
    ['a day', day, 'runs_tenant_id_created_at_id_idx'],
    ['failed ones', { status: ['FAILED'] }, 'runs_tenant_id_status_created_at_id_idx'],
    ['failed ones, on', { status: ['FAILED', 'CANCELLED'], after }, 'runs_tenant_id_status_created_at_id_idx'],
    ['of an agent', { agentId }, 'runs_tenant_id_agent_id_status_created_at_id_idx'],
    ['of an agent, on', { agentId, after }, 'runs_tenant_id_agent_id_status_created_at_id_idx'],
    ['of a user', { userId: 'user-4' }, 'runs_tenant_id_user_id_status_created_at_id_idx'],
    ['failed ones of an agent', { agentId, status: ['FAILED'] }, 'runs_tenant_id_agent_id_status_created_at_id_idx'],
    [
      'failed ones of a user',
      { userId: 'user-4', status: ['FAILED'] },
      'runs_tenant_id_user_id_status_created_at_id_idx',
    ],
    ['of an agent and a user', { agentId, userId: 'user-4' }, 'runs_tenant_id_user_id_status_created_at_id_idx'],
    [
      'failed ones of both, on a day',
      { agentId, userId: 'user-4', status: ['FAILED'], ...day },
      'runs_tenant_id_user_id_status_created_at_id_idx',
    ],
  ];
  for (const [what, args, index] of lists) {
    const used = await explain(what, () => runs(args));
    // No other of the tenant's: what that finds may be all its runs. One by the state alone finds nothing if nobody has it.
    expect(
      [...new Set(used)].filter((name) => name.startsWith('runs_tenant_id_')),
      what,
    ).toEqual([index]);
    await explain(`the count of ${what}`, async () => (await runs(args)).totalCount());
  }
  const { edges } = await runs({});
  await explain('spans', () =>
    readRunSpans(
      viewer,
      db,
      edges.map(({ node }) => node.id),
    ),
  );
});
