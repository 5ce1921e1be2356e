import { expect, test } from 'vitest';
import { RunCursor } from '../../src/log/cursor.ts';
import { observeToolCall } from '../../src/telemetry/tool-call.ts';
import { shareApp, startTestApp, type TestApp } from '../support/app.ts';
import { documents, openChat, openNewUser, openSocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { type Scrape, scrape } from './scrape.ts';

const app = shareApp({ env: { METRICS_PORT: '0', RATE_LIMIT_TOOLS: '1/60', MODELS_ALLOWED: 'big-model' } });

const read = (from: TestApp = app): Promise<Scrape> => scrape(`http://127.0.0.1:${from.app.metricsPort}`);

/** What some work adds to a metric. */
async function differenceOf(work: () => Promise<unknown>) {
  const before = await read();
  await work();
  const after = await read();
  return (name: string, labels: Record<string, string> = {}) => after.sum(name, labels) - before.sum(name, labels);
}

test('A completed turn counts once, with its first text, its tokens and the time of its model call', async () => {
  const chat = await openChat(app);
  app.model.add({
    text: ['One', ' two', ' three', ' four', ' five', ' six.'],
    delayMs: 5,
    usage: { inputTokens: 40, outputTokens: 6, cachedInputTokens: 10 },
  });
  const by = await differenceOf(() => chat.readToEnd('Hello'));
  expect(by('switchboard_turns_begun_total', { start: 'new' })).toBe(1);
  expect(by('switchboard_turns_total', { outcome: 'completed', code: '' })).toBe(1);
  expect(by('switchboard_turns_total')).toBe(1);
  expect(by('switchboard_turn_duration_seconds_count', { outcome: 'completed' })).toBe(1);
  expect(by('switchboard_turn_first_text_seconds_count')).toBe(1);
  expect(by('switchboard_model_call_duration_seconds_count', { purpose: 'turn', outcome: 'OK' })).toBe(1);
  expect(by('switchboard_model_first_token_seconds_count', { model: 'test-model' })).toBe(1);
  expect(by('switchboard_model_output_tokens_per_second_count', { model: 'test-model' })).toBe(1);
  expect(by('switchboard_model_tokens_total', { type: 'input' })).toBe(40);
  expect(by('switchboard_model_tokens_total', { type: 'output' })).toBe(6);
  expect(by('switchboard_model_tokens_total', { type: 'cached_input' })).toBe(10);
  expect(by('switchboard_operations_total', { transport: 'ws', type: 'subscription', code: 'OK' })).toBe(1);
});

test('A failed turn counts with the code of its failure, and so does each try of its model call', async () => {
  const chat = await openChat(app);
  app.model.add({ misbehave: { status: 401, body: { error: { message: 'no', code: 'invalid_api_key' } } } });
  const by = await differenceOf(() => chat.readToEnd('Hello'));
  expect(by('switchboard_turns_total', { outcome: 'failed', code: 'MODEL_ERROR' })).toBe(1);
  expect(by('switchboard_turns_total')).toBe(1);
  expect(by('switchboard_model_call_duration_seconds_count', { outcome: 'MODEL_ERROR' })).toBe(1);
  expect(by('switchboard_turn_first_text_seconds_count')).toBe(0);
});

test('A cancelled turn counts as cancelled, and its model call as given up; while it runs, it shows in the gauges', async () => {
  const chat = await openChat(app);
  const gate = createGate();
  app.model.add({ text: ['A', ' long', ' story'], afterTokens: 1, gate });
  const by = await differenceOf(async () => {
    const reader = chat.say('Hello');
    await reader.untilText('A');
    const during = await read();
    expect(during.sum('switchboard_turns_running')).toBe(1);
    expect(during.sum('switchboard_cursors_open')).toBe(1);
    expect(during.sum('switchboard_sockets_open')).toBeGreaterThan(0);
    expect(during.sum('switchboard_log_runs')).toBe(1);
    expect(during.sum('switchboard_log_events')).toBeGreaterThan(2);
    await chat.ask(documents.cancelRun, { id: reader.events[0]?.runId });
    await reader.rest();
    gate.open();
  });
  expect(by('switchboard_turns_total', { outcome: 'cancelled' })).toBe(1);
  expect(by('switchboard_turns_total')).toBe(1);
  await expect
    .poll(async () => (await read()).sum('switchboard_model_call_duration_seconds_count', { outcome: 'CANCELLED' }))
    .toBe(1);
  await expect.poll(async () => (await read()).sum('switchboard_turns_running')).toBe(0);
});

test('A turn that is cancelled in the queue counts as cancelled too, although no process has begun it', async () => {
  const chat = await openChat(app);
  const gate = createGate();
  app.model.add({ text: ['First', ' one'], afterTokens: 1, gate });
  const by = await differenceOf(async () => {
    const first = chat.say('Hello');
    await first.untilText('First');
    const queued = chat.say('And then?', { ifBusy: 'ENQUEUE' });
    await queued.until('RunQueued');
    await chat.ask(documents.cancelRun, { id: queued.events[0]?.runId });
    await queued.rest();
    gate.open();
    await first.rest();
  });
  expect(by('switchboard_turns_begun_total')).toBe(1);
  expect(by('switchboard_turns_total', { outcome: 'cancelled' })).toBe(1);
  expect(by('switchboard_turns_total', { outcome: 'completed' })).toBe(1);
});

test('A tool call counts by the source of its tool and its outcome, in a turn and by hand', async () => {
  const user = await openNewUser(app);
  const agentId = await user.createAgent({ tools: ['lookup_order'] });
  const conversationId = await user.createConversation({ agentId });
  app.model.add(
    { calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }] },
    { text: 'It is on its way.' },
  );
  const by = await differenceOf(() => user.chatTurn('ws', { conversationId }).rest());
  expect(by('switchboard_tool_call_duration_seconds_count', { source: 'BUILTIN', outcome: 'ok' })).toBe(1);
  const execute = 'mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { ok } }';
  const call = { input: { name: 'current_time', arguments: {} } };
  const byHand = await differenceOf(async () => {
    await user.ask(execute, call);
    await expect(user.ask(execute, call)).rejects.toThrow('RATE_LIMITED');
  });
  expect(byHand('switchboard_tool_call_duration_seconds_count', { source: 'BUILTIN', outcome: 'ok' })).toBe(1);
  expect(byHand('switchboard_limit_refusals_total', { limit: 'tool-calls', scope: 'user' })).toBe(1);
  expect(byHand('switchboard_operations_total', { transport: 'http', type: 'mutation', code: 'RATE_LIMITED' })).toBe(1);
});

test('Event streams, readers that are behind and what is not stored yet show in the gauges, and go away', async () => {
  const user = await openNewUser(app);
  const conversationId = await user.createConversation();
  const gate = createGate();
  app.model.add({ text: ['A', ' long', ' story'], afterTokens: 1, gate });
  const reader = user.chatTurn('sse', { conversationId });
  await reader.untilText('A');
  const { runs } = app.app;
  const buffer = runs.log.find((reader.events[0]?.runId ?? '').slice('run_'.length));
  if (!buffer) throw new Error('The run has no buffer.');
  const slow = new RunCursor(buffer, 0);
  runs.cursors.add(slow);
  const during = await read();
  expect(during.sum('switchboard_sse_streams_open')).toBe(1);
  expect(during.sum('switchboard_cursors_open')).toBe(2);
  expect(during.sum('switchboard_cursors_behind')).toBe(1);
  expect(during.sum('switchboard_cursor_lag_events')).toBe(buffer.events.length);
  // The checkpoints write it while the turn goes on.
  await expect.poll(async () => (await read()).sum('switchboard_log_lag_seconds'), { timeout: 5_000 }).toBe(0);
  runs.cursors.delete(slow);
  await slow.return();
  gate.open();
  await reader.rest();
  await expect.poll(async () => (await read()).sum('switchboard_sse_streams_open')).toBe(0);
  expect((await read()).sum('switchboard_cursors_open')).toBe(0);
});

test.each([
  ['is answered with an error for the model', 'error', async () => ({ ok: false })],
  ['throws', 'failed', () => Promise.reject(new Error('secret'))],
  ['takes too long and ignores it', 'timeout', () => new Promise<never>(() => {})],
] as const)('A tool call that %s counts as %s', async (_, outcome, work) => {
  const by = await differenceOf(async () => {
    // It begins here: reading the counters can take longer than that.
    const signal = AbortSignal.timeout(50);
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    const call = { name: 'a_tool', source: 'MCP', callId: null, arguments: {}, signal } as const;
    observeToolCall<{ ok: boolean }>(call, work).catch(() => {});
    await aborted;
  });
  expect(by('switchboard_tool_call_duration_seconds_count', { source: 'MCP', outcome })).toBe(1);
  expect(by('switchboard_tool_call_duration_seconds_count')).toBe(1);
});

test('A guardrail counts what it has found, and the turn that it stops fails with its code', async () => {
  const user = await openNewUser(app);
  const guardrails = [{ name: 'no mail', stages: ['INPUT'], check: { pii: ['EMAIL'] } }];
  const agentId = await user.createAgent({ guardrails });
  const conversationId = await user.createConversation({ agentId });
  const by = await differenceOf(() => user.chatTurn('ws', { conversationId, content: 'I am bob@example.com' }).rest());
  expect(by('switchboard_guardrail_checks_total', { stage: 'INPUT', action: 'BLOCK' })).toBe(1);
  expect(by('switchboard_turns_total', { outcome: 'failed', code: 'GUARDRAIL_TRIPPED' })).toBe(1);
  expect(by('switchboard_model_call_duration_seconds_count')).toBe(0);
});

test('An instance that stops counts its turn as lost, and the one that goes on with it a takeover', {
  timeout: 60_000,
}, async () => {
  await using database = await createTestDatabase();
  const env = { METRICS_PORT: '0', DRAIN_SECONDS: '0' };
  await using one = await startTestApp({ databaseUrl: database.url, env });
  await using two = await startTestApp({ databaseUrl: database.url, env });
  const here = await openSocketClient(one, 'alice');
  const there = await openSocketClient(two, 'alice');
  const conversationId = await here.createConversation();
  const gate = createGate();
  one.model.add({ text: ['Half', ' an', ' answer'], afterTokens: 1, gate });
  two.model.add({ text: 'A whole answer.' });
  const by = await differenceOf(async () => {
    const reader = here.chatTurn('ws', { conversationId });
    await reader.untilText('Half');
    const runId = reader.events[0]?.runId ?? '';
    const left = reader.rest().catch(() => {});
    await one.app.close();
    await left;
    await there.runEvents('ws', runId).rest();
  });
  gate.open();
  expect(by('switchboard_turns_total', { outcome: 'lost' })).toBe(1);
  expect(by('switchboard_takeovers_total', { result: 'continued', reason: 'handed_over' })).toBe(1);
  expect(by('switchboard_takeovers_total')).toBe(1);
  expect(by('switchboard_turns_begun_total', { start: 'takeover' })).toBe(1);
  expect(by('switchboard_turns_total', { outcome: 'completed' })).toBe(1);
});

test('Ten thousand different users, models, operations and request ids add no time series of their own', {
  timeout: 120_000,
}, async () => {
  const { ModelCallTelemetry } = await import('../../src/telemetry/model-call.ts');
  const { OperationTelemetry } = await import('../../src/telemetry/operation.ts');
  const { noteTurnEvent, countEnd } = await import('../../src/telemetry/turns/turn.ts');
  const { createRateLimit } = await import('../../src/limits/rate-limit.ts');
  const { signal } = new AbortController();
  const limit = createRateLimit('turns', {
    user: { points: 1, seconds: 60 },
    tenant: { points: 1_000_000, seconds: 60 },
  });
  const usage = {
    inputTokens: 1,
    outputTokens: 9,
    cachedInputTokens: 0,
    cacheWriteInputTokens: 0,
    reasoningTokens: 0,
  };
  const play = async (name: string) => {
    const endpoint = { apiUrl: `https://${name}.example.com/v1`, model: `model-${name}` };
    const call = new ModelCallTelemetry({
      ...endpoint,
      purpose: 'turn',
      temperature: null,
      maxTokens: null,
      instructions: name,
      history: [],
    });
    call.succeed();
    call.end();
    noteTurnEvent({
      type: 'modelCalled',
      call: { step: 0, agentId: name, model: endpoint.model, usage, durationMs: 100, timeToFirstTokenMs: 10 },
    });
    new OperationTelemetry({ requestId: name, transport: 'http', traceparent: name }).end({
      type: 'query',
      name,
      codes: new Set(),
      tenantId: name,
    });
    const tool = { name, source: 'HTTP', callId: name, arguments: { name }, signal } as const;
    await observeToolCall(tool, async () => ({ ok: true }));
    countEnd({ status: 'CANCELLED', failure: null });
    const viewer = { userId: name, tenantId: 'acme', roles: [], expiresAt: Number.POSITIVE_INFINITY };
    await limit.take(viewer);
    await limit.take(viewer).catch(() => {});
  };
  await play('first');
  const before = await read();
  for (let index = 0; index < 10_000; index++) await play(`name-${index}`);
  const after = await read();
  expect(after.sum('switchboard_model_call_duration_seconds_count', { model: 'other' })).toBeGreaterThanOrEqual(10_000);
  // Those of Node itself come and go with what the process does; they have no labels of ours.
  const listOwn = ({ samples }: Scrape) =>
    samples.filter(({ name }) => name.startsWith('switchboard_')).map(({ name, labels }) => ({ name, labels }));
  expect(listOwn(after)).toEqual(listOwn(before));
  expect(after.text).not.toContain('name-');
});

test('No label holds a user, a tenant, a conversation, an agent or a text', async () => {
  const chat = await openChat(app, 'assistant', { sub: 'a-user-of-ours', tenant: 'a-tenant-of-ours' });
  app.model.add({ text: 'A secret answer.' });
  const [first] = await chat.readToEnd('A secret question');
  const { text } = await read();
  expect(first?.runId).toBeDefined();
  for (const word of ['a-user-of-ours', 'a-tenant-of-ours', chat.conversationId, first?.runId ?? '', 'secret']) {
    expect(text).not.toContain(word);
  }
});
