import { isObjectType } from 'graphql';
import { expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { schema } from '../../src/boot/schema.ts';
import { deleteExpiredEvents } from '../../src/feed/read-feed.ts';
import { shareApp, startTestApp } from '../support/app.ts';
import { openNewUser, type SocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { EventStream, type FeedStep, followConversation, followViewer } from './feed-reader.ts';

const app = shareApp();

const rename = (user: SocketClient, id: string, title: string) =>
  user.ask('mutation ($id: ID!, $title: String!) { updateConversation(id: $id, input: { title: $title }) { id } }', {
    id,
    title,
  });
const note = (user: SocketClient, id: string, content: string) =>
  user.ask(
    'mutation ($id: ID!, $content: String!) { createMessage(input: { conversationId: $id, role: SYSTEM, content: $content }) { id } }',
    { id, content },
  );
const remove = (user: SocketClient, id: string) =>
  user.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id });
const readSeq = async (user: SocketClient): Promise<number> =>
  (await user.ask('{ viewer { lastEventSeq } }')).viewer.lastEventSeq;
const send = (user: SocketClient, conversationId: string, content: string) =>
  user.ask('mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { id status } }', {
    input: { conversationId, content, idempotencyKey: crypto.randomUUID() },
  });

const isMessage = (event: FeedStep) => event.__typename === 'MessageAdded';

test('conversationEvents reports a turn that another client started: messages, runs, the active agent, the title', async () => {
  const user = await openNewUser(app);
  const id = await user.createConversation('support');
  const after = await readSeq(user);
  app.model.add(
    { calls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] },
    { text: ['It', ' is', ' paid'] },
  );
  expect(await send(user, id, 'Did you get my money?')).toMatchObject({ sendMessage: { status: 'COMPLETED' } });
  await using reader = followConversation(app, user.token, id, after);
  const last = await readSeq(user);
  const seen = await reader.until(({ seq }) => seq === last);
  expect(seen.map(({ seq }) => seq)).toEqual(seen.map((_, index) => after + 1 + index));
  expect(seen).toMatchObject([
    { __typename: 'ConversationUpdated', conversation: { title: 'Did you get my money?' } },
    { __typename: 'MessageAdded', edge: { node: { role: 'USER', content: 'Did you get my money?' } } },
    { __typename: 'RunChanged' },
    {
      __typename: 'AgentSwitched',
      fromAgent: { name: 'supervisor' },
      toAgent: { name: 'billing' },
      reason: 'money',
    },
    { __typename: 'MessageAdded', edge: { node: { role: 'ASSISTANT', status: 'COMPLETE', content: 'It is paid' } } },
    { __typename: 'RunChanged', run: { status: 'COMPLETED' } },
  ]);
});

test('A message and a rename that happen while a client is offline reach it when it attaches after what it has read', async () => {
  const user = await openNewUser(app);
  const id = await user.createConversation();
  const { conversation } = await user.ask('query ($id: ID!) { conversation(id: $id) { lastEventSeq title } }', { id });
  await note(user, id, 'while offline');
  await rename(user, id, 'Renamed');
  await using reader = followConversation(app, user.token, id, conversation.lastEventSeq);
  expect(await reader.next()).toMatchObject({
    __typename: 'MessageAdded',
    edge: { node: { content: 'while offline' } },
  });
  expect(await reader.next()).toMatchObject({ __typename: 'ConversationUpdated', conversation: { title: 'Renamed' } });
  // And then what happens from there on.
  await note(user, id, 'now');
  expect(await reader.next()).toMatchObject({ edge: { node: { content: 'now' } } });
});

test('The readers of a conversation and of a list are told once that it was pinned, archived, and both with a new title', async () => {
  const user = await openNewUser(app);
  const id = await user.createConversation();
  const after = await readSeq(user);
  const change = (input: Record<string, unknown>) =>
    user.ask(
      'mutation ($id: ID!, $input: UpdateConversationInput!) { updateConversation(id: $id, input: $input) { id } }',
      { id, input },
    );
  await change({ isPinned: true });
  await change({ isPinned: true });
  await change({ isArchived: true, title: 'Done' });
  const last = await readSeq(user);
  const shelf = '__typename seq ... on ConversationUpdated { conversation { isPinned isArchived title } }';
  const document = (field: string) => `subscription ($id: ID!, $after: Int) { ${field} { ${shelf} } }`;
  for (const query of [
    document('conversationEvents(conversationId: $id, after: $after)'),
    document('viewerEvents(after: $after)').replace('$id: ID!, ', ''),
  ]) {
    await using reader = new EventStream(app, user.token, query, { id, after });
    const seen = await reader.until(({ seq }) => seq === last);
    expect(seen.map(({ __typename }) => __typename)).toEqual(['ConversationUpdated', 'ConversationUpdated']);
    expect(seen.at(-1)?.conversation).toEqual({ isPinned: true, isArchived: true, title: 'Done' });
  }
});

test('A socket that is cut after any event of the feed misses and repeats nothing when it attaches again', async () => {
  const user = await openNewUser(app);
  const [id, other] = [await user.createConversation('support'), await user.createConversation()];
  const after = await readSeq(user);
  app.model.add({ text: 'Yes.' });
  await send(user, id, 'Is it there?');
  await note(user, other, 'in between');
  await rename(user, id, 'Renamed');
  await note(user, id, 'last');
  const isLast = (event: FeedStep) => isMessage(event) && JSON.stringify(event).includes('"last"');
  await using reader = followConversation(app, user.token, id, after);
  const all = await reader.until(isLast);
  expect(all.length).toBeGreaterThan(6);
  expect(new Set(all.map(({ conversationId }) => conversationId))).toEqual(new Set([id]));
  for (const [index, { seq }] of all.entries()) {
    if (index === all.length - 1) continue;
    await using again = followConversation(app, user.token, id, seq);
    expect(await again.until(isLast)).toEqual(all.slice(index + 1));
  }
});

test('A graphql-ws client whose socket is cut at every event reconnects by itself, and misses and repeats nothing', async () => {
  const user = await openNewUser(app);
  const id = await user.createConversation();
  let seq = await readSeq(user);
  const first = seq;
  let socket: { terminate(): void } | undefined;
  const client = app.ws(user.token, {
    retryAttempts: 1_000,
    retryWait: async () => {},
    shouldRetry: () => true,
    on: {
      opened: (opened) => {
        socket = opened as WebSocket;
      },
    },
  });
  // It reads the variables again when it reconnects (docs/clients.md).
  const variables = {
    get after() {
      return seq;
    },
  };
  const seqs: number[] = [];
  const query = 'subscription ($after: Int) { viewerEvents(after: $after) { seq } }';
  const done = new Promise<void>((resolve, reject) => {
    client.subscribe<{ viewerEvents: { seq: number } }>(
      { query, variables },
      {
        next: ({ data }) => {
          if (!data) return reject(new Error('The stream failed.'));
          seq = data.viewerEvents.seq;
          seqs.push(seq);
          socket?.terminate();
          if (seqs.length === 12) resolve();
        },
        error: reject,
        complete: () => {},
      },
    );
  });
  for (let n = 0; n < 6; n++) {
    await note(user, id, `${n}`);
    await rename(user, id, `title ${n}`);
  }
  await done;
  await client.dispose();
  expect(seqs).toEqual(Array.from({ length: 12 }, (_, n) => first + 1 + n));
});

test('A conversation that is deleted in another tab ends with ConversationDeleted, for readers that are there and that come back', async () => {
  const user = await openNewUser(app);
  const id = await user.createConversation();
  const after = await readSeq(user);
  await using there = followConversation(app, user.token, id, after);
  await note(user, id, 'one');
  expect(await there.next()).toMatchObject({ __typename: 'MessageAdded' });
  await remove(user, id);
  const deleted = await there.next();
  expect(deleted).toEqual({ __typename: 'ConversationDeleted', seq: after + 2, conversationId: id });
  expect(await there.next()).toBeNull();

  await using back = followConversation(app, user.token, id, after + 1);
  expect(await back.next()).toEqual(deleted);
  expect(await back.next()).toBeNull();
  // Who has got it already, or has never been there, finds no conversation.
  for (const seen of [after + 2, undefined]) {
    await using late = followConversation(app, user.token, id, seen);
    await expect(late.next()).rejects.toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
  }
});

test('No event is swallowed by what it selects, whatever was deleted since', async () => {
  const user = await openNewUser(app);
  const after = await readSeq(user);
  const id = await user.createConversation('support');
  app.model.add({ calls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] }, { text: 'Yes.' });
  await send(user, id, 'Is it paid?');
  await rename(user, id, 'Renamed');
  const everything = listEventTypes().map(({ name, fields }) => `... on ${name} { ${fields.join(' ')} }`);
  const query = `subscription ($after: Int) { viewerEvents(after: $after) { __typename seq ${everything.join(' ')} } }`;
  await using before = new EventStream(app, user.token, query, { after });
  const seen = await before.until(({ __typename, seq }) => __typename === 'ConversationUpdated' && seq > after + 3);
  expect(new Set(seen.map(({ __typename }) => __typename)).size).toBe(5);
  await remove(user, id);
  await using afterwards = new EventStream(app, user.token, query, { after });
  expect(await afterwards.next()).toMatchObject({ __typename: 'ConversationDeleted' });
});

/** The members of ConversationEvent, with all their fields. */
function listEventTypes() {
  const event = schema.getType('ConversationEvent');
  return Object.values(schema.getTypeMap())
    .filter((type) => isObjectType(type) && type.getInterfaces().some((one) => one === event))
    .map((type) => ({
      name: type.name,
      fields: Object.values(isObjectType(type) ? type.getFields() : {}).map(({ name, type: of }) => {
        const inner = of.toString().replace('!', '');
        const aliased = `${name}_${inner}: ${name}`;
        if (inner.endsWith('Edge')) return `${aliased} { cursor node { id } }`;
        return isObjectType(schema.getType(inner)) ? `${aliased} { id }` : name;
      }),
    }));
}

test('A list of conversations that applies viewerEvents stays equal to what the server lists', async () => {
  const user = await openNewUser(app);
  const list =
    '{ viewer { lastEventSeq } conversations { edges { cursor node { id title updatedAt messageCount } } } }';
  const first = await user.createConversation({ title: 'first' });
  const read = await user.ask(list);
  interface Node {
    id: string;
  }
  const cached = new Map<string, { cursor: string; node: Node }>(
    read.conversations.edges.map((edge: { cursor: string; node: Node }) => [edge.node.id, edge]),
  );
  const state = '{ id title updatedAt messageCount }';
  const query = `subscription ($after: Int) { viewerEvents(after: $after) {
    __typename seq conversationId
    ... on ConversationCreated { edge { cursor node ${state} } }
    ... on ConversationUpdated { conversation ${state} }
    ... on MessageAdded { conversation ${state} }
    ... on RunChanged { conversation ${state} }
    ... on AgentSwitched { conversation ${state} }
  } }`;
  await using reader = new EventStream(app, user.token, query, { after: read.viewer.lastEventSeq });
  const second = await user.createConversation('assistant');
  app.model.add({ text: 'Yes.' });
  await send(user, second, 'Hello');
  await rename(user, first, 'renamed');
  const third = await user.createConversation({ title: 'third' });
  await remove(user, third);
  await note(user, first, 'the last');
  const last = await readSeq(user);
  const events = await reader.until(({ seq }) => seq === last);
  for (const event of events) {
    const { conversationId, __typename } = event;
    const brought = event;
    const known = cached.get(conversationId);
    if (__typename === 'ConversationDeleted') cached.delete(conversationId);
    else if (brought.edge) cached.set(conversationId, brought.edge);
    else if (known && brought.conversation) cached.set(conversationId, { ...known, node: brought.conversation });
  }
  const now: { node: Node }[] = (await user.ask(list)).conversations.edges;
  const byId = (a: Node, b: Node) => a.id.localeCompare(b.id);
  expect([...cached.values()].map(({ node }) => node).sort(byId)).toEqual(now.map(({ node }) => node).sort(byId));
});

test('The cursors of events are those of the lists: a page after them is the rest of the list', async () => {
  const user = await openNewUser(app);
  const after = await readSeq(user);
  const id = await user.createConversation();
  for (const content of ['one', 'two', 'three']) await note(user, id, content);
  await using reader = followViewer(app, user.token, after);
  const [created, one] = await reader.until(isMessage);
  const pick = (event: FeedStep | undefined) => {
    return event?.edge?.cursor;
  };
  const { conversation, conversations } = await user.ask(
    `query ($id: ID!, $message: String, $conversation: String) {
      conversation(id: $id) { messages(after: $message) { edges { node { content } } } }
      conversations(after: $conversation) { edges { node { id } } }
    }`,
    { id, message: pick(one), conversation: pick(created) },
  );
  expect(JSON.stringify(conversation.messages.edges)).toBe('[{"node":{"content":"two"}},{"node":{"content":"three"}}]');
  expect(conversations.edges).toEqual([]);
});

test('What is read while others write, and what follows after its lastEventSeq, is everything and nothing twice', async () => {
  const user = await openNewUser(app);
  const id = await user.createConversation();
  const total = 60;
  const writing = (async () => {
    for (let from = 0; from < total; from += 6) {
      await Promise.all(Array.from({ length: 6 }, (_, n) => note(user, id, `${from + n}`)));
    }
  })();
  const reads = Array.from({ length: 8 }, async () => {
    const { conversation } = await user.ask(
      `query ($id: ID!) { conversation(id: $id) { lastEventSeq messages(first: 100) { edges { node { id content } } } } }`,
      { id },
    );
    const read: string[] = conversation.messages.edges.map((edge: { node: { content: string } }) => edge.node.content);
    await using reader = followConversation(app, user.token, id, conversation.lastEventSeq);
    const seqs: number[] = [];
    while (read.length < total) {
      const event = await reader.next();
      if (!event || !isMessage(event)) throw new Error(JSON.stringify(event));
      seqs.push(event.seq);
      read.push(event.edge?.node.content ?? '');
    }
    expect(seqs).toEqual(seqs.map((_, index) => conversation.lastEventSeq + 1 + index));
    return read;
  });
  for (const read of await Promise.all(reads)) {
    expect([...read].sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: total }, (_, n) => `${n}`));
  }
  await writing;
});

test('lastEventSeq beside other root fields is not newer than any of them', async () => {
  const user = await openNewUser(app);
  const writing = Promise.all(Array.from({ length: 30 }, (_, n) => user.createConversation({ title: `${n}` })));
  for (let reads = 0; reads < 10; reads++) {
    const { viewer, conversations } = await user.ask(
      '{ conversations(first: 100) { edges { node { title } } } viewer { lastEventSeq } }',
    );
    // Each conversation is one event: all of those up to the seq are in the list.
    expect(conversations.edges.length).toBeGreaterThanOrEqual(viewer.lastEventSeq);
  }
  await writing;
});

test('conversationEvents is FORBIDDEN for another user, and viewerEvents has nothing of others', async () => {
  const [user, mallory] = [await openNewUser(app), await openNewUser(app)];
  const id = await user.createConversation();
  await using stream = followConversation(app, mallory.token, id, 0);
  await expect(stream.next()).rejects.toMatchObject({ errors: [{ extensions: { code: 'FORBIDDEN' } }] });
  const own = await mallory.createConversation({ title: 'own' });
  await using events = followViewer(app, mallory.token, 0);
  expect(await events.next()).toMatchObject({ seq: 1, conversationId: own });
});

test('A reader of events that leaves, leaves nothing open', async () => {
  const user = await openNewUser(app);
  const before = app.app.runs.feed.size;
  const id = await user.createConversation();
  {
    await using stream = followConversation(app, user.token, id);
    void stream.next();
    await expect.poll(() => app.app.runs.feed.size).toBe(before + 1);
  }
  await expect.poll(() => app.app.runs.feed.size).toBe(before);
});

test('A change of which nobody was notified reaches readers all the same', async () => {
  const user = await openNewUser(app);
  const id = await user.createConversation();
  await using stream = followConversation(app, user.token, id);
  const before = app.app.runs.feed.size;
  const next = stream.next();
  await expect.poll(() => app.app.runs.feed.size).toBe(before + 1);
  // As another process would, that died before it could notify anybody.
  await app.app.db.conversation.update({ where: { id: id.slice(5) }, data: { title: 'quietly' } });
  expect(await next).toMatchObject({ __typename: 'ConversationUpdated', conversation: { title: 'quietly' } });
});

test('The last 1,000 events of a user are stored, and who has missed more is told to read again', async () => {
  const user = await openNewUser(app);
  const id = await user.createConversation();
  for (let n = 0; n < 1_250; n += 50) {
    await app.app.db.$transaction(
      Array.from({ length: 50 }, (_, k) =>
        app.app.db.conversation.update({ where: { id: id.slice(5) }, data: { title: `${n + k}` } }),
      ),
    );
  }
  const last = await readSeq(user);
  const stored = await app.app.db.feedEvent.count({ where: { conversationId: id.slice(5) } });
  expect(stored).toBeGreaterThanOrEqual(1_000);
  expect(stored).toBeLessThan(1_100);
  await using late = followConversation(app, user.token, id, last - stored - 1);
  await expect(late.next()).rejects.toMatchObject({
    errors: [{ extensions: { code: 'EVENTS_EXPIRED', lastEventSeq: last } }],
  });
  await using early = followConversation(app, user.token, id, last - stored);
  expect(await early.until(({ seq }) => seq === last)).toHaveLength(stored);
  await using ahead = followViewer(app, user.token, last + 1);
  await expect(ahead.next()).rejects.toMatchObject({
    errors: [{ extensions: { code: 'BAD_USER_INPUT', path: ['after'] } }],
  });
});

test('Events are stored for a day, and a reader that is behind when they are deleted is told so', async () => {
  const user = await openNewUser(app);
  const id = await user.createConversation();
  for (const content of ['one', 'two']) await note(user, id, content);
  const conversationId = id.slice(5);
  const { db } = app.app;
  await deleteExpiredEvents(db, new Date(Date.now() + 23 * 3600_000));
  expect(await db.feedEvent.count({ where: { conversationId } })).toBe(3);
  await db.feedEvent.updateMany({
    where: { conversationId, seq: { lt: 3 } },
    data: { at: new Date(Date.now() - 25 * 3600_000) },
  });
  await deleteExpiredEvents(db);
  expect(await db.feedEvent.count({ where: { conversationId } })).toBe(1);
  await using late = followConversation(app, user.token, id, 1);
  await expect(late.next()).rejects.toMatchObject({ errors: [{ extensions: { code: 'EVENTS_EXPIRED' } }] });
  await using rest = followConversation(app, user.token, id, 2);
  expect(await rest.next()).toMatchObject({ seq: 3 });
  // The numbers go on, also when none is left.
  await db.feedEvent.updateMany({ where: { conversationId }, data: { at: new Date(0) } });
  await deleteExpiredEvents(db);
  expect(await readSeq(user)).toBe(3);
  await note(user, id, 'three');
  expect(await rest.next()).toMatchObject({ seq: 4, edge: { node: { content: 'three' } } });
});

test('Events reach the readers of every instance, and are there after a restart', async () => {
  await using database = await createTestDatabase();
  await using one = await startTestApp({ databaseUrl: database.url });
  const user = await openNewUser(one, { sub: 'zoe' });
  const id = await user.createConversation();
  const after = await readSeq(user);
  {
    await using two = await startTestApp({ databaseUrl: database.url });
    await using there = followConversation(two, await two.token({ sub: 'zoe' }), id);
    const first = there.next();
    await expect.poll(() => two.app.runs.feed.size).toBe(1);
    await note(user, id, 'on the other instance');
    expect(await first).toMatchObject({ edge: { node: { content: 'on the other instance' } } });
    one.model.add({ text: 'Yes.' });
    await send(user, id, 'Hello');
    const last = await readSeq(user);
    expect((await there.until(({ seq }) => seq === last)).length).toBeGreaterThan(3);
    await remove(user, id);
    expect(await there.next()).toMatchObject({ __typename: 'ConversationDeleted' });
    expect(await there.next()).toBeNull();
  }
  await using restarted = await startTestApp({ databaseUrl: database.url });
  await using back = followConversation(restarted, await restarted.token({ sub: 'zoe' }), id, after);
  expect(await back.next()).toMatchObject({ __typename: 'ConversationDeleted' });
});
