import { expect, test } from 'vitest';
import { shareApp, startTestApp } from '../support/app.ts';
import { documents, openChat, type SocketClient } from '../support/chat.ts';
import { assembleTexts, sequenceOf } from '../support/clients/turn-reader.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp();

async function readRun(socketClient: SocketClient, id: string) {
  return (await socketClient.ask(documents.run, { id })).run;
}

const status = (code: number) => ({ status: code, retryAfter: 0 });
test.each([
  { name: 'a stream that is cut', times: 3, step: { misbehave: 'truncate' }, code: 'MODEL_ERROR', retryable: true },
  { name: 'a socket that breaks', times: 3, step: { misbehave: 'destroy' }, code: 'MODEL_ERROR', retryable: true },
  { name: 'garbage', times: 3, step: { misbehave: 'garbage' }, code: 'MODEL_ERROR', retryable: true },
  {
    name: 'an error in the stream',
    times: 3,
    step: { misbehave: 'in-band-error' },
    code: 'MODEL_ERROR',
    retryable: true,
  },
  { name: 'an error event', times: 3, step: { misbehave: 'error-event' }, code: 'MODEL_ERROR', retryable: true },
  { name: 'a content filter', times: 1, step: { finish: 'content_filter' }, code: 'MODEL_REFUSED', retryable: false },
] as const)('A turn fails and keeps the text so far: $name', async ({ times, step, code, retryable }) => {
  const { conversationId, ...socketClient } = await openChat(app);
  const gates = Array.from({ length: times }, () => createGate());
  app.model.add(...gates.map((gate) => ({ text: ['Some', ' text'], gate, ...step })));
  const reader = socketClient.chatTurn('ws', { conversationId });
  for (const gate of gates) {
    // Each try begins with nothing: what the one before has written is retracted.
    await reader.untilText('Some text');
    gate.open();
  }
  const events = await reader.rest();
  expect(events.at(-1)).toMatchObject({ __typename: 'RunFailed', error: { code, retryable } });
  const run = await readRun(socketClient, events[0]?.runId ?? '');
  expect(run).toMatchObject({
    status: 'FAILED',
    lastSeq: events.at(-1)?.seq,
    error: { code, retryable },
    messages: [{ status: 'PARTIAL', content: 'Some text' }],
    usage: { modelCalls: times },
  });
  expect([...assembleTexts(events).values()]).toEqual(['Some text']);
});

test.each([
  { name: 'refused', step: { misbehave: status(400) }, code: 'MODEL_ERROR' },
  { name: 'no key', step: { misbehave: status(401) }, code: 'MODEL_ERROR' },
  { name: 'a refusal', step: { refusal: 'I will not.' }, code: 'MODEL_REFUSED' },
] as const)('A failure before any text ($name) writes no message', async ({ step, code }) => {
  const { conversationId, ...socketClient } = await openChat(app);
  app.model.add(step);
  const sent = await socketClient.ask(documents.sendMessage, {
    input: { conversationId, content: 'Hello', idempotencyKey: 'k' },
  });
  expect(sent.sendMessage).toMatchObject({ status: 'FAILED', error: { code, retryable: false }, messages: [] });
});

test('Too many requests at the provider are RATE_LIMITED in the end', async () => {
  const { conversationId, ...socketClient } = await openChat(app);
  app.model.add(...Array.from({ length: 3 }, () => ({ misbehave: status(429) })));
  const events = await socketClient.chatTurn('ws', { conversationId }).rest();
  expect(sequenceOf(events)).toEqual(['RunStarted', 'RoutingDecided', 'RunFailed']);
  expect(events.at(-1)?.error).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
});

test('A model that goes on calling tools is stopped', async () => {
  await using own = await startTestApp({ env: { MAX_STEPS: '2' } });
  const { conversationId, ...socketClient } = await openChat(own, 'assistant', { sub: 'guest' });
  const step = { text: 'Again.', calls: [{ name: 'echo_context', arguments: {} }] };
  own.model.add(step, step);
  const events = await socketClient.chatTurn('ws', { conversationId }).rest();
  expect(events.at(-1)?.error).toMatchObject({ code: 'MAX_STEPS_EXCEEDED', retryable: false });
  const { run } = await socketClient.ask(documents.run, { id: events.at(-1)?.runId });
  expect(run.toolCalls.map((call: { status: string }) => call.status)).toEqual(['SUCCEEDED', 'SUCCEEDED']);
});

test('A turn that takes too long ends as MODEL_TIMEOUT, with what it has', async () => {
  await using own = await startTestApp({ env: { RUN_TIMEOUT_SECONDS: '1' } });
  const { conversationId, ...socketClient } = await openChat(own, 'assistant', { sub: 'guest' });
  own.model.add({ text: ['Slow', ' ...'], afterTokens: 1, misbehave: 'hang' });
  const events = await socketClient.chatTurn('sse', { conversationId }).rest();
  expect(events.at(-1)?.error).toMatchObject({ code: 'MODEL_TIMEOUT', retryable: true });
  expect(events.at(-2)?.message).toMatchObject({ status: 'PARTIAL', content: 'Slow' });
});

test('Tool calls that fail are reported to the model, and the turn goes on', async () => {
  const { conversationId, ...socketClient } = await openChat(app);
  app.model.add(
    {
      calls: [
        { id: 'a', name: 'lookup_order', arguments: '{"orderNumber": ' },
        { id: 'b', name: 'no_such_tool', arguments: {} },
        { id: 'c', name: 'lookup_order', arguments: { orderNumber: 'abc' } },
        { id: 'd', name: 'echo_context', arguments: {} },
      ],
    },
    { text: 'Sorry.' },
  );
  const events = await socketClient.chatTurn('ws', { conversationId }).rest();
  const { toolCalls, messages } = await readRun(socketClient, events[0]?.runId ?? '');
  expect(toolCalls).toMatchObject([
    {
      callId: 'a',
      arguments: '{"orderNumber": ',
      status: 'FAILED',
      result: null,
      error: expect.stringContaining('JSON'),
    },
    { callId: 'b', status: 'FAILED', error: expect.stringContaining('The tool no_such_tool does not exist.') },
    { callId: 'c', status: 'FAILED', error: expect.stringContaining('order number') },
    { callId: 'd', status: 'SUCCEEDED', error: null },
  ]);
  // Calls of a step without a text belong to the message that came of them.
  expect(messages).toMatchObject([
    { content: 'Sorry.', toolCalls: ['a', 'b', 'c', 'd'].map((callId) => ({ callId })) },
  ]);
  app.model.add({ text: 'Next.' });
  await socketClient.chatTurn('ws', { conversationId }).rest();
});

test('A turn whose rows cannot be written fails, is closed, and leaves nothing open', async () => {
  const { conversationId, ...socketClient } = await openChat(app);
  const { db } = app.app;
  app.model.add({ text: ['I', ' look.'], calls: [{ id: 'x', name: 'echo_context', arguments: {} }] });
  await db.$executeRaw`ALTER TABLE tool_calls ADD CONSTRAINT no_more CHECK (name <> 'echo_context') NOT VALID`;
  try {
    const events = await socketClient.chatTurn('ws', { conversationId }).rest();
    expect(events.at(-1)).toMatchObject({ __typename: 'RunFailed', error: { code: 'INTERNAL' } });
    const run = await readRun(socketClient, events[0]?.runId ?? '');
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'INTERNAL' }, toolCalls: [] });
    expect(run.messages).toMatchObject([{ content: 'I look.' }]);
    expect(JSON.stringify(events)).not.toContain('no_more');
  } finally {
    await db.$executeRaw`ALTER TABLE tool_calls DROP CONSTRAINT no_more`;
  }
  expect(await db.message.count({ where: { status: 'STREAMING' } })).toBe(0);
  app.model.add({ text: 'Better.' });
  const events = await socketClient.chatTurn('ws', { conversationId }).rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
});

test('A message whose row cannot be completed keeps the text that its readers have seen', async () => {
  const { conversationId, ...socketClient } = await openChat(app);
  const { db } = app.app;
  const gate = createGate();
  app.model.add({ text: ['As', ' seen'], gate });
  const reader = socketClient.chatTurn('ws', { conversationId });
  await reader.untilText('As seen');
  await db.$executeRaw`ALTER TABLE messages ADD CONSTRAINT never_whole CHECK (role = 'USER' OR status <> 'COMPLETE') NOT VALID`;
  try {
    gate.open();
    const events = await reader.rest();
    expect(events.at(-1)).toMatchObject({ __typename: 'RunFailed', error: { code: 'INTERNAL' } });
    const run = await readRun(socketClient, events[0]?.runId ?? '');
    expect(run.messages).toMatchObject([{ status: 'PARTIAL', content: 'As seen' }]);
  } finally {
    await db.$executeRaw`ALTER TABLE messages DROP CONSTRAINT never_whole`;
  }
});

test('After failed turns nothing of them stays in memory', async () => {
  await expect.poll(() => app.app.runs.log.runIds()).toEqual([]);
  expect(app.app.runs.running.size).toBe(0);
});
