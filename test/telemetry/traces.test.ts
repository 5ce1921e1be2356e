import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { decide } from '../approvals/decide.ts';
import { startTestApp, type TestAppOptions } from '../support/app.ts';
import { openChat, openSocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts';

const newTrace = () => {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-01` };
};

/** An app that sends its traces to a collector; they have arrived when it is closed. */
async function openTraced(env: Record<string, string> = {}, options: TestAppOptions = {}) {
  const receiver = await startOtlpReceiver();
  const app = await startTestApp({
    ...options,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', ...env },
  });
  return {
    app,
    receiver,
    async [Symbol.asyncDispose]() {
      await app[Symbol.asyncDispose]();
      await receiver[Symbol.asyncDispose]();
    },
  };
}

const findSpan = ({ spans }: OtlpReceiver, name: RegExp, traceId?: string): ReceivedSpan => {
  const found = spans.filter((span) => name.test(span.name) && (traceId === undefined || span.traceId === traceId));
  expect(found.map((span) => span.name)).toHaveLength(1);
  const [only] = found;
  if (!only) throw new Error('unreachable');
  return only;
};

const startRun = `mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }`;

describe('The spans of a turn', () => {
  test('An operation, its run, its steps, their model calls and tool calls are one trace, each below the one before', async () => {
    await using traced = await openTraced();
    const { app, receiver } = traced;
    const { traceId, spanId, traceparent } = newTrace();
    const user = await openSocketClient(app, 'alice');
    const agentId = await user.createAgent({ name: 'Clerk', tools: ['lookup_order'] });
    const conversationId = await user.createConversation({ agentId });
    const gate = createGate();
    app.model.add(
      { calls: [{ id: 'call_1', name: 'lookup_order', arguments: { orderNumber: '1042' } }], gate },
      { text: 'On its way.', usage: { inputTokens: 30, outputTokens: 4 } },
    );
    // The request is over before the model has answered: the run is detached from it.
    const input = { conversationId, content: 'Where is it?', idempotencyKey: 'k' };
    const { data } = await app.query(startRun, { input }, { headers: { traceparent, 'x-request-id': 'my-request' } });
    gate.open();
    await user.runEvents('ws', data.startRun.id).rest();
    await app.app.close();

    const operation = findSpan(receiver, /^mutation$/, traceId);
    expect(operation).toMatchObject({ parentSpanId: spanId, kind: 2 });
    expect(operation.attributes).toMatchObject({
      'graphql.operation.type': 'mutation',
      'switchboard.request.id': 'my-request',
    });
    const run = findSpan(receiver, /^invoke_agent/);
    expect(run).toMatchObject({ name: 'invoke_agent Clerk', traceId, parentSpanId: operation.spanId, kind: 1 });
    expect(run.attributes).toMatchObject({
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.agent.name': 'Clerk',
      'gen_ai.conversation.id': conversationId,
      'switchboard.run.id': data.startRun.id,
      'switchboard.run.outcome': 'completed',
    });
    expect(Number(run.endTimeUnixNano)).toBeGreaterThan(Number(operation.endTimeUnixNano));
    const steps = receiver.spans.filter(({ name }) => name === 'step');
    expect(steps.map((step) => [step.traceId, step.parentSpanId])).toEqual([
      [traceId, run.spanId],
      [traceId, run.spanId],
    ]);
    const calls = receiver.spans.filter(({ name }) => name === 'chat test-model');
    expect(calls.map((call) => [call.traceId, call.parentSpanId, call.kind])).toEqual(
      steps.map((step) => [traceId, step.spanId, 3]),
    );
    expect(calls[1]?.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.request.model': 'test-model',
      'gen_ai.usage.input_tokens': 30,
      'gen_ai.usage.output_tokens': 4,
      'server.address': '127.0.0.1',
    });
    const tool = findSpan(receiver, /^execute_tool/);
    expect(tool).toMatchObject({ name: 'execute_tool lookup_order', traceId, parentSpanId: steps[0]?.spanId });
    expect(tool.attributes).toMatchObject({ 'gen_ai.tool.call.id': 'call_1', 'switchboard.tool.source': 'BUILTIN' });
    expect(receiver.resources[0]).toMatchObject({ 'service.name': 'switchboard' });
  });

  test('A run that another instance takes over goes on in its trace', { timeout: 60_000 }, async () => {
    await using database = await createTestDatabase();
    await using one = await openTraced({ DRAIN_SECONDS: '0' }, { databaseUrl: database.url });
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: one.receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' };
    await using two = await startTestApp({ databaseUrl: database.url, env });
    const here = await openSocketClient(one.app, 'alice');
    const there = await openSocketClient(two, 'alice');
    const conversationId = await here.createConversation();
    const gate = createGate();
    one.app.model.add({ text: ['Half', ' an', ' answer'], afterTokens: 1, gate });
    two.model.add({ text: 'A whole answer.' });
    const { traceId, traceparent } = newTrace();
    const input = { conversationId, content: 'Hello', idempotencyKey: 'k' };
    const token = here.token;
    const { data } = await one.app.query(startRun, { input }, { token, headers: { traceparent } });
    await here.runEvents('ws', data.startRun.id).untilText('Half');
    await one.app.app.close();
    await there.runEvents('ws', data.startRun.id).rest();
    gate.open();
    await two.app.close();
    const { spans } = one.receiver;
    const operation = findSpan(one.receiver, /^mutation$/, traceId);
    const runs = spans.filter(({ name }) => name.startsWith('invoke_agent'));
    expect(runs.map((run) => [run.traceId, run.parentSpanId, run.attributes['switchboard.run.start']])).toEqual([
      [traceId, operation.spanId, 'new'],
      [traceId, operation.spanId, 'takeover'],
    ]);
  });

  test('A run that was approved goes on in its own trace, and is linked to that of the approval', async () => {
    await using traced = await openTraced();
    const { app, receiver } = traced;
    const chat = await openSocketClient(app, 'alice');
    const agentId = await chat.createAgent({ tools: ['refund_order'] });
    const conversationId = await chat.createConversation({ agentId });
    app.model.add(
      { calls: [{ id: 'r', name: 'refund_order', arguments: { orderNumber: '1042' } }] },
      { text: 'Refunded.' },
    );
    const reader = chat.chatTurn('ws', { conversationId });
    await reader.until('ApprovalRequested');
    const runId = reader.events[0]?.runId ?? '';
    await decide(chat, runId, 'r');
    await chat.runEvents('ws', runId).rest();
    await app.app.close();
    const runs = receiver.spans.filter(({ name }) => name.startsWith('invoke_agent'));
    expect(runs.map(({ attributes }) => attributes['switchboard.run.outcome'])).toEqual(['waiting', 'completed']);
    const [first, second] = runs;
    expect(second?.traceId).toBe(first?.traceId);
    expect(second?.parentSpanId).toBe(first?.parentSpanId);
    const approval = receiver.spans.find(({ spanId }) => spanId === second?.links[0]?.spanId);
    expect(approval?.name).toBe('mutation');
  });

  test('A failed turn ends its spans as failed, by the code and without the message', async () => {
    await using traced = await openTraced();
    const { app, receiver } = traced;
    const chat = await openChat(app);
    app.model.add({ misbehave: { status: 401, body: { error: { message: 'a wrong key: sk-12345', code: 'x' } } } });
    await chat.readToEnd('Hello');
    await app.app.close();
    for (const name of [/^invoke_agent/, /^chat/]) {
      const span = findSpan(receiver, name);
      expect(span.status).toEqual({ code: 2 });
      expect(span.attributes['error.type']).toBe('MODEL_ERROR');
    }
    expect(receiver.text).not.toContain('sk-12345');
  });
});

test('A traceparent that is not valid is ignored: the operation works, in a trace of its own', async () => {
  await using traced = await openTraced();
  const { app, receiver } = traced;
  const { traceId } = newTrace();
  const wrong = [
    'x',
    '',
    `00-${traceId}-0000000000000000-01`,
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `ff-${traceId}-b7ad6b7169203331-01`,
    `00-${traceId.toUpperCase().replace(/\d/g, 'A')}-b7ad6b7169203331-01`,
    `00-${traceId}-b7ad6b7169203331`,
    `00-${traceId}-b7ad6b7169203331-01-more`,
    `00-${traceId}-b7ad6b7169203331-01, 00-${traceId}-b7ad6b7169203331-01`,
    `00-${traceId}-b7ad6b7169203331-01-${'x'.repeat(2_000)}`,
  ];
  for (const traceparent of wrong) {
    const { status } = await app.query('{ viewer { userId } }', {}, { headers: { traceparent } });
    expect(status).toBe(200);
  }
  await app.app.close();
  const operations = receiver.spans.filter(({ name }) => name === 'query');
  expect(operations).toHaveLength(wrong.length);
  expect(operations.every((span) => !span.parentSpanId && span.traceId !== traceId)).toBe(true);
  expect(new Set(operations.map((span) => span.traceId)).size).toBe(wrong.length);
});

describe('The text of users, models and tools', () => {
  const key = 'sk-a-key-of-an-agent-123456';
  /** A turn with a tool call, by an agent with a key of its own. */
  const play = async (env: Record<string, string>) => {
    const traced = await openTraced({ ...env, MODEL_ALLOWED_HOSTS: '127.0.0.1' });
    const { app, receiver } = traced;
    const user = await openSocketClient(app, 'alice');
    const agentId = await user.createAgent({
      tools: ['lookup_order'],
      instructions: 'instruction-words',
      llm: { provider: 'custom', apiUrl: app.model.url, apiKey: key, model: 'own-model' },
    });
    const conversationId = await user.createConversation({ agentId });
    app.model.add(
      { calls: [{ id: 'c', name: 'lookup_order', arguments: { orderNumber: '1042' } }] },
      { text: 'answer-words' },
    );
    await user.chatTurn('ws', { conversationId, content: 'question-words' }).rest();
    await app.app.close();
    expect(receiver.spans.filter(({ name }) => name === 'chat own-model')).toHaveLength(2);
    await traced[Symbol.asyncDispose]();
    return { text: receiver.text, token: user.token };
  };

  test('It is not in any span by default', async () => {
    const { text, token } = await play({ OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20collector-key' });
    for (const word of ['question-words', 'answer-words', 'instruction-words', '1042', key, token, 'collector-key']) {
      expect(text).not.toContain(word);
    }
  });

  test('It is in spans on opt-in, and a key is not even then', async () => {
    const { text, token } = await play({ OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'true' });
    for (const word of ['question-words', 'answer-words', 'instruction-words', '1042']) expect(text).toContain(word);
    for (const secret of [key, token]) expect(text).not.toContain(secret);
  });
});

test('The collector gets its headers, and protobuf unless JSON is asked for', async () => {
  await using traced = await openTraced({
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-collector-key=a%20key',
    OTEL_SERVICE_NAME: 'our-chat',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=staging',
  });
  const { app, receiver } = traced;
  await app.query('{ viewer { userId } }');
  await app.app.close();
  const [request] = receiver.requests;
  expect(request).toMatchObject({
    path: '/v1/traces',
    headers: { 'content-type': 'application/x-protobuf', 'x-collector-key': 'a key' },
  });
  for (const word of ['our-chat', 'staging', 'graphql.operation.type']) expect(receiver.text).toContain(word);
});

test('What is not sampled is not sent, and says so to those that it calls', async () => {
  await using traced = await openTraced({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' });
  const { app, receiver } = traced;
  const chat = await openChat(app);
  app.model.add({ text: 'Yes.' });
  await chat.readToEnd('Hello');
  const { traceId, traceparent } = newTrace();
  await app.query('{ viewer { userId } }', {}, { headers: { traceparent } });
  await app.app.close();
  expect(receiver.spans.map((span) => span.traceId)).toEqual([traceId]);
  expect(app.model.requests[0]?.headers.traceparent).toMatch(/-00$/);
});

test('A collector that is away costs no turn and does not keep the server from stopping', async () => {
  await using app = await startTestApp({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' },
  });
  const chat = await openChat(app);
  app.model.add({ text: 'Yes.' });
  const events = await chat.readToEnd('Hello');
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  await app.app.close();
});
