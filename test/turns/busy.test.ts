import { describe, expect, test } from 'vitest';
import { RunScheduler } from '../../src/runs/scheduler/scheduler.ts';
import { shareApp, startTestApp } from '../support/app.ts';
import { documents, openChat, openNewUser, type SocketClient } from '../support/chat.ts';
import { StreamRefused, type TurnReader } from '../support/clients/turn-reader.ts';
import { createGate, type Gate } from '../support/scripted-model/gate.ts';

const app = shareApp({ env: { SOCKETS_PER_USER: '200' } });

/** A conversation with a turn in the middle of its text. */
async function beBusy(): Promise<{
  socketClient: SocketClient;
  conversationId: string;
  gate: Gate;
  reader: TurnReader;
  runId: string;
}> {
  const { conversationId, ...socketClient } = await openChat(app, 'support');
  const gate = createGate();
  app.model.add({ text: ['First', ' answer'], afterTokens: 1, gate });
  const reader = socketClient.chatTurn('ws', { conversationId, content: 'first', idempotencyKey: 'first' });
  await reader.untilText('First');
  return { socketClient, conversationId, gate, reader, runId: reader.events[0]?.runId ?? '' };
}

async function refusalOf(reader: TurnReader) {
  const error: unknown = await reader.next().catch((refusal: unknown) => refusal);
  if (!(error instanceof StreamRefused)) throw new Error(`It was not refused: ${JSON.stringify(error)}`);
  return error.errors;
}

async function enqueue(socketClient: SocketClient, conversationId: string, content: string, ifBusy = 'ENQUEUE') {
  const input = { conversationId, content, idempotencyKey: content, ifBusy };
  const { startRun } = await socketClient.ask(documents.startRun, { input });
  return startRun;
}

async function statusesIn(socketClient: SocketClient, conversationId: string): Promise<string[]> {
  const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
  return conversation.runs.edges.map(({ node }: { node: { status: string } }) => node.status);
}

describe('REJECT', () => {
  test('REJECT is the default: CONFLICT with the run that is in the way, and nothing written', async () => {
    const { socketClient, conversationId, gate, reader, runId } = await beBusy();
    const input = { conversationId, content: 'second', idempotencyKey: 'second' };
    expect(await refusalOf(socketClient.chatTurn('sse', input))).toMatchObject([
      { extensions: { code: 'CONFLICT', runId } },
    ]);
    const refused = await app.query(documents.startRun, { input }, { token: socketClient.token });
    expect(refused).toMatchObject({ status: 409, errors: [{ extensions: { code: 'CONFLICT', runId } }] });
    gate.open();
    await reader.rest();
    const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
    expect(conversation).toMatchObject({ messageCount: 2, runs: { edges: [{ node: { status: 'COMPLETED' } }] } });
  });
});

describe('ENQUEUE', () => {
  test('Turns with ENQUEUE wait in the order in which they came, and each knows those before it', async () => {
    const { socketClient, conversationId, gate, reader } = await beBusy();
    const second = socketClient.chatTurn('ws', {
      conversationId,
      content: 'second',
      idempotencyKey: 'second',
      ifBusy: 'ENQUEUE',
    });
    const secondRest = second.rest();
    await expect.poll(() => statusesIn(socketClient, conversationId)).toEqual(['RUNNING', 'QUEUED']);
    const third = await enqueue(socketClient, conversationId, 'third');
    expect(third.status).toBe('QUEUED');
    const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
    expect(conversation.activeRun).toMatchObject({ id: reader.events[0]?.runId, status: 'RUNNING' });

    app.model.add({ text: 'Second answer' }, { text: 'Third answer' });
    const asked = app.model.requests.length;
    gate.open();
    await reader.rest();
    const events = await secondRest;
    expect(events.slice(0, 2)).toMatchObject([
      { __typename: 'RunQueued', seq: 1, position: 1, run: { status: 'QUEUED' } },
      { __typename: 'RunStarted', seq: 2, userMessage: { content: 'second' } },
    ]);
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted', run: { status: 'COMPLETED' } });
    expect((await socketClient.runEvents('sse', third.id).rest()).at(-1)?.__typename).toBe('RunCompleted');
    expect(
      app.model.requests
        .slice(asked)
        .map((request) => request.messages.map((item) => 'content' in item && item.content)),
    ).toEqual([
      ['first', 'First answer', 'second'],
      ['first', 'First answer', 'second', 'Second answer', 'third'],
    ]);
  });

  test('A queued turn uses the settings and the active agent as they are when it begins', async () => {
    const { socketClient, conversationId, gate, reader } = await beBusy();
    const second = await enqueue(socketClient, conversationId, 'second');
    await socketClient.ask(`mutation { updateChatSettings(input: { model: "later-model", temperature: 0.2 }) { id } }`);
    app.model.add({ text: 'Second answer' });
    gate.open();
    await reader.rest();
    await socketClient.runEvents('ws', second.id).rest();
    expect(app.model.requests.at(-1)).toMatchObject({ model: 'later-model', temperature: 0.2 });
    const { run } = await socketClient.ask(documents.run, { id: second.id });
    expect(run).toMatchObject({
      agent: { name: 'supervisor' },
      routingDecision: { rootAgent: { name: 'supervisor' } },
    });
  });

  test('A queued turn that names an agent makes it the active agent, and it stays', async () => {
    const { socketClient, conversationId, gate, reader } = await beBusy();
    const { agents } = await socketClient.ask(`{ agents { edges { node { id name } } } }`);
    const billing = agents.edges.find(({ node }: { node: { name: string } }) => node.name === 'billing').node.id;
    const second = socketClient.chatTurn('ws', {
      conversationId,
      content: 'bill',
      agentId: billing,
      ifBusy: 'ENQUEUE',
    });
    const rest = second.rest();
    await expect.poll(() => statusesIn(socketClient, conversationId)).toEqual(['RUNNING', 'QUEUED']);
    app.model.add({ text: 'Billing here' });
    gate.open();
    await reader.rest();
    await rest;
    expect(app.model.requests.at(-1)?.instructions).toContain('billing specialist');
    const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
    expect(conversation.activeAgent).toEqual({ name: 'billing' });
  });

  test('A queued turn whose agent was deleted meanwhile fails for good, and says why', async () => {
    const socketClient = await openNewUser(app);
    const make = async (name: string): Promise<string> => {
      return await socketClient.createAgent({ name, instructions: 'Help.' });
    };
    const [first, second] = [await make('first'), await make('second')];
    const conversationId = await socketClient.createConversation({ agentId: first });
    const gate = createGate();
    app.model.add({ text: ['First', ' answer'], afterTokens: 1, gate });
    const reader = socketClient.chatTurn('ws', { conversationId, content: 'first' });
    await reader.untilText('First');
    const input = { conversationId, content: 'x', idempotencyKey: 'x', ifBusy: 'ENQUEUE', agentId: second };
    const { startRun } = await socketClient.ask(documents.startRun, { input });
    const { length } = app.logs;
    await socketClient.ask('mutation ($id: ID!) { deleteAgent(id: $id) }', { id: second });
    gate.open();
    await reader.rest();
    const events = await socketClient.runEvents('ws', startRun.id).rest();
    expect(events).toMatchObject([
      { __typename: 'RunQueued' },
      { __typename: 'RunFailed', error: { code: 'INTERNAL', retryable: false } },
    ]);
    expect(events[1]?.error?.message).toContain('agentId');
    const { run } = await socketClient.ask(documents.run, { id: startRun.id });
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'INTERNAL' } });
    const lines = app.logs.slice(length);
    expect(lines.filter(({ level }) => Number(level) >= 40)).toEqual([]);
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'a turn could not begin', level: 30 }));
    // The conversation is not stuck.
    app.model.add({ text: 'Third.' });
    const next = await socketClient.chatTurn('ws', { conversationId, content: 'next', agentId: first }).rest();
    expect(next.at(-1)?.__typename).toBe('RunCompleted');
  });

  test('A queued turn can be cancelled; its readers hear of it, and the next is not held up', async () => {
    const { socketClient, conversationId, gate, reader } = await beBusy();
    const second = await enqueue(socketClient, conversationId, 'second');
    const third = await enqueue(socketClient, conversationId, 'third');
    const waiting = socketClient.runEvents('ws', second.id).rest();
    await expect.poll(() => app.app.runs.log.find(second.id.slice(4))?.readers).toBe(1);
    const { cancelRun } = await socketClient.ask(documents.cancelRun, { id: second.id });
    expect(cancelRun).toMatchObject({ status: 'CANCELLED', lastSeq: 2 });
    expect(await waiting).toMatchObject([
      { __typename: 'RunQueued', seq: 1 },
      { __typename: 'RunCancelled', seq: 2, run: { status: 'CANCELLED' } },
    ]);
    expect(await socketClient.runEvents('sse', second.id).rest()).toMatchObject([
      { __typename: 'RunQueued', seq: 1 },
      { __typename: 'RunCancelled', seq: 2 },
    ]);
    app.model.add({ text: 'Third answer' });
    gate.open();
    await reader.rest();
    expect((await socketClient.runEvents('ws', third.id).rest()).at(-1)?.__typename).toBe('RunCompleted');
    expect(await statusesIn(socketClient, conversationId)).toEqual(['COMPLETED', 'CANCELLED', 'COMPLETED']);
    // What was said stays said, also to the model.
    expect(app.model.requests.at(-1)?.messages).toMatchObject([
      { content: 'first' },
      { content: 'First answer' },
      // Neighbouring user messages are one: strict chat templates refuse two.
      { content: 'second\n\nthird' },
    ]);
  });

  test('A queued turn that is cancelled in the moment in which it begins ends once, and nothing is stuck', async () => {
    for (let round = 0; round < 12; round++) {
      const { socketClient, conversationId, gate, reader } = await beBusy();
      const second = await enqueue(socketClient, conversationId, 'second');
      const asked = app.model.requests.length;
      app.model.add({ text: 'Second answer', firstTokenDelayMs: 5 });
      gate.open();
      const [{ cancelRun }, events] = await Promise.all([
        socketClient.ask(documents.cancelRun, { id: second.id }),
        socketClient.runEvents('ws', second.id).rest(),
        reader.rest(),
      ]);
      expect(['CANCELLED', 'COMPLETED']).toContain(cancelRun.status);
      const ends = events.filter((event) => /^Run(Completed|Failed|Cancelled)$/.test(event.__typename));
      expect(ends.map((event) => event.run?.status)).toEqual([cancelRun.status]);
      // The answer, where it was not asked for.
      if (app.model.requests.length === asked) {
        await socketClient.chatTurn('ws', { conversationId, content: 'third' }).rest();
      }
      const { conversation } = await socketClient.ask(documents.conversation, { id: conversationId });
      expect(conversation.activeRun).toBeNull();
      expect((await socketClient.ask(documents.run, { id: second.id })).run.status).toBe(cancelRun.status);
    }
  });

  test('A queued turn with onDisconnect CANCEL is cancelled when its last reader leaves', async () => {
    const { socketClient, conversationId, gate, reader } = await beBusy();
    const second = socketClient.chatTurn('ws', {
      conversationId,
      content: 'second',
      ifBusy: 'ENQUEUE',
      onDisconnect: 'CANCEL',
    });
    const rest = second.rest();
    await expect.poll(() => statusesIn(socketClient, conversationId)).toEqual(['RUNNING', 'QUEUED']);
    await expect.poll(() => app.app.runs.log.runIds().length).toBe(2);
    await second.leave();
    expect(await rest).toMatchObject([{ __typename: 'RunQueued' }]);
    await expect.poll(() => statusesIn(socketClient, conversationId)).toEqual(['RUNNING', 'CANCELLED']);
    gate.open();
    await reader.rest();
  });

  test('A queued turn whose agent is gone when it begins fails, and the queue goes on', async () => {
    const { socketClient, conversationId, gate, reader } = await beBusy();
    const { agents } = await socketClient.ask(`{ agents { edges { node { id name } } } }`);
    const id = agents.edges.find(({ node }: { node: { name: string } }) => node.name === 'orders').node.id;
    const input = { conversationId, content: 'second', idempotencyKey: 'second', agentId: id, ifBusy: 'ENQUEUE' };
    const { startRun } = await socketClient.ask(documents.startRun, { input });
    const third = await enqueue(socketClient, conversationId, 'third');
    await app.app.db.agent.update({ where: { id: id.slice(4) }, data: { isActive: false } });
    // As the database tells it where it can; the embedded one does not.
    app.app.runs.agents.config.clear();
    try {
      app.model.add({ text: 'Third answer' });
      gate.open();
      await reader.rest();
      const events = await socketClient.runEvents('ws', startRun.id).rest();
      expect(events.at(-1)).toMatchObject({ __typename: 'RunFailed', error: { code: 'INTERNAL' } });
      expect((await socketClient.runEvents('ws', third.id).rest()).at(-1)?.__typename).toBe('RunCompleted');
      // The key still leads to its run, although the same turn could not be started now.
      const again = await socketClient.ask(documents.startRun, { input });
      expect(again.startRun).toEqual({ id: startRun.id, status: 'FAILED' });
    } finally {
      await app.app.db.agent.update({ where: { id: id.slice(4) }, data: { isActive: true } });
      app.app.runs.agents.config.clear();
    }
  });

  test('The input `after` beyond the end is refused if a turn is queued, too', async () => {
    const { socketClient, conversationId, gate, reader } = await beBusy();
    const second = await enqueue(socketClient, conversationId, 'second');
    expect(await refusalOf(socketClient.runEvents('ws', second.id, 2))).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', path: ['after'] } },
    ]);
    await socketClient.ask(documents.cancelRun, { id: second.id });
    gate.open();
    await reader.rest();
  });

  test('A turn that was queued while the server stopped begins with the next server', async () => {
    await using own = await startTestApp();
    const { conversationId, ...socketClient } = await openChat(own, 'assistant', { sub: 'patient' });
    // As a server leaves it that has ended its last turn while it was stopping.
    const gate = createGate();
    own.model.add({ text: ['One', ' two'], afterTokens: 1, gate });
    const reader = socketClient.chatTurn('ws', { conversationId });
    await reader.untilText('One');
    const second = await enqueue(socketClient, conversationId, 'second');
    const closing = own.app.runs.close();
    gate.open();
    await closing;
    const statusOfSecond = async () =>
      (await own.app.db.run.findUniqueOrThrow({ where: { id: second.id.slice(4) } })).status;
    expect(await statusOfSecond()).toBe('QUEUED');

    own.model.add({ text: 'Late answer' });
    const next = new RunScheduler(own.app.runs);
    await next.start();
    await expect.poll(statusOfSecond).toBe('COMPLETED');
    await next.close();
  });
});

describe('INTERRUPT', () => {
  test('INTERRUPT stops the turn that runs, keeps its text, and goes on with the new one', async () => {
    const { socketClient, conversationId, reader } = await beBusy();
    app.model.add({ text: 'Second answer' });
    const second = await socketClient
      .chatTurn('sse', { conversationId, content: 'second', ifBusy: 'INTERRUPT' })
      .rest();
    expect(second.at(-1)?.__typename).toBe('RunCompleted');
    const first = await reader.rest();
    expect(first.slice(-2)).toMatchObject([
      { __typename: 'MessageCompleted', message: { status: 'PARTIAL', content: 'First' } },
      { __typename: 'RunCancelled' },
    ]);
    expect(app.model.requests.at(-1)?.messages).toMatchObject([
      { role: 'user', content: 'first' },
      { role: 'assistant', content: 'First' },
      { role: 'user', content: 'second' },
    ]);
  });

  test('INTERRUPT stops those that are queued as well', async () => {
    const { socketClient, conversationId, reader } = await beBusy();
    await enqueue(socketClient, conversationId, 'second');
    await enqueue(socketClient, conversationId, 'third');
    app.model.add({ text: 'Fourth answer' });
    const asked = app.model.requests.length;
    const fourth = await enqueue(socketClient, conversationId, 'fourth', 'INTERRUPT');
    expect((await socketClient.runEvents('ws', fourth.id).rest()).at(-1)?.__typename).toBe('RunCompleted');
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCancelled');
    expect(await statusesIn(socketClient, conversationId)).toEqual([
      'CANCELLED',
      'CANCELLED',
      'CANCELLED',
      'COMPLETED',
    ]);
    expect(app.model.requests.length).toBe(asked + 1);
  });

  test('Several turns with INTERRUPT at the same time: the last one answers, and nothing is stuck', async () => {
    const { socketClient, conversationId, reader } = await beBusy();
    // How many of them get as far as the model is not given: those that are interrupted before it never ask.
    const answered = app.model.requests.length;
    const steps = Array.from({ length: 8 }, () => ({ text: ['Yes'], delayMs: 1 }));
    app.model.add(...steps);
    const started = await Promise.all(
      Array.from({ length: 8 }, (_, n) => enqueue(socketClient, conversationId, `again ${n}`, 'INTERRUPT')),
    );
    const ends = await Promise.all(
      started.map(async ({ id }) => (await socketClient.runEvents('ws', id).rest()).at(-1)?.__typename),
    );
    await reader.rest();
    for (const end of ends) expect(['RunCompleted', 'RunCancelled']).toContain(end);
    const statuses = await statusesIn(socketClient, conversationId);
    expect(statuses.at(-1)).toBe('COMPLETED');
    expect(statuses).toHaveLength(9);
    // The rest of the script is used up by turns that nobody interrupts.
    for (let n = app.model.requests.length - answered; n < steps.length; n++) {
      await socketClient.chatTurn('ws', { conversationId, content: `again, alone ${n}` }).rest();
    }
  });
});

test('A queue has a limit: beyond fifty turns the next is refused, and nothing of it is written', async () => {
  const { socketClient, conversationId, gate, reader, runId } = await beBusy();
  app.model.add(...Array.from({ length: 49 }, () => ({ text: 'Yes.' })));
  for (let n = 0; n < 49; n++) await enqueue(socketClient, conversationId, `waiting ${n}`);
  const input = { conversationId, content: 'one too many', idempotencyKey: 'too many', ifBusy: 'ENQUEUE' };
  const refused = await app.query(documents.startRun, { input }, { token: socketClient.token });
  expect(refused).toMatchObject({ status: 409, errors: [{ extensions: { code: 'CONFLICT', runId } }] });
  expect(await statusesIn(socketClient, conversationId)).toHaveLength(50);
  gate.open();
  await reader.rest();
  await expect
    .poll(async () => new Set(await statusesIn(socketClient, conversationId)), { timeout: 15_000 })
    .toEqual(new Set(['COMPLETED']));
});
