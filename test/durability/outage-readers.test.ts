import { parse } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { subscribe } from '../../src/server/plugins/fast-subscribe.ts';
import { startTestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { openStream, sequenceOf } from '../support/clients/turn-reader.ts';
import { makeTestContext } from '../support/context.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { openProxy } from '../support/database/proxy.ts';

// What readers are given of a database that goes away between the event and the rows that the event is asked for.

/** Room for what is on its way, not an expectation. */
const room = { timeout: 240_000 };
const awayMs = 1_500;
/** What reads the messages of an event; the background jobs join them to what they read. */
const messageRead = /FROM "public"."messages" AS "t0"/;

/** An app whose database can be taken away, and alice with a turn that has ended. */
async function openEnded() {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createTestDatabase());
  const proxy = opening.use(await openProxy(database.url));
  const app = opening.use(await startTestApp({ databaseUrl: proxy.url }));
  const alice = await openSocketClient(app, 'alice');
  app.model.add({ text: ['A', ' b'] });
  const conversationId = await alice.createConversation();
  const events = await alice.chatTurn('ws', { conversationId }).rest();
  const opened = opening.move();
  return { app, proxy, alice, conversationId, events, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
type Ended = Awaited<ReturnType<typeof openEnded>>;

const ways = { cut: 'restore', freeze: 'thaw' } as const;

/** Takes the database away as soon as a statement like this one is sent. @returns whether it has happened */
function takeAwayAt({ proxy }: Ended, statement: RegExp, how: keyof typeof ways): () => boolean {
  let isTaken = false;
  proxy.onStatement = (sql) => {
    if (isTaken || !statement.test(sql)) return 'pass';
    isTaken = true;
    proxy[how]();
    // Of a database that froze this one is never answered, and neither is what is sent until it is found to be silent.
    setTimeout(() => proxy[ways[how]](), how === 'cut' ? awayMs : 5_000);
    return 'pass';
  };
  return () => isTaken;
}

test.each([
  { transport: 'ws', how: 'cut' },
  { transport: 'sse', how: 'cut' },
  { transport: 'ws', how: 'freeze' },
] as const)(
  'A database that goes away while the rows of an event are read costs no event and no field: $how, over $transport',
  room,
  async ({ transport, how }) => {
    await using ended = await openEnded();
    const { alice, events } = ended;
    const isTaken = takeAwayAt(ended, messageRead, how);
    const replay = await alice.runEvents(transport, events[0]?.runId ?? '').rest();
    expect(isTaken()).toBe(true);
    expect(sequenceOf(replay)).toEqual(sequenceOf(events));
    expect(replay[0]).toEqual({ ...events[0], run: replay.at(-1)?.run });
    expect(replay.at(-1)).toEqual(events.at(-1));
  },
);

const changes = `subscription ($after: Int) { viewerEvents(after: $after) {
  __typename seq ... on RunChanged { runId: conversationId run { id status lastSeq } }
  ... on MessageAdded { runId: conversationId message { id role status content } }
  ... on ConversationCreated { runId: conversationId edge { node { id } } }
  ... on ConversationUpdated { runId: conversationId } ... on AgentSwitched { runId: conversationId } } }`;

test(
  'A database that goes away while the rows of an event of a conversation are read costs no event',
  room,
  async () => {
    await using ended = await openEnded();
    const { app, alice } = ended;
    const count = await countChanges(alice);
    const isTaken = takeAwayAt(ended, messageRead, 'cut');
    const reader = openStream(app, 'ws', alice.token, changes, { after: 0 });
    for (let seen = 0; seen < count; seen++) expect(await reader.next()).not.toBeNull();
    expect(isTaken()).toBe(true);
    expect(reader.events.filter(({ __typename }) => __typename === 'MessageAdded')).toMatchObject([
      { message: { role: 'USER' } },
      { message: { role: 'ASSISTANT', content: 'A b' } },
    ]);
    await reader.leave();
  },
);

/** How many events alice's feed has so far, at least. */
async function countChanges(alice: SocketClient): Promise<number> {
  const { viewer } = await alice.ask('{ viewer { lastEventSeq } }');
  return viewer.lastEventSeq;
}

test(
  'A reader that leaves while the database is away is let go at once, and nothing more is read for it',
  room,
  async () => {
    await using ended = await openEnded();
    const { app, proxy, events } = ended;
    let reads = 0;
    proxy.onStatement = (sql) => {
      if (!messageRead.test(sql)) return 'pass';
      reads += 1;
      return 'drop';
    };
    const contextValue = makeTestContext(app.app, { userId: 'alice', tenantId: 'acme' });
    const document = parse(
      'subscription ($id: ID!) { runEvents(runId: $id) { ... on RunStarted { userMessage { id } } } }',
    );
    const variableValues = { id: events[0]?.runId };
    const stream = await subscribe({ schema, document, variableValues, contextValue });
    if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream));
    const pending = stream.next();
    await expect.poll(() => reads, { timeout: 60_000 }).toBeGreaterThan(1);
    await stream.return?.();
    // It would be tried again for two minutes.
    expect(await pending).toEqual({ done: true, value: undefined });
  },
);
