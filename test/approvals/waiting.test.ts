import { describe, expect, test } from 'vitest';
import { recoverRuns } from '../../src/runs/upkeep/recover.ts';
import { shareApp, startTestApp } from '../support/app.ts';
import { documents, openNewUser, openSocketClient, type SocketClient } from '../support/chat.ts';
import { assembleTexts, openStream, sequenceOf, type Transport } from '../support/clients/turn-reader.ts';
import { createBillingConversation, decide, refund, startWaitingTurn, tryDecide } from './decide.ts';

/** Room for what is on its way, not an expectation. */
const drainTimeout = { timeout: 15_000 };

const app = shareApp({ env: { SOCKETS_PER_USER: '500' } });

const look = { id: 'look', name: 'lookup_order', arguments: { orderNumber: '1043' } };

async function statusOf(socketClient: SocketClient, runId: string): Promise<string> {
  return (await socketClient.ask(documents.run, { id: runId })).run.status;
}

describe.each<Transport>(['ws', 'sse'])(
  'a reader over %s that comes back after any event around the pause',
  (transport) => {
    const types = [
      'RunStarted',
      'RoutingDecided',
      'MessageStarted',
      'TextDelta',
      'MessageCompleted',
      'ToolCallStarted',
      'ToolCallCompleted',
      'ApprovalRequested',
      'ApprovalRequested',
      'ToolCallCompleted',
      'ToolCallStarted',
      'ToolCallCompleted',
      'MessageStarted',
      'TextDelta',
      'MessageCompleted',
      'RunCompleted',
    ];
    const waitsAt = types.lastIndexOf('ApprovalRequested') + 1;
    const places = types.slice(1).map((_type, index) => index + 1);

    test.each(places)(
      'A reader that left after event %i has each event once, and the whole text',
      { timeout: 240_000 },
      async (place) => {
        // Before the decision and after it: a reader may be away for as long as it likes.
        for (const awayWhileDecided of [false, true]) {
          const socketClient = await openNewUser(app);
          app.model.add({ text: 'Let me see.', calls: [look, refund('a', '1048'), refund('b', '1049')], delayMs: 0 });
          const conversationId = await createBillingConversation(socketClient);
          const reader = socketClient.chatTurn(transport, { conversationId });
          const decideBoth = async () => {
            app.model.add({ text: 'Done.', delayMs: 0 });
            await decide(socketClient, reader.events[0]?.runId ?? '', 'a', false);
            await decide(socketClient, reader.events[0]?.runId ?? '', 'b', true);
          };
          while (reader.events.length < Math.min(place, waitsAt)) await reader.next();
          const runId = reader.events[0]?.runId ?? '';
          await expect.poll(() => statusOf(socketClient, runId), drainTimeout).toBe('REQUIRES_ACTION');
          const decided = place > waitsAt || awayWhileDecided;
          if (place > waitsAt) await decideBoth();
          while (reader.events.length < place) await reader.next();
          await reader.leave();
          if (place <= waitsAt && awayWhileDecided) {
            await decideBoth();
            await expect.poll(() => statusOf(socketClient, runId), drainTimeout).toBe('COMPLETED');
          }
          const back = socketClient.runEvents(transport, runId, reader.events.at(-1)?.seq);
          if (!decided) {
            if (place < waitsAt) await back.until((event) => event.toolCall?.callId === 'b');
            await decideBoth();
          }
          const all = [...reader.events, ...(await back.rest())];
          const seqs = all.map(({ seq }) => seq);
          expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
          // The words of one text may come in one event or in several.
          expect(sequenceOf(all)).toEqual(types);
          expect([...assembleTexts(all).values()]).toEqual(['Let me see.', 'Done.']);
          expect(all.at(-1)?.seq).toBe((await socketClient.ask(documents.run, { id: runId })).run.lastSeq);
        }
      },
    );
  },
);

test('A reader cannot attach after an event that has not happened yet', async () => {
  const socketClient = await openNewUser(app);
  app.model.add({ calls: [refund('r')] });
  const { runId, reader } = await startWaitingTurn(socketClient);
  const last = reader.events.at(-1)?.seq ?? 0;
  const refusal: unknown = await socketClient
    .runEvents('ws', runId, last + 1)
    .next()
    .catch((error: unknown) => error);
  expect(refusal).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT', path: ['after'] } }] });
  await socketClient.ask(documents.cancelRun, { id: runId });
  expect((await reader.rest()).at(-1)?.__typename).toBe('RunCancelled');
});

describe('a run that waits', () => {
  test('A waiting run is cancelled immediately: every call has an end, and the next turn works', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [look, refund('approved'), refund('denied'), refund('open')] });
    const { conversationId, runId, reader } = await startWaitingTurn(socketClient, {}, 3);
    await decide(socketClient, runId, 'approved');
    await decide(socketClient, runId, 'denied', false);
    const { cancelRun } = await socketClient.ask(documents.cancelRun, { id: runId });
    const events = await reader.rest();
    expect(cancelRun).toMatchObject({ status: 'CANCELLED', lastSeq: events.at(-1)?.seq });
    expect(events.slice(-4)).toMatchObject([
      { __typename: 'ToolCallCompleted', toolCall: { callId: 'approved', status: 'CANCELLED' } },
      { __typename: 'ToolCallCompleted', toolCall: { callId: 'denied', status: 'DENIED' } },
      {
        __typename: 'ToolCallCompleted',
        toolCall: { callId: 'open', status: 'CANCELLED', error: 'The turn was stopped.' },
      },
      { __typename: 'RunCancelled', run: { status: 'CANCELLED' } },
    ]);
    expect(sequenceOf(await socketClient.runEvents('sse', runId).rest())).toEqual(sequenceOf(events));
    expect(await app.app.db.runPause.count({ where: { runId: runId.slice(4) } })).toBe(0);

    app.model.add({ text: 'Here.' });
    const next = await socketClient.chatTurn('ws', { conversationId, content: 'Still there?' }).rest();
    expect(next.at(-1)?.__typename).toBe('RunCompleted');
    const outputs = app.model.requests.at(-1)?.messages.flatMap((item) => (item.role === 'tool' ? [item.output] : []));
    expect(outputs?.slice(1)).toEqual([
      expect.stringContaining('Cancelled'),
      expect.stringContaining('denied'),
      expect.stringContaining('Cancelled'),
    ]);
  });

  test('A waiting run that two cancel at the same time is cancelled once', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r')] });
    const { runId, reader } = await startWaitingTurn(socketClient);
    const both = await Promise.all([1, 2].map(() => socketClient.ask(documents.cancelRun, { id: runId })));
    for (const { cancelRun } of both) expect(cancelRun.status).toBe('CANCELLED');
    const events = await reader.rest();
    expect(events.filter(({ __typename }) => __typename === 'RunCancelled')).toHaveLength(1);
  });

  test('A waiting run that is decided on and cancelled at the same time ends in one of the two', async () => {
    for (let round = 0; round < 5; round++) {
      const socketClient = await openNewUser(app);
      app.model.add({ calls: [refund('r', '404')] });
      const { runId, reader } = await startWaitingTurn(socketClient);
      // Where the decision was first, the model is or is not asked before it is cancelled.
      const asked = app.model.requests.length;
      const answer = { text: 'Quick.' };
      app.model.add(answer);
      await Promise.all([
        socketClient.ask(documents.cancelRun, { id: runId }),
        tryDecide(app, socketClient, { runId, callId: 'r', approve: true }),
      ]);
      const events = await reader.rest();
      expect(['RunCancelled', 'RunCompleted']).toContain(events.at(-1)?.__typename);
      expect(['CANCELLED', 'COMPLETED']).toContain(await statusOf(socketClient, runId));
      const calls = events.filter(({ __typename }) => __typename === 'ToolCallCompleted');
      expect(calls).toHaveLength(1);
      if (app.model.requests.length > asked) continue;
      const conversationId = await socketClient.createConversation();
      await socketClient.chatTurn('ws', { conversationId }).rest();
    }
  });

  test('A waiting run is cancelled when its time is over, and a later decision is told so', async () => {
    await using own = await startTestApp({ env: { APPROVAL_TTL_SECONDS: '1' } });
    const socketClient = await openSocketClient(own, 'alice');
    own.model.add({ calls: [refund('r')] });
    const { conversationId, runId, reader } = await startWaitingTurn(socketClient);
    const input = { conversationId, content: 'next', idempotencyKey: 'next', ifBusy: 'ENQUEUE' };
    const { startRun } = await socketClient.ask(documents.startRun, { input });
    own.model.add({ text: 'Next.' });
    const expire = async () => {
      await recoverRuns(own.app.runs, { all: false });
      return statusOf(socketClient, runId);
    };
    await expect.poll(expire, drainTimeout).toBe('CANCELLED');
    const events = await reader.rest();
    expect(events.slice(-2)).toMatchObject([
      { toolCall: { callId: 'r', status: 'CANCELLED', error: 'Nobody decided on it in time.' } },
      { __typename: 'RunCancelled' },
    ]);
    const late = await tryDecide(own, socketClient, { runId, callId: 'r', approve: true });
    expect(late.errors).toMatchObject([{ extensions: { code: 'CONFLICT', runId } }]);
    // What waited for it has its turn.
    expect((await socketClient.runEvents('ws', startRun.id).rest()).at(-1)?.__typename).toBe('RunCompleted');
  });

  test('A waiting run cannot be decided on when its time is over, also before it is cancelled', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r')] });
    const { runId } = await startWaitingTurn(socketClient);
    const past = new Date(Date.now() - 1_000);
    await app.app.db.run.update({ where: { id: runId.slice(4) }, data: { actionExpiresAt: past } });
    const { errors } = await tryDecide(app, socketClient, { runId, callId: 'r', approve: true });
    // Unless the background jobs were faster.
    const message = expect.stringMatching(/time .* is over|was cancelled/);
    expect(errors).toMatchObject([{ message, extensions: { code: 'CONFLICT', runId } }]);
    await recoverRuns(app.app.runs, { all: false });
    expect(await statusOf(socketClient, runId)).toBe('CANCELLED');
  });

  test('A waiting run is not taken for a lost one', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r', '404')] });
    const { runId, reader } = await startWaitingTurn(socketClient);
    await recoverRuns(app.app.runs, { all: true });
    expect(await statusOf(socketClient, runId)).toBe('REQUIRES_ACTION');
    app.model.add({ text: 'On.' });
    await decide(socketClient, runId, 'r');
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');
  });

  test('A waiting run is deleted with its conversation', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r')] });
    const { conversationId, runId } = await startWaitingTurn(socketClient);
    // Of what the last event names, the run may be gone when it is read: it is not asked for.
    const plain = `subscription ($runId: ID!) { runEvents(runId: $runId) { __typename seq runId } }`;
    const reader = openStream(app, 'ws', socketClient.token, plain, { runId });
    await reader.until('ApprovalRequested');
    await socketClient.ask(`mutation ($id: ID!) { deleteConversation(id: $id) }`, { id: conversationId });
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCancelled');
    const { errors } = await tryDecide(app, socketClient, { runId, callId: 'r', approve: true });
    expect(errors).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
  });

  test('A waiting run ends when its last reader leaves, if onDisconnect is CANCEL', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r')] });
    const { runId, reader } = await startWaitingTurn(socketClient, { onDisconnect: 'CANCEL' });
    const other = socketClient.runEvents('sse', runId);
    await other.until('ApprovalRequested');
    await reader.leave();
    await expect.poll(() => app.app.runs.log.find(runId.slice(4))?.readers, drainTimeout).toBe(1);
    expect(await statusOf(socketClient, runId)).toBe('REQUIRES_ACTION');
    await other.leave();
    await expect.poll(() => statusOf(socketClient, runId), drainTimeout).toBe('CANCELLED');
  });
});

describe('a turn that is started while another waits for approval', () => {
  test('REJECT names the run that waits', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r')] });
    const { conversationId, runId } = await startWaitingTurn(socketClient);
    const input = { conversationId, content: 'x', idempotencyKey: 'x' };
    const { errors } = await app.query(documents.startRun, { input }, { token: socketClient.token });
    expect(errors).toMatchObject([{ extensions: { code: 'CONFLICT', runId } }]);
  });

  test('ENQUEUE begins the turn when the waiting run is over', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r', '404')] });
    const { conversationId, runId } = await startWaitingTurn(socketClient);
    const input = { conversationId, content: 'second', idempotencyKey: 'x', ifBusy: 'ENQUEUE' };
    const { startRun } = await socketClient.ask(documents.startRun, { input });
    expect(startRun.status).toBe('QUEUED');
    app.model.add({ text: 'First.' }, { text: 'Second.' });
    await decide(socketClient, runId, 'r');
    const events = await socketClient.runEvents('ws', startRun.id).rest();
    expect([...assembleTexts(events).values()]).toEqual(['Second.']);
    expect(await statusOf(socketClient, runId)).toBe('COMPLETED');
  });

  test('INTERRUPT cancels the run that waits', async () => {
    const socketClient = await openNewUser(app);
    app.model.add({ calls: [refund('r')] });
    const { conversationId, reader } = await startWaitingTurn(socketClient);
    app.model.add({ text: 'Instead.' });
    const events = await socketClient.chatTurn('sse', { conversationId, content: 'Stop', ifBusy: 'INTERRUPT' }).rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    expect((await reader.rest()).at(-1)?.__typename).toBe('RunCancelled');
    expect(app.model.requests.at(-1)?.messages.map(({ role }) => role)).toEqual([
      'user',
      'assistant',
      'tool',
      'assistant',
      'user',
    ]);
  });
});

test('The readers of a conversation hear of the pause, of each decision and of the end', async () => {
  const socketClient = await openNewUser(app);
  const conversationId = await createBillingConversation(socketClient);
  // An event shows the run as it is when it is read, so two of them may show the same: what has been heard of is told by seq.
  const statuses: string[] = [];
  let heard = 0;
  const client = app.ws(socketClient.token);
  const readLastSeq = async (): Promise<number> => {
    const document = 'query ($id: ID!) { conversation(id: $id) { lastEventSeq } }';
    return (await socketClient.ask(document, { id: conversationId })).conversation.lastEventSeq;
  };
  const results = client.iterate<{ conversationEvents: { seq: number; run?: { status: string } } }>({
    query: `subscription ($id: ID!, $after: Int) {
      conversationEvents(conversationId: $id, after: $after) { seq ... on RunChanged { run { status } } }
    }`,
    variables: { id: conversationId, after: await readLastSeq() },
  });
  const reading = (async () => {
    for await (const { data } of results) {
      heard = data?.conversationEvents.seq ?? heard;
      const status = data?.conversationEvents.run?.status;
      if (status) statuses.push(status);
      if (status === 'COMPLETED') return;
    }
  })();
  app.model.add({ calls: [refund('a', '404'), refund('b', '404')] });
  const { runId } = await startWaitingTurn(socketClient, { conversationId }, 2);
  await expect.poll(() => statuses.at(-1), drainTimeout).toBe('REQUIRES_ACTION');
  const paused = await readLastSeq();
  await expect.poll(() => heard, drainTimeout).toBeGreaterThanOrEqual(paused);
  await decide(socketClient, runId, 'a');
  await expect.poll(() => heard, drainTimeout).toBeGreaterThan(paused);
  expect(statuses.at(-1)).toBe('REQUIRES_ACTION');
  app.model.add({ text: 'Over.' });
  await decide(socketClient, runId, 'b');
  await reading;
  expect(statuses.at(-1)).toBe('COMPLETED');
});

describe('changes while a run waits', () => {
  test('A waiting run goes on with the agents with which it started and the tools that exist now', async () => {
    await using own = await startTestApp();
    const { db, runs } = own.app;
    const socketClient = await openSocketClient(own, 'alice');
    const conversationId = await createBillingConversation(socketClient);
    const tool = { tenantId: 'acme', name: 'send_parcel', description: 'Sends it.', parameters: { type: 'object' } };
    await db.httpTool.create({
      data: { ...tool, method: 'POST', url: 'https://example.com/send', requiresApproval: true },
    });
    const billing = { tenantId: 'acme', name: 'billing' };
    await db.agent.updateMany({ where: billing, data: { toolNames: ['refund_order', 'send_parcel'] } });
    runs.agents.config.drop('acme');
    own.model.add({ calls: [refund('r'), { id: 's', name: 'send_parcel', arguments: {} }] });
    const { runId, reader } = await startWaitingTurn(socketClient, { conversationId }, 2);

    await db.agent.updateMany({ where: billing, data: { instructions: 'Somebody else.', toolNames: [] } });
    await db.httpTool.deleteMany({});
    runs.agents.config.drop('acme');
    own.model.add({ text: 'As before.' });
    await decide(socketClient, runId, 'r');
    await decide(socketClient, runId, 's');
    const events = await reader.rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    const results = events.filter(({ __typename }) => __typename === 'ToolCallCompleted');
    expect(results.map(({ toolCall }) => [toolCall?.callId, toolCall?.status]).sort()).toEqual([
      ['r', 'SUCCEEDED'],
      ['s', 'FAILED'],
    ]);
    expect(own.model.requests.at(-1)).toMatchObject({
      instructions: expect.stringContaining('billing specialist'),
      tools: expect.arrayContaining(['refund_order', 'send_parcel']),
    });
    own.model.add({ text: 'Now.' });
    await socketClient.chatTurn('ws', { conversationId }).rest();
    expect(own.model.requests.at(-1)?.instructions).toBe('Somebody else.');
  });
});
