import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { RateLimitedError } from '../../src/api/errors.ts';
import type { Database } from '../../src/database/client.ts';
import { TokenBudget } from '../../src/limits/token-budget.ts';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { shareApp, startTestApp } from '../support/app.ts';
import { documents, openChat, openSocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp();

const toUser = (user: number) => ({ user, tenant: null, tenants: new Map() });
const toTenant = (tenant: number) => ({ user: null, tenant, tenants: new Map() });
const tokens = (inputTokens: number, outputTokens: number) => ({ inputTokens, outputTokens });
const startRun = `mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }`;
const tomorrow = expect.stringMatching(/^\d{4}-\d\d-\d\dT00:00:00\.000Z$/);

/** A user whom nobody has seen, in a tenant of their own. */
async function newViewer() {
  const viewer = { tenantId: `t-${randomUUID()}`, userId: 'alice' };
  await app.query('{ viewer { userId } }', {}, { token: await app.token({ tenant: viewer.tenantId }) });
  return viewer;
}

/** A row of the ledger, as something has written it at a time. */
async function useTokens(db: Database, owner: { tenantId: string; userId: string }, count: number, at: string) {
  const common = { ...owner, step: 0, model: 'm', complete: true, durationMs: 1 };
  await db.modelCall.createMany({
    data: [{ ...common, inputTokens: count - 1, outputTokens: 1, createdAt: new Date(at) }],
  });
}

async function refusalOf(work: Promise<void>): Promise<RateLimitedError | null> {
  return work.then(
    () => null,
    (error: unknown) => {
      if (error instanceof RateLimitedError) return error;
      throw error;
    },
  );
}

test('A day ends at midnight UTC: what was used a millisecond before counts for it, and what follows for the next', async () => {
  const { db } = app.app;
  const viewer = await newViewer();
  await useTokens(db, viewer, 60, '2026-03-01T23:59:59.999Z');
  await useTokens(db, viewer, 40, '2026-03-02T00:00:00.000Z');
  const at = (now: string, limit: number) =>
    refusalOf(new TokenBudget({ db, budgets: toUser(limit), now: () => Date.parse(now) }).assertLeft(viewer));
  const last = await at('2026-03-01T23:59:59.999Z', 60);
  expect(last?.details).toEqual({ retryAfterMs: 1_000, resetAt: '2026-03-02T00:00:00.000Z' });
  expect(await at('2026-03-01T12:00:00Z', 61)).toBeNull();
  expect((await at('2026-03-01T12:00:00Z', 60))?.details).toEqual({
    retryAfterMs: 12 * 3_600_000,
    resetAt: '2026-03-02T00:00:00.000Z',
  });
  expect(await at('2026-03-02T00:00:00.000Z', 41)).toBeNull();
  expect((await at('2026-03-02T00:00:00.000Z', 40))?.message).toBe(
    'Your daily token budget is used up: at most 40 tokens. It begins anew at 2026-03-03T00:00:00Z.',
  );
  expect(await at('2026-03-03T00:00:00.000Z', 1)).toBeNull();
});

test('What a process has read holds for some seconds without a statement, not into the next day', async () => {
  const { db } = app.app;
  const viewer = await newViewer();
  let now = Date.parse('2026-03-01T23:59:58.000Z');
  let statements = 0;
  const counting: Pick<Database, '$queryRaw'> = {
    $queryRaw: (...args: Parameters<typeof db.$queryRaw>) => {
      statements += 1;
      return db.$queryRaw(...args);
    },
  };
  const budget = new TokenBudget({ db: counting, budgets: toTenant(100), now: () => now });
  await useTokens(db, viewer, 90, '2026-03-01T10:00:00Z');
  for (let round = 0; round < 5; round += 1) await budget.assertLeft(viewer);
  expect(statements).toBe(1);
  // Its own steps count immediately.
  budget.note(viewer, 10);
  expect((await refusalOf(budget.assertLeft(viewer)))?.message).toContain('organisation');
  expect(statements).toBe(1);
  now += 2_000;
  await budget.assertLeft(viewer);
  expect(statements).toBe(2);
  // Others' steps count once what was read is old.
  await useTokens(db, { ...viewer }, 100, '2026-03-02T00:00:01Z');
  now += 4_999;
  await budget.assertLeft(viewer);
  now += 1;
  expect(await refusalOf(budget.assertLeft(viewer))).not.toBeNull();
  expect(statements).toBe(3);
  await new TokenBudget({ db: counting, budgets: toUser(1_000), now: () => now }).assertLeft(viewer);
  const unlimited = new TokenBudget({ db: counting, budgets: { user: null, tenant: null, tenants: new Map() } });
  await unlimited.assertLeft(viewer);
  expect(statements).toBe(4);
});

test('The counters are the sum of the ledger: several rows at once, rows that are sent twice, and other users', async () => {
  const { db } = app.app;
  const viewer = await newViewer();
  const { tenantId } = viewer;
  await app.query('{ viewer { userId } }', {}, { token: await app.token({ tenant: tenantId, sub: 'bob' }) });
  const id = randomUUID();
  const send = () => db.$executeRaw`
    INSERT INTO model_calls (id, tenant_id, user_id, step, model, input_tokens, output_tokens, complete, duration_ms, created_at)
    VALUES (${id}::uuid, ${tenantId}, 'alice', 0, 'm', 7, 3, true, 1, '2026-03-01T10:00:00Z'),
      (gen_random_uuid(), ${tenantId}, 'alice', 0, 'm', 20, 0, true, 1, '2026-03-01T11:00:00Z'),
      (gen_random_uuid(), ${tenantId}, 'bob', 0, 'm', 100, 0, true, 1, '2026-03-01T11:00:00Z')
    ON CONFLICT (id) DO NOTHING`;
  await send();
  await send();
  await db.$executeRaw`DELETE FROM model_calls WHERE id = ${id}::uuid`;
  const users = await db.userTokenDay.findMany({ where: { tenantId }, orderBy: { userId: 'asc' } });
  expect(users.map(({ userId, tokens }) => [userId, Number(tokens)])).toEqual([
    ['alice', 50],
    ['bob', 200],
  ]);
  const parts = await db.tenantTokenDay.findMany({ where: { tenantId } });
  expect(parts.reduce((sum, part) => sum + Number(part.tokens), 0)).toBe(250);
  // The part of a tenant holds no name, and stays when a user goes.
  await db.$executeRaw`DELETE FROM users WHERE tenant_id = ${tenantId} AND id = 'alice'`;
  const left = await db.tenantTokenDay.aggregate({ where: { tenantId }, _sum: { tokens: true } });
  expect(Number(left._sum.tokens)).toBe(250);
});

test('Statements that count at the same time for many users of a tenant neither block each other for good nor lose a token', async () => {
  const { db } = app.app;
  const viewer = await newViewer();
  const users = ['alice', 'bob', 'carol', 'dave'];
  for (const sub of users)
    await app.query('{ viewer { userId } }', {}, { token: await app.token({ tenant: viewer.tenantId, sub }) });
  await Promise.all(
    Array.from({ length: 80 }, (_, n) =>
      useTokens(db, { ...viewer, userId: users[n % 4] ?? '' }, 10, '2026-03-01T10:00:00Z'),
    ),
  );
  const left = await db.tenantTokenDay.aggregate({ where: { tenantId: viewer.tenantId }, _sum: { tokens: true } });
  expect(Number(left._sum.tokens)).toBe(800);
});

test('Who has used up the budget starts no turn, with nothing written, and still attaches to a turn that was started', async () => {
  await using limited = await startTestApp({
    env: { TOKEN_BUDGET_PER_USER_DAILY: '100', RATE_LIMIT_TURNS: '2/60' },
    steps: [
      { text: 'one', usage: tokens(90, 10) },
      { text: 'two', usage: tokens(1, 1) },
    ],
  });
  const alice = await openChat(limited, {}, { sub: 'alice' });
  const first = await alice.readToEnd('hi', { idempotencyKey: 'a' });
  expect(first.at(-1)?.__typename).toBe('RunCompleted');

  const input = { conversationId: alice.conversationId, content: 'hi' };
  const start = (key: string) =>
    limited.query(startRun, { input: { ...input, idempotencyKey: key } }, { token: alice.token });
  for (const key of ['b', 'c', 'd']) {
    const refused = await start(key);
    expect(refused.status).toBe(429);
    expect(refused.errors[0]?.extensions).toMatchObject({
      code: 'RATE_LIMITED',
      retryAfterMs: expect.any(Number),
      resetAt: tomorrow,
    });
    // It took no point of the limit of turns.
    expect(refused.headers.get('ratelimit') ?? '"turns";r=1').toMatch(/r=1\b/);
  }
  expect(await limited.app.db.message.count({ where: { role: 'USER' } })).toBe(1);
  expect((await start('a')).errors).toEqual([]);

  const { viewer } = await alice.ask('{ viewer { tokenBudgets { scope dailyTokens usedTokens resetAt } } }');
  expect(viewer.tokenBudgets).toEqual([{ scope: 'USER', dailyTokens: 100, usedTokens: 100, resetAt: tomorrow }]);

  // Others have a budget of their own.
  const bob = await openChat(limited, {}, { sub: 'bob' });
  expect((await bob.readToEnd('hi')).at(-1)?.__typename).toBe('RunCompleted');
});

test('A budget adds no statement to the start of a turn', async () => {
  await using database = await createTestDatabase();
  const counts: unknown[] = [];
  for (const env of [{}, { TOKEN_BUDGET_PER_USER_DAILY: '1000', TOKEN_BUDGET_PER_TENANT_DAILY: '1000' }]) {
    await using instance = await startTestApp({
      databaseUrl: database.url,
      env,
      steps: [{ text: 'warm' }, { text: 'one' }],
    });
    const { conversationId, token, readToEnd } = await openChat(instance, {}, { sub: 'alice' });
    await readToEnd('hi');
    const input = { conversationId, content: 'hi', idempotencyKey: 'k' };
    await instance.query(startRun, { input }, { token, headers: { 'x-request-id': 'counted' } });
    await expect
      .poll(() =>
        instance.app.db.run.count({ where: { conversationId: conversationId.slice(5), status: 'COMPLETED' } }),
      )
      .toBe(2);
    counts.push(
      instance.logs.find((line) => line.requestId === 'counted' && line.statements !== undefined)?.statements,
    );
  }
  expect(counts[0]).toEqual(expect.any(Number));
  expect(counts[1]).toBe(counts[0]);
});

test('The budget of a tenant is shared by its users and by all instances; a tenant may have a number of its own', async () => {
  await using database = await createTestDatabase();
  const env = { TOKEN_BUDGET_PER_TENANT_DAILY: '50,big=1000' };
  await using one = await startTestApp({
    databaseUrl: database.url,
    env,
    steps: [{ text: 'a', usage: tokens(50, 1) }],
  });
  await using two = await startTestApp({ databaseUrl: database.url, env });
  const alice = await openChat(one, {}, { sub: 'alice' });
  await alice.readToEnd('hi');

  const bob = await openSocketClient(two, 'bob');
  const conversationId = await bob.createConversation({});
  const input = { conversationId, content: 'hi', idempotencyKey: 'k' };
  const refused = await two.query(startRun, { input }, { token: bob.token });
  expect(refused.errors[0]).toMatchObject({
    message: expect.stringContaining('organisation'),
    extensions: { code: 'RATE_LIMITED', resetAt: tomorrow },
  });

  two.model.add({ text: 'a', usage: tokens(50, 1) }, { text: 'b', usage: tokens(1, 1) });
  const big = await openChat(two, {}, { sub: 'alice', tenant: 'big' });
  await big.readToEnd('hi');
  expect((await big.readToEnd('again')).at(-1)?.__typename).toBe('RunCompleted');
});

test('A long turn ends before the step for which nothing is left: its text stays, and the failure says until when', async () => {
  const call = { id: 'c1', name: 'lookup_order', arguments: { orderNumber: 'A-1001' } };
  await using limited = await startTestApp({
    env: { TOKEN_BUDGET_PER_USER_DAILY: '100' },
    steps: [
      { text: 'Let me see.', calls: [call], usage: tokens(30, 10) },
      { text: 'Once more.', calls: [{ ...call, id: 'c2' }], usage: tokens(50, 10) },
    ],
  });
  const alice = await openChat(limited, {}, { sub: 'alice' });
  const events = await alice.readToEnd('hi');
  expect(events.at(-1)).toMatchObject({
    __typename: 'RunFailed',
    error: { code: 'RATE_LIMITED', message: expect.stringContaining('It begins anew at'), retryable: true },
  });
  const { run } = await alice.ask(documents.run, { id: events[0]?.runId });
  expect(run).toMatchObject({ status: 'FAILED', error: { code: 'RATE_LIMITED' } });
  expect(run.messages.map(({ content, status }: { content: string; status: string }) => [content, status])).toEqual([
    ['Let me see.', 'COMPLETE'],
    ['Once more.', 'COMPLETE'],
  ]);
});

test('A turn that waited in the queue is checked when it begins', async () => {
  const gate = createGate();
  await using limited = await startTestApp({
    env: { TOKEN_BUDGET_PER_USER_DAILY: '100' },
    steps: [{ text: ['one', ' two'], afterTokens: 1, gate, usage: tokens(100, 1) }],
  });
  const alice = await openChat(limited, {}, { sub: 'alice' });
  const first = alice.say('hi');
  await first.untilText('one');
  const second = alice.say('and then?', { ifBusy: 'ENQUEUE' });
  await expect.poll(() => limited.app.db.run.count({ where: { status: 'QUEUED' } })).toBe(1);
  gate.open();
  expect((await first.rest()).at(-1)?.__typename).toBe('RunCompleted');
  expect((await second.rest()).at(-1)).toMatchObject({ __typename: 'RunFailed', error: { code: 'RATE_LIMITED' } });
});

test('A turn that is stopped in the middle of an answer counts: what was sent and written is estimated', async () => {
  const gate = createGate();
  const text = ['one ', 'two ', 'three'];
  await using limited = await startTestApp({
    env: { TOKEN_BUDGET_PER_USER_DAILY: '100000' },
    steps: [{ text, afterTokens: 2, gate, usage: tokens(100, 1) }],
  });
  const { db } = limited.app;
  const alice = await openChat(limited, {}, { sub: 'alice' });
  const turn = alice.say('a question '.repeat(100));
  const { runId } = await turn.untilText('one two ');
  await alice.ask(documents.cancelRun, { id: runId });
  expect((await turn.rest()).at(-1)?.__typename).toBe('RunCancelled');
  const rows = await db.modelCall.findMany();
  expect(rows).toMatchObject([{ inputTokens: 0, outputTokens: 0, complete: false }]);
  const [row] = rows;
  // A quarter of the characters, of the instructions and tools as well.
  expect(row?.budgetTokens).toBeGreaterThan(275);
  expect(row?.budgetTokens).toBeLessThan(5_000);
  const { viewer } = await alice.ask('{ viewer { usage { inputTokens } tokenBudgets { usedTokens } } }');
  expect(viewer).toEqual({ usage: { inputTokens: 0 }, tokenBudgets: [{ usedTokens: row?.budgetTokens }] });
});

test.each([true, undefined])(
  'What a provider reports at an address that a user wrote (%s) counts as far as it can be true',
  async (guarded) => {
    const usage = { prompt_tokens: 100_000_000, completion_tokens: 50_000_000, total_tokens: 150_000_000 };
    const chunks = [
      { choices: [{ delta: { content: 'Hello' }, finish_reason: 'stop', index: 0 }] },
      { choices: [], usage },
    ];
    const body = `${chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('')}data: [DONE]\n\n`;
    const model = createOpenAiModel({
      fetch: async () => new Response(body, { headers: { 'content-type': 'text/event-stream' } }),
    });
    const endpoint = { api: 'CHAT_COMPLETIONS', apiUrl: 'https://models.example/v1', apiKey: 'k', model: 'm' } as const;
    const request = {
      endpoint: guarded ? { ...endpoint, guarded } : endpoint,
      ...{ instructions: 'Help.', history: [{ role: 'user', content: 'Hi' } as const], tools: [] },
      ...{ temperature: null, maxTokens: null },
    };
    const events = await Array.fromAsync(model.stream(request, new AbortController().signal));
    const reported = tokens(100_000_000, 50_000_000);
    const bounded = guarded ? { budgetTokens: expect.toSatisfy((count: number) => count < 11_000) } : {};
    expect(events.at(-1)).toEqual({
      ...{ type: 'finished', reason: 'stop' },
      usage: { ...reported, cachedInputTokens: 0, cacheWriteInputTokens: 0, reasoningTokens: 0, ...bounded },
    });
  },
);

test('Tests of agents and guardrails that ask a model are refused too', async () => {
  await using limited = await startTestApp({
    env: { TOKEN_BUDGET_PER_USER_DAILY: '100' },
    steps: [{ text: 'one', usage: tokens(100, 1) }],
  });
  const alice = await openChat(limited, {}, { sub: 'alice' });
  await alice.readToEnd('hi');
  const agentId = await alice.createAgent();
  const send = async (document: string) => (await limited.query(document, {}, { token: alice.token })).errors[0];
  const refused = { extensions: { code: 'RATE_LIMITED', resetAt: tomorrow } };
  expect(await send(`mutation { testAgent(id: "${agentId}", prompt: "hi") { ok } }`)).toMatchObject(refused);
  expect(await send(`mutation { moderate(input: { text: "hi" }) { flagged } }`)).toMatchObject(refused);
  const query = `subscription { testAgentEvents(id: "${agentId}", prompt: "hi") { __typename } }`;
  const [event] = await Array.fromAsync(limited.ws(alice.token).iterate({ query }));
  expect(event).toMatchObject({ errors: [refused] });
});

test('Without a budget, turns write and ask nothing of it', async () => {
  const alice = await openChat(app, {});
  app.model.add({ text: 'one', usage: tokens(2_000_000_000, 1) }, { text: 'two', usage: tokens(1, 1) });
  await alice.readToEnd('hi');
  expect((await alice.readToEnd('again')).at(-1)?.__typename).toBe('RunCompleted');
  expect(await alice.ask('{ viewer { tokenBudgets { scope } } }')).toEqual({ viewer: { tokenBudgets: [] } });
});
