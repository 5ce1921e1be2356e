import { randomUUID } from 'node:crypto';
import { print } from 'graphql';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { formatId, parseId } from '../../src/api/ids.ts';
import {
  type ChatTurnInput,
  HydrateDocument,
  type HydrateQuery,
  NewConversationDocument,
  type NewConversationMutation,
} from '../generated/graphql.ts';
import { shareApp } from '../support/app.ts';
import { unpackArchive } from '../support/archive.ts';
import {
  askForEvents,
  askForTurn,
  openSseTransport,
  openWsTransport,
  Transcript,
  type TransportClient,
} from '../support/clients/transports.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { scriptTurn } from '../support/scripted-model/long-turn.ts';

const app = shareApp({ env: { SOCKETS_PER_USER: '100' } });

test.each([
  ['graphql-transport-ws', openWsTransport],
  ['SSE', openSseTransport],
])('A finished run is replayed after every seq that it had, over %s', async (_name, open) => {
  const { token, input } = await prepareTurn();
  app.model.add(...scriptTurn(input.content ?? ''));
  await using reader = open(`${app.url}/graphql`, token, 0);
  const live = await followTurn(reader, input);
  const runId = live.last?.runId ?? '';

  // Every event of the log on its own, as no reader need have had them.
  const id = parseId('Run', runId, []);
  const { events } = await app.app.db.runArchive.findUniqueOrThrow({ where: { runId: id } });
  const log = await unpackArchive(id, events);
  expect(log.map(({ seq }) => seq)).toEqual(Array.from({ length: live.lastSeq }, (_, index) => index + 1));

  const seen = new Transcript();
  for (const after of [0, ...log.map(({ seq }) => seq)]) {
    const event = log[after - 1];
    const to = event && { seq: event.seq, runId, at: new Date(event.at).toISOString() };
    if (to && event?.type === 'TextDelta') {
      const { messageId, offset, delta } = event;
      seen.take({ __typename: event.type, ...to, messageId: formatId('Message', messageId), offset, delta });
    } else if (to && event?.type === 'TextRetracted') {
      const { messageId, length } = event;
      seen.take({ __typename: event.type, ...to, messageId: formatId('Message', messageId), length });
    }
    const rest = new Transcript();
    for (const [messageId, text] of seen.texts) rest.texts.set(messageId, text);
    await reader.follow(askForEvents({ runId, after }), (next) => rest.take(next));
    const seqs = rest.events.map(({ seq }) => seq);
    expect(seqs).toEqual([...new Set(seqs)].filter((seq) => seq > after).sort((a, b) => a - b));
    expect(rest.texts).toEqual(live.texts);
    expect(rest.last).toEqual(after === live.lastSeq ? undefined : live.last);
    // All of it is there already, so whatever can be one event is one.
    const types = rest.events.map(({ __typename }) => __typename);
    expect(types.filter((type, index) => type === 'TextDelta' && type === types[index - 1])).toEqual([]);
  }
  await expect(reader.follow(askForEvents({ runId, after: live.lastSeq + 1 }), () => {})).rejects.toThrow('at most');
  await expect(reader.follow(askForEvents({ runId, after: -1 }), () => {})).rejects.toThrow();
});

test('A page that is opened in mid-turn shows what is stored and goes on from there', async () => {
  const { token, input } = await prepareTurn();
  const gate = createGate();
  app.model.add({ text: ['One', ' two', ' three', ' four'], gate, afterTokens: 2 });
  await using reader = openWsTransport(`${app.url}/graphql`, token, 0);
  const half = Promise.withResolvers<void>();
  const first = new Transcript();
  const reading = reader.follow(askForTurn({ input }), (event) => {
    first.take(event);
    if ([...first.texts.values()].includes('One two')) half.resolve();
  });
  await half.promise;

  // The text is saved from time to time; whenever the page is opened, the seq belongs to what it was given.
  const opened = await hydrate(token, input);
  expect(opened?.activeRun).toMatchObject({ id: first.last?.runId, status: 'RUNNING' });
  const second = new Transcript();
  for (const { node } of opened?.messages.edges ?? [])
    if (node.role === 'ASSISTANT') second.texts.set(node.id, node.content);
  const after = opened?.activeRun?.lastSeq ?? 0;
  const catchingUp = reader.follow(askForEvents({ runId: opened?.activeRun?.id ?? '', after }), (event) =>
    second.take(event),
  );
  gate.open();
  await Promise.all([reading, catchingUp]);
  expect(second.last).toEqual(first.last);
  expect(second.texts).toEqual(first.texts);
  expect([...second.texts.values()]).toEqual(['One two three four']);
});

test('A reader that does not read for a while holds up nobody, and misses nothing', async () => {
  const { token, input } = await prepareTurn();
  const gate = createGate();
  // Megabytes: more than is on the way to a reader that reads.
  const words = Array.from({ length: 1_000 }, (_, index) => ` ${index}${'.'.repeat(3_000)}`);
  app.model.add({ text: ['Begin:', ...words], gate, afterTokens: 1 });

  const sockets: WebSocket[] = [];
  const Pausable = new Proxy(WebSocket, {
    construct(target, args, newTarget) {
      const socket: WebSocket = Reflect.construct(target, args, newTarget);
      sockets.push(socket);
      return socket;
    },
  });
  const slow = new Transcript();
  const begun = Promise.withResolvers<void>();
  await using reader = openWsTransport(`${app.url}/graphql`, token, 0, Pausable);
  const reading = reader.follow(askForTurn({ input }), (event) => {
    slow.take(event);
    if (event.__typename === 'TextDelta' && slow.texts.size === 1) begun.resolve();
  });
  await begun.promise;
  for (const socket of sockets) socket.pause();
  gate.open();

  await using other = openSseTransport(`${app.url}/graphql`, token, 0);
  const quick = await followTurn(other, input);
  expect([...quick.texts.values()]).toEqual([`Begin:${words.join('')}`]);
  expect(slow.last?.__typename).toBe('TextDelta');
  for (const socket of sockets) socket.resume();
  await reading;
  expect(slow.texts).toEqual(quick.texts);
  expect(slow.lastSeq).toBe(quick.lastSeq);
});

test('Two hundred readers of one run all have all of it', { timeout: 240_000 }, async () => {
  const { token, input } = await prepareTurn();
  const gate = createGate();
  const tokens = Array.from({ length: 100 }, (_, index) => ` ${index}`);
  app.model.add({ text: tokens, gate, afterTokens: 1, delayMs: 1 });
  await using clients = new AsyncDisposableStack();
  const readers = Array.from({ length: 20 }, (_, index) =>
    clients.use((index % 2 === 0 ? openWsTransport : openSseTransport)(`${app.url}/graphql`, token, 0)),
  );
  const transcripts: Transcript[] = [];
  const attached: Promise<void>[] = [];
  const readings = readers.flatMap((reader) =>
    Array.from({ length: 10 }, () => {
      const transcript = new Transcript();
      const first = Promise.withResolvers<void>();
      transcripts.push(transcript);
      attached.push(first.promise);
      return reader.follow(askForTurn({ input }), (event) => {
        transcript.take(event);
        first.resolve();
      });
    }),
  );
  await Promise.all(attached);
  gate.open();
  await Promise.all(readings);

  const stored = await hydrate(token, input);
  const [message] = stored?.messages.edges.map(({ node }) => node).filter(({ role }) => role === 'ASSISTANT') ?? [];
  expect(message?.content).toBe(tokens.join(''));
  expect(stored?.runs.totalCount).toBe(1);
  expect(transcripts).toHaveLength(200);
  for (const { last, texts } of transcripts) {
    expect(last?.__typename).toBe('RunCompleted');
    expect(texts).toEqual(new Map([[message?.id, message?.content]]));
  }
});

async function prepareTurn(): Promise<{ token: string; input: ChatTurnInput }> {
  const token = await app.token({ sub: `user-${randomUUID()}` });
  const { data } = await app.query(print(NewConversationDocument), { input: { scenarioKey: 'support' } }, { token });
  const { createConversation }: NewConversationMutation = data;
  return { token, input: { conversationId: createConversation.id, content: randomUUID(), idempotencyKey: 'once' } };
}

async function followTurn(reader: TransportClient, input: ChatTurnInput): Promise<Transcript> {
  const transcript = new Transcript();
  await reader.follow(askForTurn({ input }), (event) => transcript.take(event));
  return transcript;
}

async function hydrate(token: string, { conversationId: id }: ChatTurnInput): Promise<HydrateQuery['conversation']> {
  const { data } = await app.query(print(HydrateDocument), { id }, { token });
  const { conversation }: HydrateQuery = data;
  return conversation;
}
