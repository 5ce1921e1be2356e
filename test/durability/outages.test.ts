import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Tool } from '../../src/tools/contract/tool.ts';
import { decide, refund, startWaitingTurn } from '../approvals/decide.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openSocketClient, type SocketClient } from '../support/chat.ts';
import { sequenceOf, type TurnEvent } from '../support/clients/turn-reader.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { openProxy } from '../support/database/proxy.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { findFaults } from './find-faults.ts';

/** Room for what is on its way, not an expectation. */
const room = { timeout: 240_000 };

/** An app whose database can be taken away, and alice. */
async function openFragile() {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createTestDatabase());
  const proxy = opening.use(await openProxy(database.url));
  const app = opening.use(await startTestApp({ databaseUrl: proxy.url }));
  const alice = await openSocketClient(app, 'alice');
  // What the tools themselves have received.
  const received: { readonly run: string; readonly callId: string }[] = [];
  const hooks: { onAnswer: (() => void) | null } = { onAnswer: null };
  const { tools } = app.app.runs;
  const find = tools.findTools.bind(tools);
  const findLogged = async (...args: Parameters<typeof find>) => {
    const found = await find(...args);
    return found.map((tool): Tool => {
      const call: Tool['call'] = async (input, context) => {
        received.push({ run: `run_${context.runId}`, callId: context.callId ?? '' });
        const answer = await tool.call(input, context);
        hooks.onAnswer?.();
        return answer;
      };
      return { ...tool, call };
    });
  };
  Object.defineProperty(tools, 'findTools', { value: findLogged });
  const opened = opening.move();
  return { app, proxy, alice, received, hooks, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
type Fragile = Awaited<ReturnType<typeof openFragile>>;

/** What has to hold of a turn that was not cancelled, whatever happened to the database. */
async function expectWhole({ alice, received }: Fragile, events: readonly TurnEvent[]) {
  const runId = events[0]?.runId ?? '';
  const { run } = await alice.ask(documents.run, { id: runId });
  const own = received.filter(({ run: of }) => of === runId).map(({ callId }) => callId);
  // A later reader is given the same.
  const replay = await alice.runEvents('ws', runId).rest();
  expect(findFaults({ run, readers: [events, replay], received: own }).join(' ')).toBe('');
  expect(run.status).toBe('COMPLETED');
  return run;
}

/** A turn whose reader has half of the text; the model waits at the gate. */
async function readHalf({ app, alice }: Fragile) {
  const conversationId = await alice.createConversation();
  const gate = createGate();
  app.model.add({ text: ['A', ' b', ' c', ' d'], afterTokens: 2, gate });
  const reader = alice.chatTurn('ws', { conversationId });
  await reader.untilText('A b');
  return { gate, reader };
}

/** A turn that hands off, calls a tool, and answers; a client that asks again with the same key until it is answered. */
async function readWholeTurn(alice: SocketClient, conversationId: string): Promise<TurnEvent[]> {
  for (;;) {
    const reader = alice.chatTurn('ws', { conversationId, content: 'Where is 1042?', idempotencyKey: 'k' });
    try {
      return await reader.rest();
    } catch {
      await sleep(50);
    }
  }
}

test.each(['cut', 'freeze'] as const)(
  'A database that is gone in the middle of a text costs nothing: %s',
  room,
  async (how) => {
    await using fragile = await openFragile();
    const { proxy } = fragile;
    const { gate, reader } = await readHalf(fragile);
    proxy[how]();
    gate.open();
    await sleep(1_500);
    proxy[how === 'cut' ? 'restore' : 'thaw']();
    const run = await expectWhole(fragile, await reader.rest());
    expect(run.messages).toMatchObject([{ content: 'A b c d' }]);
  },
);

test.each([
  { id: 'O1', what: 'cut in the middle of a turn and away for eight seconds over its end', awayMs: 8_000 },
  { id: 'O7', what: 'away for two seconds over the end of a turn', awayMs: 2_000 },
])('A database that is $what loses nothing that the reader has seen ($id)', room, async ({ awayMs }) => {
  await using fragile = await openFragile();
  const { proxy } = fragile;
  const { gate, reader } = await readHalf(fragile);
  proxy.cut();
  gate.open();
  // The model has ended long before: the end of the turn falls into the outage.
  await sleep(awayMs);
  proxy.restore();
  const run = await expectWhole(fragile, await reader.rest());
  expect(run.messages).toMatchObject([{ content: 'A b c d', status: 'COMPLETE' }]);
});

test(
  'A database that is away when a tool has answered costs neither the answer nor a second call (O9)',
  room,
  async () => {
    await using fragile = await openFragile();
    const { app, proxy, alice, hooks, received } = fragile;
    const conversationId = await alice.createConversation();
    app.model.add(
      { text: 'I look.', calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }] },
      { text: 'It is shipped.' },
    );
    hooks.onAnswer = () => {
      proxy.cut();
      setTimeout(() => proxy.restore(), 2_000);
    };
    const run = await expectWhole(fragile, await alice.chatTurn('ws', { conversationId }).rest());
    expect(run.toolCalls).toMatchObject([{ name: 'lookup_order', status: 'SUCCEEDED' }]);
    expect(received).toHaveLength(1);
  },
);

const lost = [
  { what: 'is lost on its way', verdict: 'drop' },
  { what: 'is carried out and its answer is lost', verdict: 'drop answer' },
] as const;

test.each(lost)(
  'Whichever statement of a turn $what, the turn is whole and its tool is called once',
  room,
  async ({ verdict }) => {
    await using fragile = await openFragile();
    const { app, proxy, alice } = fragile;
    const script = [
      { calls: [{ name: 'transfer_to_orders', arguments: { reason: 'an order' } }] },
      { text: 'I look.', calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }] },
      { text: 'It is shipped.' },
    ];
    let isOver = false;
    for (let victim = 1; !isOver; victim++) {
      const conversationId = await alice.createConversation('support');
      app.model.add(...script);
      let count = 0;
      proxy.onStatement = (sql) => {
        // Only the statements of the turn; not those of the background jobs and of its reader.
        if (!/\b(runs|conversations|messages|tool_calls|model_calls|handoffs)\b/.test(sql)) return 'pass';
        if (/renewed AS|"lease_expires_at" </.test(sql)) return 'pass';
        count += 1;
        return count === victim ? verdict : 'pass';
      };
      const events = await readWholeTurn(alice, conversationId);
      isOver = count < victim;
      proxy.onStatement = null;
      const run = await expectWhole(fragile, events);
      expect(run.toolCalls, `statement ${victim}`).toMatchObject([{ name: 'lookup_order', status: 'SUCCEEDED' }]);
      expect(run.handoffs).toHaveLength(1);
      const { conversation } = await alice.ask(documents.conversation, { id: conversationId });
      expect(conversation.messages.edges).toHaveLength(conversation.messageCount);
      expect(conversation.messageCount).toBe(3);
    }
  },
);

test(
  'An approval whose COMMIT is not answered is carried out: the call is made once, and the turn ends',
  room,
  async () => {
    await using fragile = await openFragile();
    const { app, proxy, alice } = fragile;
    app.model.add({ calls: [refund('r')] });
    const { runId, reader } = await startWaitingTurn(alice);
    await expect.poll(() => app.app.runs.running.size).toBe(0);
    app.model.add({ text: 'Done.' });
    let isLost = false;
    proxy.onStatement = (sql) => {
      if (isLost || sql !== 'COMMIT') return 'pass';
      isLost = true;
      return 'drop answer';
    };
    await decide(alice, runId, 'r').catch(() => {});
    expect(isLost).toBe(true);
    const events = await reader.rest();
    const run = await expectWhole(fragile, events);
    expect(run.toolCalls).toMatchObject([{ status: 'SUCCEEDED' }]);
    expect(sequenceOf(events).filter((type) => type === 'ToolCallStarted')).toHaveLength(1);
  },
);

test('A turn of the queue whose start is not answered is carried out all the same', room, async () => {
  await using fragile = await openFragile();
  const { app, proxy, alice } = fragile;
  const conversationId = await alice.createConversation();
  const gate = createGate();
  app.model.add({ text: ['A', ' b'], afterTokens: 1, gate }, { text: 'Second' });
  const first = alice.chatTurn('ws', { conversationId });
  await first.untilText('A');
  const second = alice.chatTurn('ws', { conversationId, content: 'Next', ifBusy: 'ENQUEUE' });
  await expect.poll(() => app.app.db.run.count({ where: { status: 'QUEUED' } })).toBe(1);
  let isLost = false;
  proxy.onStatement = (sql) => {
    if (isLost || sql !== 'COMMIT') return 'pass';
    isLost = true;
    return 'drop answer';
  };
  gate.open();
  await expectWhole(fragile, await first.rest());
  await expectWhole(fragile, await second.rest());
  expect(isLost).toBe(true);
});

test(
  'A database that falls silent is reported as unavailable, also to those who wait for others, until it answers',
  room,
  async () => {
    await using fragile = await openFragile();
    const { app, proxy, alice } = fragile;
    const conversations = await Promise.all(Array.from({ length: 12 }, () => alice.createConversation()));
    proxy.freeze();
    const answers = await Promise.all(
      conversations.map((conversationId) =>
        app.query(
          'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }',
          { input: { conversationId, content: 'x', idempotencyKey: 'k' } },
          { token: alice.token },
        ),
      ),
    );
    for (const { status, errors } of answers) {
      expect(status).toBe(503);
      expect(errors).toMatchObject([{ extensions: { code: 'UNAVAILABLE', retryAfterMs: expect.any(Number) } }]);
    }
    expect((await fetch(`${app.url}/ready`)).status).toBe(503);
    proxy.thaw();
    await expect.poll(async () => (await fetch(`${app.url}/ready`)).status, { timeout: 30_000 }).toBe(200);
    const [conversationId = ''] = conversations;
    app.model.add({ text: 'Here.' });
    await expect
      .poll(
        async () =>
          (
            await alice
              .chatTurn('ws', { conversationId, content: 'x', idempotencyKey: 'again' })
              .rest()
              .catch(() => [])
          ).at(-1)?.__typename,
        { timeout: 30_000 },
      )
      .toBe('RunCompleted');
  },
);

test('If the open connections fall silent, new ones are made: the turn goes on and is whole', room, async () => {
  await using fragile = await openFragile();
  const { app, proxy, alice } = fragile;
  const conversationId = await alice.createConversation();
  const gate = createGate();
  app.model.add({ text: ['A', ' b', ' c'], afterTokens: 1, gate });
  const reader = alice.chatTurn('ws', { conversationId });
  await reader.untilText('A');
  proxy.silence();
  gate.open();
  const run = await expectWhole(fragile, await reader.rest());
  expect(run.messages).toMatchObject([{ content: 'A b c' }]);
});
