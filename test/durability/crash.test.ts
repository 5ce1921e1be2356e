import { expect, test } from 'vitest';
import { openDatabase } from '../../src/database/client.ts';
import { openEmbeddedPostgres } from '../../src/database/embedded/embedded.ts';
import { documents, openChat, openSocketClient, type SocketClient } from '../support/chat.ts';
import { assembleTexts, type TurnEvent, type TurnReader } from '../support/clients/turn-reader.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { spawnServer, startServer } from '../support/server.ts';

/** Processes start and end in these tests, several times each. */
const room = { timeout: 240_000 };

const isUnknown = (call: { readonly status: string }) => call.status === 'UNKNOWN';

/** Reads until the stream ends or breaks. */
async function readWhatComes(reader: TurnReader): Promise<TurnEvent[]> {
  return reader.rest().catch(() => reader.events);
}

/**
 * What has to hold of a run whose server was killed, whatever its readers had seen of it: they get the end, and what
 * they show then is what is stored.
 */
async function expectInterrupted(socketClient: SocketClient, seen: readonly TurnEvent[]) {
  const runId = seen[0]?.runId ?? '';
  const { run } = await socketClient.ask(documents.run, { id: runId });
  expect(run).toMatchObject({
    status: 'FAILED',
    // The same turn again would call the tool again.
    error: { code: 'INTERRUPTED', retryable: !run.toolCalls.some(isUnknown) },
  });
  expect(run.finishedAt).not.toBeNull();
  for (const message of run.messages) expect(['COMPLETE', 'PARTIAL']).toContain(message.status);
  for (const call of run.toolCalls) expect(['SUCCEEDED', 'FAILED', 'CANCELLED', 'UNKNOWN']).toContain(call.status);
  const stored = new Map<string, string>(
    run.messages.map(({ id, content }: { id: string; content: string }) => [id, content]),
  );
  const shown = assembleTexts(seen);
  // After every event of a short stream, and after some of a long one.
  const stride = Math.ceil(seen.length / 12);
  const places = [0, ...seen.toReversed().flatMap((event, back) => (back % stride === 0 ? event.seq : []))];
  for (const [index, after] of places.entries()) {
    const rest = await socketClient.runEvents(index % 2 ? 'ws' : 'sse', runId, after).rest();
    expect(rest.every((event) => event.seq > after)).toBe(true);
    expect(rest.at(-1)).toMatchObject({ __typename: 'RunFailed', error: { code: 'INTERRUPTED' } });
    expect(rest.at(-1)?.seq).toBe(run.lastSeq);
    const texts = assembleTexts(rest, assembleTexts(seen.filter((event) => event.seq <= after)));
    expect(new Map([...texts].filter(([id]) => stored.has(id)))).toEqual(stored);
    const completed = rest
      .filter((event) => event.__typename === 'ToolCallCompleted')
      .map((event) => event.toolCall?.callId);
    for (const call of run.toolCalls) expect(completed).toContain(call.callId);
  }
  for (const [id, content] of stored) expect((shown.get(id) ?? '').startsWith(content)).toBe(true);
  return run;
}

test(
  'kill -9 in the middle of a text: the saved text is there, the run has failed, a new turn works',
  room,
  async () => {
    await using data = await createTestDataFolder();
    await using model = await createScriptedModel();
    const tokens = Array.from({ length: 400 }, (_, n) => `${n} `);
    model.add({ text: tokens, delayMs: 10 });
    let seen: TurnEvent[];
    let conversationId: string;
    {
      await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
      const socketClient = await openSocketClient(server, 'alice');
      conversationId = await socketClient.createConversation();
      const reader = socketClient.chatTurn('ws', { conversationId, content: 'Count.', idempotencyKey: 'count' });
      await reader.until((event) => (event.offset ?? 0) > 400);
      await server.end('SIGKILL');
      seen = await readWhatComes(reader);
      expect(seen.at(-1)?.__typename).toBe('TextDelta');
    }
    await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
    const socketClient = await openSocketClient(server, 'alice');
    const run = await expectInterrupted(socketClient, seen);
    expect(run).toMatchObject({ userMessage: { content: 'Count.' }, messages: [{ status: 'PARTIAL' }] });
    expect(run.messages[0].content).toMatch(/^0 1 2 /);
    // A client that does not know of any of this, and asks for its turn again.
    const again = socketClient.chatTurn('ws', {
      conversationId,
      content: 'Count.',
      idempotencyKey: 'count',
      after: seen.at(-1)?.seq,
    });
    expect((await again.rest()).at(-1)?.__typename).toBe('RunFailed');

    model.add({ text: 'Where was I?' });
    const next = await socketClient.chatTurn('sse', { conversationId, content: 'Go on.' }).rest();
    expect(next.at(-1)?.__typename).toBe('RunCompleted');
    expect(model.requests.at(-1)?.messages).toEqual([
      { role: 'user', content: 'Count.' },
      { role: 'assistant', content: run.messages[0].content, calls: [] },
      { role: 'user', content: 'Go on.' },
    ]);
  },
);

test('kill -9 before the first token, and again while the next server recovers the run', room, async () => {
  await using data = await createTestDataFolder();
  await using model = await createScriptedModel();
  model.add({ misbehave: 'hang-before-headers' });
  const seen: TurnEvent[] = [];
  {
    await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
    const socketClient = await openSocketClient(server, 'alice');
    const reader = socketClient.chatTurn('ws', {
      conversationId: await socketClient.createConversation(),
      content: 'Hello',
    });
    await reader.until('RoutingDecided');
    await model.received(1);
    await server.end('SIGKILL');
    seen.push(...(await readWhatComes(reader)));
  }
  for (const delay of [150, 300, 450, 600]) {
    const child = spawnServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
    await new Promise((resolve) => setTimeout(resolve, delay));
    child.process.kill('SIGKILL');
    await child.exited;
  }
  await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
  const run = await expectInterrupted(await openSocketClient(server, 'alice'), seen);
  expect(run).toMatchObject({ userMessage: { content: 'Hello' }, messages: [], toolCalls: [] });
});

test('kill -9 twice: in a tool call, after a handoff, with a turn that waits', room, async () => {
  await using data = await createTestDataFolder();
  await using model = await createScriptedModel();
  const gate = createGate();
  model.add(
    { calls: [{ id: 'h', name: 'transfer_to_orders', arguments: { reason: 'an order' } }] },
    {
      text: 'I look.',
      calls: [
        { id: 'done', name: 'lookup_order', arguments: { orderNumber: '1042' } },
        { id: 'open', name: 'echo_context', arguments: {} },
      ],
    },
    { text: ['It', ' is'], afterTokens: 1, gate },
  );
  let first: TurnEvent[];
  let conversationId: string;
  let waitingId: string;
  {
    await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
    const socketClient = await openSocketClient(server, 'alice');
    conversationId = await socketClient.createConversation('support');
    const reader = socketClient.chatTurn('sse', { conversationId, content: 'Where is 1042?' });
    await reader.until((event) => event.delta === 'It');
    const input = { conversationId, content: 'And 1043?', idempotencyKey: 'next', ifBusy: 'ENQUEUE' };
    waitingId = (await socketClient.ask(documents.startRun, { input })).startRun.id;
    await server.end('SIGKILL');
    first = await readWhatComes(reader);
  }
  {
    // The rows as a crash leaves them in the middle of a tool call: built-in tools are too quick to be hit.
    await using postgres = await openEmbeddedPostgres(data.folder);
    await using database = openDatabase({ url: postgres.url, poolSize: 1 });
    await database.db.$executeRaw`
      UPDATE tool_calls SET status = 'RUNNING', result = NULL, finished_at = NULL WHERE call_id = 'open'`;
  }
  const second = createGate();
  model.add({ text: ['I', ' look', ' again.'], afterTokens: 2, gate: second });
  let waited: TurnEvent[];
  {
    await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
    const socketClient = await openSocketClient(server, 'alice');
    const run = await expectInterrupted(
      socketClient,
      first.filter((event) => event.toolCall?.callId !== 'open' || event.__typename !== 'ToolCallCompleted'),
    );
    expect(run.toolCalls).toMatchObject([
      { callId: 'done', status: 'SUCCEEDED', result: { number: '1042' } },
      { callId: 'open', status: 'UNKNOWN', result: null, error: expect.stringContaining('not known') },
    ]);
    expect(run).toMatchObject({ agent: { name: 'orders' }, handoffs: [{ toAgent: { name: 'orders' } }] });
    expect(run.messages[0]).toMatchObject({ status: 'COMPLETE', content: 'I look.' });
    // The one that waited has begun by itself, and knows what was before.
    const reader = socketClient.runEvents('ws', waitingId);
    await reader.untilText('I look');
    expect(model.requests.at(-1)?.instructions).toContain('orders specialist');
    const { messages = [] } = model.requests.at(-1) ?? {};
    expect(messages.slice(0, 6)).toEqual([
      { role: 'user', content: 'Where is 1042?' },
      {
        role: 'assistant',
        content: '',
        calls: [{ id: 'h', name: 'transfer_to_orders', arguments: '{"reason":"an order"}' }],
      },
      { role: 'tool', callId: 'h', output: expect.any(String) },
      {
        role: 'assistant',
        content: 'I look.',
        calls: [{ id: 'done' }, { id: 'open' }].map((call) => expect.objectContaining(call)),
      },
      { role: 'tool', callId: 'done', output: expect.stringContaining('shipped') },
      { role: 'tool', callId: 'open', output: expect.stringContaining('not known') },
    ]);
    expect(messages.at(-1)).toEqual({ role: 'user', content: 'And 1043?' });
    await server.end('SIGKILL');
    waited = await readWhatComes(reader);
  }
  await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
  const socketClient = await openSocketClient(server, 'alice');
  await expectInterrupted(socketClient, waited);
  model.add({ text: 'Third time lucky.' });
  const next = await socketClient.chatTurn('ws', { conversationId, content: 'So?' }).rest();
  expect(next.at(-1)?.__typename).toBe('RunCompleted');
  const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
  expect(conversation).toMatchObject({ activeRun: null, activeAgent: { name: 'orders' } });
  expect(conversation.messages.edges).toHaveLength(conversation.messageCount);
});

test(
  'SIGTERM lets a turn that is about to end finish, its readers hear of it, and the process exits in order',
  room,
  async () => {
    await using data = await createTestDataFolder();
    await using model = await createScriptedModel();
    const gate = createGate();
    model.add({ text: ['Almost', ' done'], afterTokens: 1, gate });
    let runId: string;
    {
      await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
      const socketClient = await openSocketClient(server, 'alice');
      const closes: unknown[] = [];
      const conversationId = await socketClient.createConversation();
      const reader = socketClient.chatTurn('ws', { conversationId });
      await reader.untilText('Almost');
      model.add({ text: ['Also', ' done'], afterTokens: 1, gate });
      const other = socketClient.chatTurn('sse', { conversationId: await socketClient.createConversation() });
      await other.untilText('Also');
      const idle = server.ws(socketClient.token, {
        lazy: false,
        onNonLazyError: () => {},
        on: { closed: (event) => void closes.push(event instanceof Object && 'code' in event ? event.code : event) },
      });
      await new Promise<void>((resolve) => idle.on('connected', () => resolve()));
      const ended = server.end('SIGTERM');
      gate.open();
      const events = await reader.rest();
      expect(events.at(-1)?.__typename).toBe('RunCompleted');
      expect((await other.rest()).at(-1)?.__typename).toBe('RunCompleted');
      expect(await ended).toBe(0);
      expect(closes).toEqual([1012]);
      runId = events[0]?.runId ?? '';
    }
    await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
    const { run } = await (await openSocketClient(server, 'alice')).ask(documents.run, { id: runId });
    expect(run).toMatchObject({ status: 'COMPLETED', messages: [{ content: 'Almost done' }] });
  },
);

test(
  'SIGTERM leaves a turn that does not end to the next server, which makes it INTERRUPTED and begins one in the queue',
  room,
  async () => {
    await using data = await createTestDataFolder();
    await using model = await createScriptedModel();
    model.add({ text: ['Never', ' done'], afterTokens: 1, misbehave: 'hang' });
    let runId: string;
    let waitingId: string;
    {
      await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
      const { conversationId, ...socketClient } = await openChat(server, 'assistant', { sub: 'alice' });
      const reader = socketClient.chatTurn('sse', { conversationId });
      await reader.untilText('Never');
      const input = { conversationId, content: 'Next', idempotencyKey: 'next', ifBusy: 'ENQUEUE' };
      waitingId = (await socketClient.ask(documents.startRun, { input })).startRun.id;
      const ended = server.end('SIGTERM');
      const events = await readWhatComes(reader);
      // Its readers are told no end: the run is handed over.
      expect(events.at(-1)).toMatchObject({ __typename: 'TextDelta', delta: 'Never' });
      expect(await ended).toBe(0);
      runId = events[0]?.runId ?? '';
    }
    model.add({ text: 'Here I am.' });
    await using server = await startServer(data.folder, { OPENAI_BASE_URL: model.url, MODEL: 'test-model' });
    const socketClient = await openSocketClient(server, 'alice');
    const { run } = await socketClient.ask(documents.run, { id: runId });
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'INTERRUPTED' } });
    const events = await socketClient.runEvents('ws', waitingId).rest();
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
    expect([...assembleTexts(events).values()]).toEqual(['Here I am.']);
  },
);
