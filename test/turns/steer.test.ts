import { setImmediate as nextLoopTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createBillingConversation, decide, refund } from '../approvals/decide.ts';
import { shareApp } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';
import type { TurnEvent } from '../support/clients/turn-reader.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp({ env: { SOCKETS_PER_USER: '200', RATE_LIMIT_TURNS: '0' } });

const look = [{ name: 'current_time', arguments: {} }];
const typesOf = (events: readonly TurnEvent[]) => events.map(({ __typename }) => __typename);
/** Of adjacent deltas, readers get as many as they are fast. */
const placesOf = (events: readonly TurnEvent[]) =>
  events
    .filter(({ __typename }) => __typename !== 'TextDelta')
    .map(({ seq, runId, __typename }) => [seq, runId, __typename]);
const steeredIn = (events: readonly TurnEvent[]) =>
  events.filter(({ __typename }) => __typename === 'MessageSteered').map(({ message }) => message?.content);

/** The texts that the last request gave the model, without the results of tools. */
const givenTexts = () =>
  app.model.requests
    .at(-1)
    ?.messages.flatMap((item) =>
      'content' in item && typeof item.content === 'string' && item.content && !item.content.startsWith('(')
        ? [item.content]
        : [],
    );

const listDocument = `query ($id: ID!) { conversation(id: $id) {
  messageCount runs { totalCount edges { node { id status } } }
  messages { edges { node { id role content position idempotencyKey run { id } parent { id } } } } } }`;

type Chat = Awaited<ReturnType<typeof openChat>>;
async function read(chat: Pick<Chat, 'ask'>, conversationId: string) {
  const { conversation } = await chat.ask(listDocument, { id: conversationId });
  const messages: { id: string; content: string; idempotencyKey: string; run: { id: string } }[] =
    conversation.messages.edges.map(({ node }: { node: unknown }) => node);
  const runs: { id: string; status: string }[] = conversation.runs.edges.map(({ node }: { node: unknown }) => node);
  return { messages, runs, contents: messages.map(({ content }) => content), count: conversation.messageCount };
}

/** A turn in the middle of its first step, which calls a tool if it is not the last one. */
async function beBusy(calls: typeof look | [] = look) {
  const chat = await openChat(app);
  const gate = createGate();
  app.model.add({ text: ['Let me', ' look.'], afterTokens: 1, gate, ...(calls.length > 0 && { calls }) });
  const first = chat.say('first', { idempotencyKey: 'first' });
  await first.untilText('Let me');
  /** How many messages wait, by the rows. */
  const waiting = () =>
    app.app.db.run.count({ where: { conversationId: chat.conversationId.replace('conv_', ''), status: 'QUEUED' } });
  const steer = (content: string, input: Record<string, unknown> = {}) =>
    chat.say(content, { ifBusy: 'STEER', idempotencyKey: content, ...input });
  return { chat, gate, first, waiting, steer, runId: first.events[0]?.runId };
}

test('A message joins the run before its next step: once in the rows, the request and the events, from the call’s own moment', async () => {
  const { chat, gate, first, waiting, steer, runId } = await beBusy();
  const steered = steer('rather that');
  const events = steered.rest();
  await expect.poll(waiting).toBe(1);
  expect((await read(chat, chat.conversationId)).contents).not.toContain('rather that');
  app.model.add({ text: 'That it is.' });
  gate.open();
  const all = await first.rest();
  expect(typesOf(all).at(-1)).toBe('RunCompleted');
  expect(steeredIn(all)).toEqual(['rather that']);
  expect(givenTexts()).toEqual(['first', 'Let me look.', 'rather that']);

  const own = await events;
  expect(own[0]).toMatchObject({
    __typename: 'MessageSteered',
    runId,
    message: { role: 'USER', content: 'rather that' },
  });
  expect(placesOf(own)).toEqual(placesOf(all.filter(({ seq }) => seq >= (own[0]?.seq ?? 0))));
  // The key leads to the run, whatever the conversation does now; with another text it is refused.
  expect(placesOf(await steer('rather that', { ifBusy: 'REJECT' }).rest())).toEqual(placesOf(own));
  const { startRun } = await chat.ask(documents.startRun, {
    input: { conversationId: chat.conversationId, content: 'rather that', idempotencyKey: 'rather that' },
  });
  expect(startRun).toMatchObject({ id: runId, status: 'COMPLETED' });
  await expect(steer('another', { idempotencyKey: 'rather that' }).next()).rejects.toThrow('CONFLICT');
  expect(placesOf(await chat.runEvents('sse', runId ?? '').rest())).toEqual(placesOf(all));

  const { contents, runs, messages, count } = await read(chat, chat.conversationId);
  expect(contents).toEqual(['first', 'Let me look.', 'rather that', 'That it is.']);
  expect([count, runs.length]).toEqual([4, 1]);
  expect(messages[2]).toMatchObject({
    idempotencyKey: 'rather that',
    run: { id: runId },
    parent: { id: messages[1]?.id },
  });
  // The next turn is given it in its place.
  app.model.add({ text: 'Fine.' });
  await chat.readToEnd('second');
  expect(givenTexts()).toEqual(['first', 'Let me look.', 'rather that', 'That it is.', 'second']);
  expect((await read(chat, chat.conversationId)).runs).toHaveLength(2);
});

test('A message that comes during the last step becomes a turn of its own, and several do so in their order', async () => {
  const { chat, gate, first, waiting, steer, runId } = await beBusy([]);
  const own = [];
  for (const [index, content] of ['one', 'two'].entries()) {
    own.push(steer(content).rest());
    await expect.poll(waiting).toBe(index + 1);
  }
  app.model.add({ text: 'A one.' }, { text: 'A two.' });
  gate.open();
  expect(steeredIn(await first.rest())).toEqual([]);
  const [one, two] = await Promise.all(own);
  for (const events of [one, two]) {
    expect(events?.[0]?.runId).not.toBe(runId);
    expect(typesOf(events ?? []).at(-1)).toBe('RunCompleted');
  }
  const { contents, runs } = await read(chat, chat.conversationId);
  expect(contents).toEqual(['first', 'Let me look.', 'one', 'A one.', 'two', 'A two.']);
  expect(runs.map(({ status }) => status)).toEqual(['COMPLETED', 'COMPLETED', 'COMPLETED']);
  expect(runs.slice(1).map(({ id }) => id)).toEqual([one?.[0]?.runId, two?.[0]?.runId]);
});

test('In a conversation that is idle it is a turn like any other; with edit or regenerate it is BAD_USER_INPUT', async () => {
  const chat = await openChat(app);
  app.model.add({ text: 'Hello.' });
  const events = await chat.readToEnd('Hi', { ifBusy: 'STEER' });
  expect(typesOf(events)[0]).toBe('RunStarted');
  const { messages } = await read(chat, chat.conversationId);
  for (const input of [{ editMessageId: messages[0]?.id }, { regenerateMessageId: messages[1]?.id, content: null }])
    await expect(chat.say('x', { ...input, ifBusy: 'STEER' }).next()).rejects.toThrow('BAD_USER_INPUT');
});

test('A message that joined can be neither edited nor answered again by itself; its turn can', async () => {
  const { chat, gate, first, waiting, steer } = await beBusy();
  void steer('rather that').rest();
  await expect.poll(waiting).toBe(1);
  app.model.add({ text: 'That it is.' });
  gate.open();
  await first.rest();
  const { messages } = await read(chat, chat.conversationId);
  const joined = messages[2]?.id;
  await expect(chat.say('x', { editMessageId: joined }).next()).rejects.toThrow('BAD_USER_INPUT');
  await expect(chat.say('', { regenerateMessageId: joined, content: null }).next()).rejects.toThrow('BAD_USER_INPUT');
  app.model.add({ text: 'Again.' });
  await chat.readToEnd('', { regenerateMessageId: messages[3]?.id, content: null });
  expect(givenTexts()).toEqual(['first']);
  await chat.ask('mutation ($id: ID!) { selectBranch(messageId: $id) { id } }', { id: joined });
  expect((await read(chat, chat.conversationId)).contents).toEqual(messages.map(({ content }) => content));
});

test('A message that comes while the run waits for a person joins after the decision; startRun does not wait for that', async () => {
  const chat = await openChat(app);
  const conversationId = await createBillingConversation(chat);
  app.model.add({ calls: [refund('r')] });
  const first = chat.chatTurn('ws', { conversationId, content: 'Refund 1042' });
  const { runId } = await first.until('ApprovalRequested');
  const input = { conversationId, content: 'and hurry', idempotencyKey: 'hurry', ifBusy: 'STEER' };
  const { startRun } = await chat.ask(documents.startRun, { input });
  expect(startRun).toEqual({ id: runId, status: 'REQUIRES_ACTION' });
  const own = chat.chatTurn('sse', input).rest();
  app.model.add({ text: 'Done, in a hurry.' });
  await decide(chat, runId, 'r');
  const all = await first.rest();
  expect(steeredIn(all)).toEqual(['and hurry']);
  expect(givenTexts()).toEqual(['Refund 1042', 'and hurry']);
  expect((await own)[0]).toMatchObject({ __typename: 'MessageSteered', runId });
});

describe('a run that ends otherwise', () => {
  test('A message that waits for a run which is cancelled becomes a turn of its own; cancelled itself, it stays in the list', async () => {
    const { chat, first, waiting, steer, runId } = await beBusy();
    const own = steer('rather that');
    const events = own.rest();
    await expect.poll(waiting).toBe(1);
    app.model.add({ text: 'That it is.' });
    await chat.ask(documents.cancelRun, { id: runId });
    expect(typesOf(await first.rest()).at(-1)).toBe('RunCancelled');
    expect(typesOf(await events).at(-1)).toBe('RunCompleted');
    expect((await read(chat, chat.conversationId)).contents.slice(-2)).toEqual(['rather that', 'That it is.']);
  });
});

/** How often the end of a run is raced; by hand, 1000. */
const rounds = Number(process.env.STEER_ROUNDS ?? 30);
const raceTimeout = 240_000 + rounds * 2_000;

test(
  'Raced at the end of a run, each message has exactly one of two outcomes, and each of 20 racing requests the same',
  async () => {
    const isFirst = (request: { readonly messages: readonly unknown[] }) =>
      JSON.stringify(request.messages.at(-1)).includes('"first"');
    const answer = {
      text: 'An answer.',
      match: (request: { readonly messages: readonly unknown[] }) => !isFirst(request),
    };
    let left = 0;
    for (let round = 0; round < rounds; round++) {
      const hasTool = round % 3 !== 0;
      const { chat, gate, first, steer, runId } = await beBusy(hasTool ? look : []);
      const asked = app.model.requests.length;
      const wanted = hasTool ? 2 : 1;
      app.model.add(...Array.from({ length: Math.max(wanted - left, 0) }, () => answer));
      const inStock = Math.max(wanted, left);
      gate.open();
      // At another moment in each round: before, during and after the last step.
      for (let turn = 0; turn < (round * 7) % 60; turn++) await nextLoopTurn();
      const readers = round % 10 === 0 ? 20 : 2;
      const racing = Array.from({ length: readers }, () => steer('rather that').rest());
      const [own, all] = await Promise.all([Promise.all(racing), first.rest()]);
      left = inStock - (app.model.requests.length - asked);
      for (const events of own) expect(placesOf(events)).toEqual(placesOf(own[0] ?? []));
      const { contents, runs } = await read(chat, chat.conversationId);
      expect(contents.filter((content) => content === 'rather that')).toHaveLength(1);
      const hasJoined = own[0]?.[0]?.runId === runId;
      expect(steeredIn(all)).toEqual(hasJoined ? ['rather that'] : []);
      expect(runs).toHaveLength(hasJoined ? 1 : 2);
      const given = app.model.requests
        .slice(asked)
        .filter(({ messages }) => JSON.stringify(messages).includes('rather that'));
      expect(given).toHaveLength(1);
    }
    const chat = await openChat(app);
    for (; left > 0; left--) await chat.readToEnd('What is left');
  },
  raceTimeout,
);
