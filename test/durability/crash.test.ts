import { expect, test } from 'vitest';
import { startModelServer } from '../../src/demo/server.ts';
import { documents, openChat, openSocketClient, type SocketClient } from '../support/chat.ts';
import { assembleTexts, type TurnEvent, type TurnReader } from '../support/clients/turn-reader.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { type FaultyStep, playFaulty } from '../support/scripted-model/faults.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { spawnServer, startServer } from '../support/server.ts';
import { findFaults } from './find-faults.ts';

/** Processes start and end in these tests, several times each. */
const room = { timeout: 240_000 };

/** Reads until the stream ends or breaks. */
async function readWhatComes(reader: TurnReader): Promise<TurnEvent[]> {
  return reader.rest().catch(() => reader.events);
}

/**
 * What has to hold of a run whose server was killed, whatever its readers had seen of it: they get its end, and what they
 * show then is what is stored.
 */
async function expectEnded(socketClient: SocketClient, seen: readonly TurnEvent[]) {
  const runId = seen[0]?.runId ?? '';
  await socketClient.runEvents('ws', runId).rest();
  const { run } = await socketClient.ask(documents.run, { id: runId });
  // After every event of a short stream, and after some of a long one.
  const stride = Math.ceil(seen.length / 12);
  const places = [0, ...seen.toReversed().flatMap((event, back) => (back % stride === 0 ? event.seq : []))];
  for (const [index, after] of places.entries()) {
    const rest = await socketClient.runEvents(index % 2 ? 'ws' : 'sse', runId, after).rest();
    expect(rest.every((event) => event.seq > after)).toBe(true);
    const events = [...seen.filter((event) => event.seq <= after), ...rest];
    expect(findFaults({ run, readers: [events], received: [] })).toEqual([]);
  }
  return run;
}

test(
  'kill -9 four times in a text: it was taken over three times, has failed, and its text is kept',
  room,
  async () => {
    await using data = await createTestDataFolder();
    await using model = await createScriptedModel();
    const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
    const tokens = Array.from({ length: 400 }, (_, n) => `${n} `);
    let seen: TurnEvent[] = [];
    let conversationId = '';
    for (let kills = 0; kills < 4; kills++) {
      model.add({ text: [`${kills}: `, ...tokens], delayMs: 10 });
      await using server = await startServer(data.folder, env);
      const socketClient = await openSocketClient(server, 'alice');
      conversationId ||= await socketClient.createConversation();
      const after = seen.at(-1)?.seq ?? 0;
      const reader = socketClient.chatTurn('ws', { conversationId, content: 'Count.', idempotencyKey: 'count', after });
      await reader.until((event) => (event.offset ?? 0) > 400);
      await server.end('SIGKILL');
      seen = [...seen, ...(await readWhatComes(reader))];
      expect(seen.at(-1)?.__typename).toBe('TextDelta');
    }
    await using server = await startServer(data.folder, env);
    const socketClient = await openSocketClient(server, 'alice');
    const run = await expectEnded(socketClient, seen);
    expect(run).toMatchObject({
      ...{ status: 'FAILED', error: { code: 'INTERRUPTED', retryable: true }, resumedCount: 3 },
      ...{ userMessage: { content: 'Count.' }, messages: [{ status: 'PARTIAL' }] },
    });
    expect(run.messages[0].content).toMatch(/^3: 0 1 2 /);
    expect(run.finishedAt).not.toBeNull();

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

test('kill -9 before the first token, and again while the next servers recover the run', room, async () => {
  await using data = await createTestDataFolder();
  // Nobody knows how often it is asked.
  const model = await startModelServer<FaultyStep>({
    play: playFaulty,
    respond: () => ({ misbehave: 'hang-before-headers' }),
  });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => model.close());
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
  const seen: TurnEvent[] = [];
  {
    await using server = await startServer(data.folder, env);
    const socketClient = await openSocketClient(server, 'alice');
    const reader = socketClient.chatTurn('ws', {
      conversationId: await socketClient.createConversation(),
      content: 'Hello',
    });
    await reader.until('RoutingDecided');
    await server.end('SIGKILL');
    seen.push(...(await readWhatComes(reader)));
  }
  for (const delay of [150, 300, 450, 600, 5_000, 5_000, 5_000]) {
    const child = spawnServer(data.folder, env);
    await new Promise((resolve) => setTimeout(resolve, delay));
    child.process.kill('SIGKILL');
    await child.exited;
  }
  await using server = await startServer(data.folder, env);
  const socketClient = await openSocketClient(server, 'alice');
  const runId = seen[0]?.runId ?? '';
  // On a slow machine it has not been taken over often enough.
  await socketClient.ask(documents.cancelRun, { id: runId }).catch(() => {});
  const run = await expectEnded(socketClient, seen);
  expect(['FAILED', 'CANCELLED']).toContain(run.status);
  expect(run).toMatchObject({ userMessage: { content: 'Hello' }, messages: [], toolCalls: [] });
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
  'SIGTERM leaves a turn that does not end to the next server, which carries out the rest and then the queue',
  room,
  async () => {
    await using data = await createTestDataFolder();
    await using model = await createScriptedModel();
    const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
    const nobody = createGate();
    model.add({ text: ['Never', ' done'], afterTokens: 1, gate: nobody });
    let seen: TurnEvent[];
    let waitingId: string;
    {
      await using server = await startServer(data.folder, { ...env, DRAIN_SECONDS: '1' });
      const { conversationId, ...socketClient } = await openChat(server, 'assistant', { sub: 'alice' });
      const reader = socketClient.chatTurn('sse', { conversationId });
      await reader.untilText('Never');
      const input = { conversationId, content: 'Next', idempotencyKey: 'next', ifBusy: 'ENQUEUE' };
      waitingId = (await socketClient.ask(documents.startRun, { input })).startRun.id;
      const ended = server.end('SIGTERM');
      seen = await readWhatComes(reader);
      // Its readers are told no end: the run is handed over.
      expect(seen.at(-1)).toMatchObject({ __typename: 'TextDelta', delta: 'Never' });
      expect(await ended).toBe(0);
    }
    nobody.open();
    model.add({ text: 'Done after all.' }, { text: 'Here I am.' });
    await using server = await startServer(data.folder, env);
    const socketClient = await openSocketClient(server, 'alice');
    const run = await expectEnded(socketClient, seen);
    expect(run).toMatchObject({ status: 'COMPLETED', resumedCount: 1, messages: [{ content: 'Done after all.' }] });
    const events = await socketClient.runEvents('ws', waitingId).rest();
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
    expect([...assembleTexts(events).values()]).toEqual(['Here I am.']);
  },
);
