import { randomUUID } from 'node:crypto';
import { print } from 'graphql';
import { describe, expect, test } from 'vitest';
import {
  type ChatTurnInput,
  HydrateDocument,
  type HydrateQuery,
  NewConversationDocument,
  type NewConversationMutation,
  SendDocument,
  type SendMutation,
} from '../generated/graphql.ts';
import { shareApp } from '../support/app.ts';
import { expectNoRepeats, readUntilCut } from '../support/clients/cut.ts';
import {
  askForEvents,
  askForTurn,
  type OpenTransport,
  openSseTransport,
  openWsTransport,
  Transcript,
  type TurnStream,
} from '../support/clients/transports.ts';
import { openWire } from '../support/clients/wire.ts';
import { modelCalls, scriptTurn } from '../support/scripted-model/long-turn.ts';

const transports: [string, OpenTransport][] = [
  ['graphql-transport-ws', openWsTransport],
  ['SSE', openSseTransport],
];

/** What a client that remembers the last seq it has seen asks for. */
const waysBack: [string, (input: ChatTurnInput, seen: Transcript) => TurnStream][] = [
  ['chatTurn', (input, { lastSeq: after }) => askForTurn({ input: { ...input, after } })],
  ['runEvents', (_input, { last, lastSeq: after }) => askForEvents({ runId: last?.runId ?? '', after })],
];

/** Dozens of turns on two cores: room, not an expectation. */
const timeout = 120_000;

/** How many events of the script's turn cannot be merged with another. */
const minEvents = 15;

const app = shareApp();

describe.each(transports)('a client over %s that is cut off after any event', (_name, open) => {
  test('A client that is cut off ends with exactly the stored turn when its library asks for the same chatTurn again', {
    timeout,
  }, async () => {
    await cutAtEach(async (place) => {
      const turn = await prepareTurn();
      const transcript = new Transcript();
      let cut = false;
      await using wire = await openWire(app.url);
      await using reader = open(wire.url, turn.token, 3);
      await reader.follow(askForTurn({ input: turn.input }), (event) => {
        transcript.take(event);
        if (cut || transcript.events.length < place) return;
        cut = true;
        wire.cut();
      });
      await expectWholeTurn(turn, transcript);
      return cut;
    });
  });

  test.each(waysBack)(
    'A client that is cut off ends with exactly the stored turn when it comes back with %s',
    { timeout },
    async (_how, resume) => {
      await cutAtEach(async (place) => {
        const turn = await prepareTurn();
        const transcript = new Transcript();
        const cut = await readUntilCut(readerOf(open, turn), askForTurn({ input: turn.input }), transcript, place);
        if (cut) {
          const ended = transcript.last?.__typename === 'RunCompleted';
          await using reader = open(`${app.url}/graphql`, turn.token, 0);
          await reader.follow(resume(turn.input, transcript), (event) => transcript.take(event));
          if (ended) expect(transcript.events).toHaveLength(place);
        }
        expectNoRepeats(transcript);
        await expectWholeTurn(turn, transcript);
        return cut;
      });
    },
  );

  test.each(waysBack)(
    'A client that is cut off after each event, and comes back with %s, ends with exactly the stored turn',
    { timeout },
    async (_how, resume) => {
      const turn = await prepareTurn(20);
      const transcript = new Transcript();
      let cuts = 0;
      for (; transcript.last?.__typename !== 'RunCompleted'; cuts += 1) {
        const stream = transcript.last ? resume(turn.input, transcript) : askForTurn({ input: turn.input });
        expect(await readUntilCut(readerOf(open, turn), stream, transcript, transcript.events.length + 1)).toBe(true);
        expectNoRepeats(transcript);
      }
      expect(cuts).toBeGreaterThanOrEqual(minEvents);
      await expectWholeTurn(turn, transcript);
    },
  );
});

test.each(['edited', 'answered again'] as const)(
  'A client that is cut off after each event ends with exactly the stored turn if its message is %s',
  { timeout },
  async (how) => {
    const turn = await prepareBranch(how);
    const transcript = new Transcript();
    for (let way = 0; transcript.last?.__typename !== 'RunCompleted'; way += 1) {
      const back = waysBack[way % waysBack.length]?.[1];
      const stream = transcript.last && back ? back(turn.input, transcript) : askForTurn({ input: turn.input });
      expect(
        await readUntilCut(readerOf(openWsTransport, turn), stream, transcript, transcript.events.length + 1),
      ).toBe(true);
      expectNoRepeats(transcript);
    }
    await expectWholeTurn(turn, transcript);
  },
);

/** As {@link prepareTurn}, beside a turn that was there before. */
async function prepareBranch(how: 'edited' | 'answered again'): Promise<PreparedTurn> {
  const turn = await prepareTurn(null);
  const { conversationId, content, idempotencyKey } = turn.input;
  const first = how === 'edited' ? `Before: ${content}` : (content ?? '');
  app.model.add({ text: 'It was another answer.', match: says(first) });
  const input = { conversationId, content: first, idempotencyKey: randomUUID() };
  const { data, errors } = await app.query(print(SendDocument), { input }, { token: turn.token });
  expect(errors).toEqual([]);
  const { sendMessage }: SendMutation = data;
  app.model.add(...scriptTurn(content ?? '', 5));
  const answerId = sendMessage.messages[0]?.id ?? '';
  if (how === 'answered again') {
    return { ...turn, earlierCalls: 1, input: { conversationId, idempotencyKey, regenerateMessageId: answerId } };
  }
  const hydrated = await app.query(print(HydrateDocument), { id: conversationId }, { token: turn.token });
  const { conversation }: HydrateQuery = hydrated.data;
  return { ...turn, input: { ...turn.input, editMessageId: conversation?.messages.edges[0]?.node.id ?? '' } };
}

const says =
  (content: string) =>
  ({ messages }: { readonly messages: readonly object[] }) =>
    messages.some((message) => 'content' in message && message.content === content);

const readerOf = (open: OpenTransport, { token }: PreparedTurn) => ({ open, url: app.url, token });

interface PreparedTurn {
  readonly token: string;
  readonly conversationId: string;
  readonly input: ChatTurnInput;
  /** What the user says in it. */
  readonly content: string;
  /** How often the model was asked about the same text before. */
  readonly earlierCalls: number;
}

/** A turn that is in the model's script and that nobody has asked for yet, in a conversation of its own. */
async function prepareTurn(delayMs?: number | null): Promise<PreparedTurn> {
  const content = `Where is order 1042? (${randomUUID()})`;
  // Null: its script comes later.
  if (delayMs !== null) app.model.add(...scriptTurn(content, delayMs));
  const token = await app.token({ sub: `user-${randomUUID()}` });
  const { data, errors } = await app.query(
    print(NewConversationDocument),
    { input: { scenarioKey: 'support' } },
    { token },
  );
  expect(errors).toEqual([]);
  const created: NewConversationMutation = data;
  const conversationId = created.createConversation.id;
  const input = { conversationId, content, idempotencyKey: randomUUID() };
  return { token, conversationId, input, content, earlierCalls: 0 };
}

/** The client has exactly what is stored, and it was done once. */
async function expectWholeTurn(turn: PreparedTurn, transcript: Transcript): Promise<void> {
  const { data, errors } = await app.query(print(HydrateDocument), { id: turn.conversationId }, { token: turn.token });
  expect(errors).toEqual([]);
  const { conversation }: HydrateQuery = data;
  const messages = conversation?.messages.edges.map(({ node }) => node) ?? [];
  expect(messages.map(({ role, status, agent }) => [role, status, agent?.name])).toEqual([
    ['USER', 'COMPLETE', undefined],
    ['ASSISTANT', 'COMPLETE', 'supervisor'],
    ['ASSISTANT', 'COMPLETE', 'orders'],
  ]);
  expect(messages[2]?.content).toBe('Your 📦 is on its way:\n“in two days”.');
  const stored = new Map(messages.slice(1).map(({ id, content }) => [id, content]));
  expect(transcript.texts).toEqual(stored);

  expect(transcript.last?.__typename).toBe('RunCompleted');
  for (const type of [
    'TextRetracted',
    'ReasoningDelta',
    'ToolCallCompleted',
    'HandoffOccurred',
    'MessageCompleted',
  ] as const) {
    expect(transcript.types).toContain(type);
  }
  expect(conversation?.activeRun).toBeNull();
  expect(conversation?.runs.edges.slice(-1).map(({ node }) => [node.id, node.status, node.lastSeq])).toEqual([
    [transcript.last?.runId, 'COMPLETED', transcript.lastSeq],
  ]);
  const asked = app.model.requests.filter(({ messages: history }) =>
    history.some((message) => message.role === 'user' && message.content === turn.content),
  );
  expect(asked).toHaveLength(modelCalls + turn.earlierCalls);
}

/**
 * Cuts a turn at its first event, another at its second, and so on until one was over before it could be cut; some of
 * them at once. How many events a turn has is not always the same: tokens that come together are one event.
 */
async function cutAtEach(check: (place: number) => Promise<boolean>): Promise<void> {
  let place = 0;
  let ended = false;
  const work = async () => {
    while (!ended) {
      place += 1;
      if (!(await check(place))) ended = true;
    }
  };
  await Promise.all(Array.from({ length: 8 }, work));
  expect(place).toBeGreaterThan(minEvents);
}
