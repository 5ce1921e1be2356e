import { randomUUID } from 'node:crypto';
import { print } from 'graphql';
import { describe, expect, test } from 'vitest';
import { type ChatTurnInput, HydrateDocument, type HydrateQuery } from '../generated/graphql.ts';
import { shareApp } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';
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
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp({ env: { SOCKETS_PER_USER: '200', EVENT_STREAMS_PER_USER: '200', RATE_LIMIT_TURNS: '0' } });
const timeout = 120_000;
const transports: readonly OpenTransport[] = [openWsTransport, openSseTransport];
const kinds = ['edited', 'answered again', 'steered'] as const;
type Kind = (typeof kinds)[number];

/** A turn in the middle of its first step, which nobody reads yet. */
async function openTurn(kind: Kind) {
  const chat = await openChat(app);
  const { conversationId, token } = chat;
  const content = `first ${randomUUID()}`;
  const about = ({ messages }: { readonly messages: readonly object[] }) => JSON.stringify(messages).includes(content);
  const gate = createGate();
  const answer = { text: ['That', ' 👩‍🚀', ' it', ' is', '.'], delayMs: 5, match: about };
  const steps = [{ text: ['Let me', ' look.'], calls: [{ name: 'current_time', arguments: {} }] }, answer];
  const [look] = steps;
  let input: ChatTurnInput = { conversationId, content, idempotencyKey: 'turn' };
  if (kind !== 'steered') {
    app.model.add({ text: 'Another answer.', match: about });
    await chat.readToEnd(kind === 'edited' ? `${content}, it said` : content, { idempotencyKey: 'before' });
    const [said, answered] = await listMessages();
    const { content: _, ...rest } = input;
    input =
      kind === 'edited'
        ? { ...input, editMessageId: said?.id ?? '' }
        : { ...rest, regenerateMessageId: answered?.id ?? '' };
  }
  app.model.add({ ...look, afterTokens: 1, gate, delayMs: 5, match: about }, answer);

  async function listMessages() {
    const { data } = await app.query(print(HydrateDocument), { id: conversationId }, { token });
    const { conversation }: HydrateQuery = data;
    return conversation?.messages.edges.map(({ node }) => node) ?? [];
  }
  return { chat, token, input, gate, content, listMessages };
}

/** Starts the turn, up to its gate. @returns its run, and a message for it that joins before its next step */
async function begin({ chat, input, gate }: Awaited<ReturnType<typeof openTurn>>) {
  const { startRun } = await chat.ask(documents.startRun, { input });
  await gate.reached;
  const { conversationId } = input;
  const steered: ChatTurnInput = {
    conversationId,
    content: 'rather that',
    idempotencyKey: 'steered',
    ifBusy: 'STEER' as const,
  };
  return { runId: startRun.id, steered };
}

const rowOf = (publicId: string | number) => String(publicId).slice('conv_'.length);
/** Resolves when the message waits for the run. */
const untilWaiting = ({ conversationId }: ChatTurnInput) =>
  expect
    .poll(() => app.app.db.run.count({ where: { conversationId: rowOf(conversationId), status: 'QUEUED' } }), {
      timeout: 30_000,
    })
    .toBe(1);

/** What all readers of a run have in common: of adjacent deltas they get as many as they are fast. */
const placesOf = ({ events }: Transcript) =>
  events
    .filter(({ __typename }) => __typename !== 'TextDelta')
    .map(({ seq, runId, __typename }) => ({ seq, runId, __typename }));

/** Reads a stream to its end, without a cut. */
async function readAll(token: string, stream: TurnStream, open: OpenTransport = openWsTransport) {
  const transcript = new Transcript();
  await using reader = open(`${app.url}/graphql`, token, 0);
  await reader.follow(stream, (event) => transcript.take(event));
  return transcript;
}

/** Reads a turn with a cut after each of its events, by another transport and another way back each time. */
async function readInPieces(token: string, input: ChatTurnInput): Promise<Transcript> {
  const transcript = new Transcript();
  for (let cuts = 0; transcript.last?.__typename !== 'RunCompleted'; cuts += 1) {
    const { last, lastSeq: after } = transcript;
    const back =
      last && cuts % 4 < 2 ? askForEvents({ runId: last.runId, after }) : askForTurn({ input: { ...input, after } });
    const open = transports[cuts % 2] ?? openWsTransport;
    const reader = { open, url: app.url, token };
    expect(await readUntilCut(reader, back, transcript, transcript.events.length + 1)).toBe(true);
    expectNoRepeats(transcript);
  }
  return transcript;
}

test('Cut after each event, who began a run and whose message has joined it end with exactly what is stored', {
  timeout,
}, async () => {
  const turn = await openTurn('steered');
  const { runId, steered } = await begin(turn);
  const { token, input } = turn;
  const reading = Promise.all([readInPieces(token, input), readInPieces(token, steered)]);
  await untilWaiting(steered);
  turn.gate.open();
  const [all, own] = await reading;
  const replay = await readAll(token, askForEvents({ runId }));
  expect(placesOf(all)).toEqual(placesOf(replay));
  expect(all.texts).toEqual(replay.texts);
  const [joined] = own.events;
  expect(joined).toMatchObject({ __typename: 'MessageSteered', runId, message: { content: 'rather that' } });
  expect(all.events.filter(({ __typename }) => __typename === 'MessageSteered')).toEqual([joined]);
  expect(placesOf(own)).toEqual(placesOf(replay).filter(({ seq }) => seq >= (joined?.seq ?? 0)));
  const messages = await turn.listMessages();
  expect(messages.map(({ content }) => content)).toEqual([
    turn.content,
    'Let me look.',
    'rather that',
    'That 👩‍🚀 it is.',
  ]);
  const stored = new Map(messages.filter(({ role }) => role === 'ASSISTANT').map(({ id, content }) => [id, content]));
  expect(all.texts).toEqual(stored);
  expect([...own.texts]).toEqual([...stored].slice(1));
});

describe.each(kinds)('a turn whose message is %s', (kind) => {
  test('Twenty who ask for it at the same moment get the same turn, which the replay and the list have too', {
    timeout,
  }, async () => {
    const turn = await openTurn(kind);
    const { token } = turn;
    const input = kind === 'steered' ? (await begin(turn)).steered : turn.input;
    const reading = Promise.all(
      Array.from({ length: 20 }, (_, index) => readAll(token, askForTurn({ input }), transports[index % 2])),
    );
    await turn.gate.reached;
    if (kind === 'steered') await untilWaiting(input);
    turn.gate.open();
    const [first, ...others] = await reading;
    if (!first) throw new Error('There are twenty.');
    for (const other of others) {
      expect(placesOf(other)).toEqual(placesOf(first));
      expect(other.texts).toEqual(first.texts);
    }
    expect(first.last?.__typename).toBe('RunCompleted');
    expect(first.types.has('MessageSteered')).toBe(kind === 'steered');
    const { runId = '', seq = 0 } = first.events[0] ?? {};
    const replay = await readAll(token, askForEvents({ runId, after: seq - 1 }));
    expect(placesOf(replay)).toEqual(placesOf(first));
    expect(replay.texts).toEqual(first.texts);
    const messages = await turn.listMessages();
    const texts = kind === 'steered' ? ['That 👩‍🚀 it is.'] : ['Let me look.', 'That 👩‍🚀 it is.'];
    expect([...first.texts.values()]).toEqual(texts);
    const stored = new Map(messages.map(({ id, content }) => [id, content]));
    for (const [id, text] of first.texts) expect(stored.get(id)).toBe(text);
    const where = { conversationId: rowOf(turn.input.conversationId) };
    expect(await app.app.db.run.count({ where })).toBe(kind === 'steered' ? 1 : 2);
  });
});
