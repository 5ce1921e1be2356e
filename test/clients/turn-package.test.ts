import { randomUUID } from 'node:crypto';
import { createClient } from 'graphql-ws';
import { expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createTurn, followRun, ServerError, type Turn, type TurnState } from '../../packages/client/src/index.ts';
import { createBillingConversation, refund } from '../approvals/decide.ts';
import { shareApp } from '../support/app.ts';
import { documents, openNewUser, type SocketClient } from '../support/chat.ts';
import { openWire } from '../support/clients/wire.ts';
import { modelCalls, scriptTurn } from '../support/scripted-model/long-turn.ts';

// The package that front ends stand on, against a real server, by the real graphql-ws.

const app = shareApp();
const timeout = 120_000;
/** Every change is told of, not one for each frame. */
const options = { schedule: (notify: () => void) => notify() };

function openSocket(url: string, user: SocketClient, retryAttempts: number) {
  return createClient({
    url: url.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${user.token}` },
    retryAttempts,
    retryWait: async () => {},
    shouldRetry: () => true,
  });
}

/** All states that a turn had, up to its end. */
async function watch(turn: Turn, onState: (state: TurnState, states: readonly TurnState[]) => void = () => {}) {
  const states: TurnState[] = [];
  const stop = turn.subscribe(() => {
    states.push(turn.getState());
    onState(turn.getState(), states);
  });
  await turn.ended;
  stop();
  return states;
}

/** The texts of what has begun as a message: a step that thinks and calls has reasoning alone. */
const textsOf = ({ messages }: TurnState) =>
  new Map(messages.flatMap(({ id, agent, text }) => (agent === '' ? [] : [[id, text]])));

/** A turn that is in the model's script, in a new conversation. */
async function prepare(user: SocketClient) {
  const content = `Where is order 1042? (${randomUUID()})`;
  // Slow enough for most of its events to come one by one.
  app.model.add(...scriptTurn(content, 20));
  const conversationId = await user.createConversation('support');
  const countRequests = () =>
    app.model.requests.filter(({ messages }) =>
      messages.some((message) => message.role === 'user' && message.content === content),
    ).length;
  return { input: { conversationId, content }, countRequests };
}

async function readStored(user: SocketClient, conversationId: string): Promise<Map<string, string>> {
  const { conversation } = await user.ask(
    'query ($id: ID!) { conversation(id: $id) { messages { edges { node { id role content } } } } }',
    { id: conversationId },
  );
  const messages: { id: string; role: string; content: string }[] = conversation.messages.edges.map(
    ({ node }: { node: object }) => node,
  );
  return new Map(messages.filter(({ role }) => role === 'ASSISTANT').map(({ id, content }) => [id, content]));
}

test('A turn whose socket is cut after each change ends as it is stored, done once, and its text never jumps', {
  timeout,
}, async () => {
  const user = await openNewUser(app);
  const { input, countRequests } = await prepare(user);
  await using wire = await openWire(app.url);
  const socket = openSocket(wire.url, user, 1_000);
  const turn = createTurn(socket, input, options);
  expect(turn.getState()).toMatchObject({ status: 'CONNECTING', userMessage: { id: null, content: input.content } });
  let cuts = 0;
  let seq = 0;
  const states = await watch(turn, (state) => {
    if (state.seq === seq) return;
    seq = state.seq;
    cuts += 1;
    wire.cut();
  });
  const last = turn.getState();
  expect(last).toMatchObject({ status: 'COMPLETED', error: null });
  expect(last.userMessage?.id).toMatch(/^msg_/);
  expect(cuts).toBeGreaterThan(10);
  expect(textsOf(last)).toEqual(await readStored(user, input.conversationId));
  expect(last.messages.map(({ agent, isComplete }) => [agent, isComplete])).toEqual([
    ['supervisor', true],
    ['', false],
    ['orders', true],
  ]);
  expect(last.messages.map(({ reasoning }) => reasoning)).toEqual(['', 'They want 1042.', '']);
  expect(last.handoffs).toMatchObject([{ from: 'supervisor', to: 'orders', reason: 'An order.' }]);
  expect(last.toolCalls).toMatchObject([{ name: 'lookup_order', status: 'SUCCEEDED', needsApproval: false }]);
  expect(countRequests()).toBe(modelCalls);
  // A text grows at its end, or is taken back to a beginning of it.
  for (const [index, state] of states.entries()) {
    for (const [id, text] of textsOf(state)) {
      const before = (index > 0 && states[index - 1] && textsOf(states[index - 1] as TurnState).get(id)) || '';
      expect(text.startsWith(before) || before.startsWith(text), `${before} → ${text}`).toBe(true);
    }
  }
  await socket.dispose();
});

test('A turn whose connection is given up is LOST, and goes on from there when it is resumed', {
  timeout,
}, async () => {
  const user = await openNewUser(app);
  const { input, countRequests } = await prepare(user);
  await using wire = await openWire(app.url);
  const socket = openSocket(wire.url, user, 0);
  const turn = createTurn(socket, input, options);
  const stop = turn.subscribe(() => {
    if (turn.getState().status === 'RUNNING' && turn.getState().seq > 2) wire.cut();
  });
  expect(await turn.ended).toMatchObject({ status: 'LOST', error: { code: 'CONNECTION_LOST', retryable: true } });
  stop();
  const lost = turn.getState();
  turn.resume();
  await vi.waitFor(() => expect(turn.getState().status).toBe('COMPLETED'), { timeout: 60_000 });
  expect(turn.getState().seq).toBeGreaterThan(lost.seq);
  expect(textsOf(turn.getState())).toEqual(await readStored(user, input.conversationId));
  expect(countRequests()).toBe(modelCalls);
  await socket.dispose();
});

test('The same key attaches to the same turn; a run that is followed from what a query returned ends the same', {
  timeout,
}, async () => {
  const user = await openNewUser(app);
  const { input, countRequests } = await prepare(user);
  const socket = openSocket(app.wsUrl, user, 0);
  const turn = createTurn(socket, input, options);
  await vi.waitFor(() => expect(turn.getState().messages.length).toBeGreaterThan(0), { timeout: 60_000 });
  const again = createTurn(socket, { ...input, idempotencyKey: turn.idempotencyKey ?? '' }, options);
  const { seq: lastSeq, messages, toolCalls, runId } = turn.getState();
  const followed = followRun(socket, runId ?? '', { lastSeq, messages, toolCalls }, options);
  const fromStart = followRun(socket, runId ?? '');
  const ends = await Promise.all([turn, again, followed, fromStart].map(({ ended }) => ended));
  for (const end of ends) {
    expect(end.status).toBe('COMPLETED');
    expect(end.seq).toBe(ends[0]?.seq);
    expect(end.messages).toEqual(ends[0]?.messages);
    expect(end.toolCalls).toEqual(ends[0]?.toolCalls);
  }
  expect(countRequests()).toBe(modelCalls);
  await socket.dispose();
});

test('A call that waits for a person is decided on through the turn, which goes on', { timeout }, async () => {
  const user = await openNewUser(app);
  const conversationId = await createBillingConversation(user);
  app.model.add({ text: 'I refund it.', calls: [refund('r1')] }, { text: 'It is refunded.' });
  const socket = openSocket(app.wsUrl, user, 0);
  const turn = createTurn(socket, { conversationId, content: 'Refund 1042' }, options);
  await vi.waitFor(() => expect(turn.getState().status).toBe('WAITING'), { timeout: 60_000 });
  const call = turn.getState().toolCalls.find(({ needsApproval }) => needsApproval);
  await expect(turn.approve(`tcl_${randomUUID()}`, true)).rejects.toThrow(ServerError);
  await turn.approve(call?.id ?? '', true);
  const end = await turn.ended;
  expect(end).toMatchObject({ status: 'COMPLETED', toolCalls: [{ needsApproval: false, status: 'SUCCEEDED' }] });
  expect(end.messages.map(({ text }) => text)).toEqual(['I refund it.', 'It is refunded.']);
  await socket.dispose();
});

test('A turn that is stopped before it was heard of, and one that is stopped in mid-text, are cancelled', {
  timeout,
}, async () => {
  const user = await openNewUser(app);
  const socket = openSocket(app.wsUrl, user, 0);
  for (const when of ['at once', 'in mid-text'] as const) {
    app.model.add({ text: Array.from({ length: 200 }, (_, n) => `w${n} `), delayMs: 50 });
    const turn = createTurn(socket, { conversationId: await user.createConversation(), content: when }, options);
    if (when === 'in mid-text')
      await vi.waitFor(() => expect(turn.getState().messages[0]?.text).toBeTruthy(), { timeout: 60_000 });
    await turn.stop();
    expect(await turn.ended).toMatchObject({ status: 'CANCELLED', error: null });
  }
  await socket.dispose();
});

test('A turn that is refused has failed with the code of the error, and is not sent again', { timeout }, async () => {
  const user = await openNewUser(app);
  const socket = openSocket(app.wsUrl, user, 5);
  const turn = createTurn(socket, { conversationId: `conv_${randomUUID()}`, content: 'Hello' }, options);
  expect(await turn.ended).toMatchObject({
    status: 'FAILED',
    runId: null,
    error: { code: 'NOT_FOUND', retryable: false },
  });
  turn.resume();
  expect(turn.getState().status).toBe('FAILED');
  await turn.stop();
  await socket.dispose();
});

test('A turn that is left goes on at the server, and is there when it is resumed', { timeout }, async () => {
  const user = await openNewUser(app);
  const { input, countRequests } = await prepare(user);
  const socket = openSocket(app.wsUrl, user, 0);
  const turn = createTurn(socket, input, options);
  await vi.waitFor(() => expect(turn.getState().messages.length).toBe(1), { timeout: 60_000 });
  turn.leave();
  const { seq } = turn.getState();
  await vi.waitFor(
    async () => {
      const { conversation } = await user.ask(documents.conversation, { id: input.conversationId });
      expect(conversation.activeRun).toBeNull();
    },
    { timeout: 60_000, interval: 100 },
  );
  expect(turn.getState().seq).toBe(seq);
  turn.resume();
  expect(await turn.ended).toMatchObject({ status: 'COMPLETED' });
  expect(textsOf(turn.getState())).toEqual(await readStored(user, input.conversationId));
  expect(countRequests()).toBe(modelCalls);
  await socket.dispose();
});
