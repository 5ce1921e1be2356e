import { afterAll, beforeAll, expect, test } from 'vitest';
import { RateLimitedError } from '../../src/api/errors.ts';
import { readTenantUsage } from '../../src/runs/read/tenant-usage.ts';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

let graph: Graph;
let admin: TestViewer;
let user: TestViewer;
let stranger: TestViewer;
/** Row ids: a shared agent, and alice's own. */
let [shared, own] = ['', ''];

const counts = 'inputTokens outputTokens totalTokens cachedInputTokens reasoningTokens modelCalls unreportedCalls';
const asked = `query ($from: DateTime!, $to: DateTime, $by: [UsageDimension!]!, $zone: String, $order: UsageOrder, $agentId: ID,
  $userId: String, $first: Int, $after: String, $last: Int, $before: String) {
  it: tenantUsage(from: $from, to: $to, by: $by, timeZone: $zone, orderBy: $order, agentId: $agentId, userId: $userId,
    first: $first, after: $after, last: $last, before: $before) {
    totalCount totals { ${counts} } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { node { day userId model agent { id name } usage { ${counts} } } } } }`;
const march = { from: '2026-03-01T00:00:00Z', to: '2026-04-01T00:00:00Z' };

beforeAll(async () => {
  graph = await openGraph();
  admin = await graph.viewer('ada', 'acme', ['admin']);
  user = await graph.viewer('alice');
  await graph.viewer('bob');
  stranger = await graph.viewer('eve', 'other', ['admin']);
  const { db } = graph;
  const agent = (name: string, ownerId: string | null) =>
    db.agent.create({ data: { tenantId: 'acme', ownerId, name, instructions: 'Answer.' } });
  shared = (await agent('helper', null)).id;
  own = (await agent('private diary', 'alice')).id;
  const call = (tenantId: string, userId: string, at: string, agentId: string | null, tokens: readonly number[]) => {
    const [inputTokens = 0, outputTokens = 0, cachedInputTokens = 0] = tokens;
    const complete = tokens.length > 0;
    const rest = { step: 0, model: agentId === null ? 'small' : 'large', durationMs: 5, complete };
    return {
      tenantId,
      userId,
      agentId,
      createdAt: new Date(at),
      inputTokens,
      outputTokens,
      cachedInputTokens,
      ...rest,
    };
  };
  await db.modelCall.createMany({
    data: [
      call('acme', 'alice', '2026-02-28T23:59:59.999Z', shared, [1_000, 1_000]),
      call('acme', 'alice', '2026-03-01T00:00:00.000Z', shared, [10, 1, 4]),
      call('acme', 'alice', '2026-03-01T23:30:00.000Z', shared, [20, 2]),
      call('acme', 'bob', '2026-03-01T12:00:00.000Z', shared, [100, 50]),
      call('acme', 'bob', '2026-03-03T12:00:00.000Z', null, [7, 3]),
      call('acme', 'alice', '2026-03-03T13:00:00.000Z', own, []),
      call('acme', 'alice', '2026-04-01T00:00:00.000Z', shared, [1_000, 1_000]),
      call('other', 'eve', '2026-03-02T12:00:00.000Z', null, [5, 5]),
    ],
  });
});
afterAll(() => graph[Symbol.asyncDispose]());

interface Row {
  readonly day: string | null;
  readonly userId: string | null;
  readonly model: string | null;
  readonly agent: { readonly id: string; readonly name: string | null } | null;
  readonly usage: Readonly<Record<string, number>>;
}

async function read(variables: Record<string, unknown>, viewer = admin) {
  const { data, errors, statements } = await graph.query(viewer, asked, { ...march, ...variables });
  expect(errors).toEqual([]);
  const { totalCount, totals, pageInfo, edges } = data.it;
  const rows: Row[] = edges.map(({ node }: { readonly node: Row }) => node);
  return { totalCount, totals, pageInfo, rows, statements };
}

const short = ({ day, userId, model, agent, usage }: Row) =>
  [day, agent?.name, userId, model]
    .filter((part) => part != null)
    .concat(String(usage.totalTokens))
    .join(' ');

test('Usage is summed up by day, agent, user and model, and by several of them; the sums agree', async () => {
  const days = await read({ by: ['DAY'] });
  expect(days.rows.map(short)).toEqual(['2026-03-01 183', '2026-03-03 10']);
  expect(days.rows[0]?.usage).toEqual({
    inputTokens: 130,
    outputTokens: 53,
    totalTokens: 183,
    cachedInputTokens: 4,
    reasoningTokens: 0,
    modelCalls: 3,
    unreportedCalls: 0,
  });
  expect(days).toMatchObject({ totalCount: 2, totals: { totalTokens: 193, modelCalls: 5, unreportedCalls: 1 } });
  const agents = await read({ by: ['AGENT'], order: 'TOKENS' });
  expect(agents.rows.map(({ agent, usage }) => [agent, usage.totalTokens, usage.unreportedCalls])).toEqual([
    [{ id: `agt_${shared}`, name: 'helper' }, 183, 0],
    [null, 10, 0],
    // The name that another user has given to an agent of their own is not shown.
    [{ id: `agt_${own}`, name: null }, 0, 1],
  ]);
  expect((await read({ by: ['USER'] })).rows.map(short)).toEqual(['alice 33', 'bob 160']);
  expect((await read({ by: ['USER'], order: 'TOKENS' })).rows.map(short)).toEqual(['bob 160', 'alice 33']);
  expect((await read({ by: ['MODEL'] })).rows.map(short)).toEqual(['large 183', 'small 10']);
  const both = await read({ by: ['USER', 'DAY'] });
  expect(both.rows.map(short)).toEqual([
    '2026-03-01 alice 33',
    '2026-03-01 bob 150',
    '2026-03-03 alice 0',
    '2026-03-03 bob 10',
  ]);
  for (const { totals } of [agents, both]) expect(totals).toEqual(days.totals);
});

test('Days are those of the time zone, also where clocks are changed and the range begins within a day', async () => {
  const berlin = await read({ by: ['DAY'], zone: 'Europe/Berlin' });
  expect(berlin.rows.map(short)).toEqual(['2026-03-01 161', '2026-03-02 22', '2026-03-03 10']);
  const part = await read({ by: ['DAY'], from: '2026-03-01T10:00:00Z', to: '2026-03-03T12:30:00Z' });
  expect(part.rows.map(short)).toEqual(['2026-03-01 172', '2026-03-03 10']);
  expect((await read({ by: ['DAY'], zone: null })).rows).toEqual((await read({ by: ['DAY'] })).rows);
  const nothing = await read({ by: ['DAY'], from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z' });
  expect(nothing).toMatchObject({ rows: [], totalCount: 0, totals: { totalTokens: 0, modelCalls: 0 } });
});

test('The filters by agent and user count only theirs', async () => {
  expect((await read({ by: ['USER'], agentId: `agt_${shared}` })).rows.map(short)).toEqual(['alice 33', 'bob 150']);
  expect((await read({ by: ['DAY'], userId: 'bob' })).rows.map(short)).toEqual(['2026-03-01 150', '2026-03-03 10']);
  expect((await read({ by: ['DAY'], userId: 'nobody' })).rows).toEqual([]);
});

test('Pages of each order follow each other without a gap or a repeat, in both directions', async () => {
  for (const order of ['KEY', 'TOKENS']) {
    const by = ['DAY', 'AGENT', 'USER', 'MODEL'];
    const { rows: all } = await read({ by, order });
    expect(all.length).toBe(4);
    const forwards: Row[] = [];
    let after: string | null = null;
    do {
      const page = await read({ by, order, first: 1, after });
      expect(page).toMatchObject({ totalCount: 4, totals: { totalTokens: 193 } });
      expect(page.pageInfo.hasPreviousPage).toBe(after !== null);
      forwards.push(...page.rows);
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after !== null);
    expect(forwards).toEqual(all);
    const last = await read({ by, order, last: 3 });
    expect(last.rows).toEqual(all.slice(1));
    const first = await read({ by, order, last: 3, before: last.pageInfo.startCursor });
    expect(first).toMatchObject({ rows: all.slice(0, 1), pageInfo: { hasNextPage: true, hasPreviousPage: false } });
  }
});

test('All pages count up to the moment of the first one, however much is used meanwhile', async () => {
  const add = (userId: string, createdAt: Date) =>
    graph.db.modelCall.create({
      data: { tenantId: 'busy', userId, step: 0, model: 'm', complete: true, durationMs: 1, inputTokens: 5, createdAt },
    });
  const busy = await graph.viewer('boss', 'busy', ['admin']);
  for (const name of ['a', 'b', 'c']) {
    await graph.viewer(name, 'busy');
    await add(name, new Date(Date.now() - 3_600_000));
  }
  const open = {
    from: new Date(Date.now() - 86_400_000).toISOString(),
    to: null,
    by: ['USER'],
    order: 'TOKENS',
    first: 1,
  };
  const first = await read(open, busy);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await add('c', new Date());
  const second = await read({ ...open, after: first.pageInfo.endCursor }, busy);
  const third = await read({ ...open, after: second.pageInfo.endCursor }, busy);
  expect([first, second, third].flatMap(({ rows }) => rows.map(short))).toEqual(['a 5', 'b 5', 'c 5']);
  expect(third.pageInfo.hasNextPage).toBe(false);
});

test('Only admins see usage, and of their own tenant alone', async () => {
  const refused = await graph.query(user, asked, { ...march, by: ['DAY'] });
  expect({ data: refused.data, code: refused.errors[0]?.code }).toEqual({ data: { it: null }, code: 'FORBIDDEN' });
  expect((await graph.query(null, asked, { ...march, by: ['DAY'] })).errors[0]?.code).toBe('UNAUTHENTICATED');
  expect((await read({ by: ['USER'] }, stranger)).rows.map(short)).toEqual(['eve 10']);
  expect((await read({ by: ['DAY'], userId: 'alice' }, stranger)).rows).toEqual([]);
  const foreign = await graph.query(stranger, asked, { ...march, by: ['DAY'], agentId: `agt_${shared}` });
  expect(foreign.errors[0]?.code).toBe('FORBIDDEN');
  expect((await graph.query(admin, asked, { ...march, by: ['DAY'], agentId: `agt_${own}` })).errors[0]?.code).toBe(
    'FORBIDDEN',
  );
  const { pageInfo } = await read({ by: ['USER'], first: 1 });
  // A cursor says where a row stands, and not whose usage is read.
  expect((await read({ by: ['USER'], after: pageInfo.endCursor }, stranger)).rows.map(short)).toEqual(['eve 10']);
});

test('A query takes one statement, and one for the names of all agents', async () => {
  expect((await read({ by: ['DAY', 'USER'] })).statements).toBe(1);
  expect((await read({ by: ['DAY', 'AGENT', 'USER'] })).statements).toBe(2);
  expect((await read({ by: ['AGENT'], agentId: `agt_${shared}` })).statements).toBe(3);
});

test('Each page costs what its range does, however few rows it has: one operation reads the longest range twice', async () => {
  const select = (alias: number) =>
    `a${alias}: tenantUsage(from: $from, to: $to, by: [DAY], first: 1) { totals { modelCalls } }`;
  const document = (aliases: number) =>
    `query ($from: DateTime!, $to: DateTime) { ${Array.from({ length: aliases }, (_, n) => select(n)).join(' ')} }`;
  const codes = async (aliases: number, from: string, to: string | null) =>
    (await graph.query(admin, document(aliases), { from, to })).errors.map(({ code }) => code);
  const year = ['2025-03-31T00:00:00Z', '2026-04-01T00:00:00Z'] as const;
  expect(await codes(1, ...year)).toEqual([]);
  expect(await codes(2, ...year)).toEqual([]);
  expect(await codes(3, ...year)).toEqual(['QUERY_TOO_COMPLEX']);
  // The same document with another range, and what has no end or one in the future.
  expect(await codes(3, march.from, march.to)).toEqual([]);
  const recent = new Date(Date.now() - 86_400_000 * 300).toISOString();
  for (const to of [null, '2999-01-01T00:00:00Z']) expect(await codes(3, recent, to)).toEqual(['QUERY_TOO_COMPLEX']);
  expect(await codes(30, march.from, march.to)).toEqual(['QUERY_TOO_COMPLEX']);
  expect(await codes(30, march.from, '2026-03-02T00:00:00Z')).toEqual([]);
});

test('Two sums of a tenant are made at the same time, thirty wait, and another tenant waits for none of them', async () => {
  const range = { from: new Date(march.from), to: new Date(march.to), by: ['DAY'] as const };
  let [running, most] = [0, 0];
  const watched = new Proxy(graph.db, {
    get:
      (db, name) =>
      async (...args: Parameters<typeof db.$queryRaw>) => {
        expect(name).toBe('$queryRaw');
        running += 1;
        most = Math.max(most, running);
        return await db.$queryRaw(...args).finally(() => {
          running -= 1;
        });
      },
  });
  const asking = Promise.allSettled(Array.from({ length: 40 }, () => readTenantUsage(admin, watched, range)));
  const others = await readTenantUsage(stranger, graph.db, range);
  expect(others.totals.inputTokens).toBe(5);
  const results = await asking;
  expect(most).toBe(2);
  const refused = results.filter((result) => result.status === 'rejected');
  expect(refused.map(({ reason }) => reason instanceof RateLimitedError)).toEqual(
    Array.from({ length: 8 }, () => true),
  );
});

test('Arguments that are wrong or hostile are refused by their names', async () => {
  const { pageInfo } = await read({ by: ['USER'], first: 1 });
  const cursor = (...key: unknown[]) => {
    const [list] = JSON.parse(Buffer.from(pageInfo.endCursor, 'base64url').toString());
    return Buffer.from(JSON.stringify([list, key])).toString('base64url');
  };
  const wrong: [Record<string, unknown>, string][] = [
    [{ by: [] }, 'by'],
    [{ by: ['DAY', 'DAY'] }, 'by'],
    [{ by: Array.from({ length: 1_000 }, () => 'USER') }, 'by'],
    [{ from: '1999-12-31T23:59:59Z' }, 'from'],
    [{ from: '0001-01-01T00:00:00Z', to: '0001-01-02T00:00:00Z' }, 'from'],
    [{ from: '9999-12-30T00:00:00Z', to: '9999-12-31T23:59:59Z' }, 'from'],
    [{ to: '2026-03-01T00:00:00Z' }, 'from'],
    [{ from: '2025-03-30T23:59:59Z' }, 'from'],
    [{ zone: 'Nowhere/City' }, 'timeZone'],
    [{ zone: '+02:00' }, 'timeZone'],
    [{ zone: "UTC'; DROP TABLE model_calls; --" }, 'timeZone'],
    [{ userId: '' }, 'userId'],
    [{ userId: 'a\u0000b' }, 'userId'],
    [{ userId: 'x'.repeat(256) }, 'userId'],
    [{ agentId: 'agt_1' }, 'agentId'],
    [{ first: 501 }, 'first'],
    [{ first: -1 }, 'first'],
    [{ after: 'no cursor' }, 'after'],
    // Of the same rows in another order, and of other rows.
    [{ by: ['USER'], order: 'TOKENS', after: pageInfo.endCursor }, 'after'],
    [{ by: ['AGENT'], after: pageInfo.endCursor }, 'after'],
    [{ by: ['USER'], after: cursor('soon', 0, 0, '', 'alice', '') }, 'after'],
    [{ by: ['USER'], after: cursor('2026-03-09T00:00:00Z', 0, 0, '', 'a\u0000', '') }, 'after'],
    [{ by: ['USER'], after: cursor('2026-03-09T00:00:00Z', 0, 1e300, '', '', '') }, 'after'],
    [{ by: ['USER'], before: cursor('2020-01-01T00:00:00Z', 0, 0, '', '', '') }, 'from'],
  ];
  for (const [variables, path] of wrong) {
    const { errors } = await graph.query(admin, asked, { ...march, by: ['DAY'], ...variables });
    expect(errors, JSON.stringify(variables).slice(0, 200)).toMatchObject([{ code: 'BAD_USER_INPUT', path: [path] }]);
  }
  // The end of a forged cursor does not lengthen the range.
  const forged = await read({ by: ['USER'], after: cursor('2099-01-01T00:00:00Z', 0, 0, '', 'alice', '') });
  expect(forged.rows.map(short)).toEqual(['bob 160']);
  const quoted = await read({ by: ['DAY'], userId: "alice' OR '1'='1" });
  expect(quoted.rows).toEqual([]);
});
