import { expect, test } from 'vitest';
import { deleteExpiredTicketEvents } from '../../src/tickets/feed.ts';
import { shareApp, startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { commentDocument, createTicket, newTenant, updateDocument } from './support.ts';

const app = shareApp();

interface Step {
  readonly __typename: string;
  readonly seq: number;
  readonly ticket: { readonly id: string; readonly subject: string; readonly status: string };
  readonly comment?: { readonly body: string };
}

const eventsDocument = `subscription ($projectId: ID, $after: Int) { ticketEvents(projectId: $projectId, after: $after) {
  __typename
  ... on TicketCreated { seq ticket { id subject status } }
  ... on TicketUpdated { seq ticket { id subject status } }
  ... on TicketCommented { seq ticket { id subject status } comment { body } }
} }`;

/** Follows the tickets of a user. `next` fails with the errors of the stream. */
function follow(server: TestApp, { token }: SocketClient, variables: { after?: number; projectId?: string } = {}) {
  const stream = server.ws(token).iterate<{ ticketEvents: Step }>({ query: eventsDocument, variables });
  return {
    async next(): Promise<Step> {
      const { done, value } = await stream.next();
      if (done || !value.data || value.errors)
        throw Object.assign(new Error('The stream failed.'), { errors: done ? [] : value.errors });
      return value.data.ticketEvents;
    },
    [Symbol.asyncDispose]: async () => void (await stream.return?.(undefined)),
  };
}

const readSeq = async (user: SocketClient): Promise<number> =>
  (await user.ask('{ viewer { lastTicketEventSeq } }')).viewer.lastTicketEventSeq;
const update = (user: SocketClient, id: string, input: object) => user.ask(updateDocument, { id, input });
const comment = (user: SocketClient, id: string, body: string, isInternal = false) =>
  user.ask(commentDocument, { id, body, isInternal });

test('What happens to tickets is told in its order, with a seq that grows by one, to whoever attaches at any time', async () => {
  const { open } = newTenant(app);
  const [alice, bob] = [await open('alice'), await open('bob')];
  expect(await readSeq(alice)).toBe(0);
  await using live = follow(app, bob, { after: 0 });
  const { id } = await createTicket(alice, { subject: 'First' });
  expect(await live.next()).toMatchObject({ __typename: 'TicketCreated', seq: 1, ticket: { id, subject: 'First' } });
  await update(bob, id, { status: 'PENDING', priority: 'HIGH' });
  expect(await live.next()).toMatchObject({ __typename: 'TicketUpdated', seq: 2, ticket: { id, status: 'PENDING' } });
  // What changes nothing is no event.
  await update(bob, id, { status: 'PENDING' });
  await comment(alice, id, 'Any news?');
  expect(await live.next()).toMatchObject({ __typename: 'TicketCommented', seq: 3, comment: { body: 'Any news?' } });
  expect(await readSeq(alice)).toBe(3);
  for (const after of [0, 1, 2]) {
    await using late = follow(app, alice, { after });
    for (let seq = after + 1; seq <= 3; seq += 1) expect(await late.next()).toMatchObject({ seq, ticket: { id } });
  }
});

test('A comment that reopens a ticket is told, and so is that it is open again', async () => {
  const alice = await newTenant(app).open('alice');
  const { id } = await createTicket(alice);
  await update(alice, id, { status: 'SOLVED' });
  await using events = follow(app, alice, { after: await readSeq(alice) });
  await comment(alice, id, 'It burns again.');
  const seen = [await events.next(), await events.next()];
  expect(seen.map(({ __typename }) => __typename).sort()).toEqual(['TicketCommented', 'TicketUpdated']);
  expect(seen.map(({ ticket }) => ticket.status)).toEqual(['OPEN', 'OPEN']);
});

test('Tickets that are created at the same moment have events without a gap, each once', async () => {
  const alice = await newTenant(app).open('alice');
  await using events = follow(app, alice, { after: 0 });
  const created = await Promise.all(Array.from({ length: 20 }, () => createTicket(alice)));
  const seen = [];
  for (let count = 0; count < 20; count += 1) seen.push(await events.next());
  expect(seen.map(({ seq }) => seq)).toEqual(seen.map((_, index) => index + 1));
  expect(new Set(seen.map(({ ticket }) => ticket.id))).toEqual(new Set(created.map(({ id }) => id)));
});

test('Whoever joins a project is told of what happened to its tickets before, as the list shows them, and a former member is not', async () => {
  const { open } = newTenant(app);
  const [ada, late] = [await open('ada', ['admin']), await open('late')];
  await ada.ask('mutation { createProject(input: { key: "shop", name: "Shop" }) { id } }');
  const { id } = await createTicket(ada, { projectId: 'shop', subject: 'Before' });
  const outside = await createTicket(ada, { subject: 'Outside' });
  await ada.ask('mutation { setProjectMember(projectId: "shop", userId: "late", role: VIEWER) { id } }');
  const { tickets } = await late.ask('{ tickets { edges { node { id } } } }');
  expect(tickets.edges).toHaveLength(2);
  {
    await using events = follow(app, late, { after: 0 });
    expect(await events.next()).toMatchObject({ seq: 1, ticket: { id, subject: 'Before' } });
  }
  await ada.ask('mutation { removeProjectMember(projectId: "shop", userId: "late") { id } }');
  await using events = follow(app, late, { after: 0 });
  expect(await events.next()).toMatchObject({ seq: 2, ticket: { id: outside.id } });
});

test('Tickets of a project are told to its members, and of other projects and tenants to nobody else', async () => {
  const { open } = newTenant(app);
  const ada = await open('ada', ['admin']);
  const [member, stranger] = [await open('member'), await open('stranger')];
  await ada.ask('mutation { createProject(input: { key: "shop", name: "Shop" }) { id } }');
  await ada.ask('mutation { setProjectMember(projectId: "shop", userId: "member", role: VIEWER) { id } }');
  await using ofMember = follow(app, member, { after: 0 });
  await using ofShop = follow(app, member, { after: 0, projectId: 'shop' });
  await using ofStranger = follow(app, stranger, { after: 0 });
  const mallory = await newTenant(app).open('mallory', ['admin']);
  await using ofOther = follow(app, mallory, { after: 0 });
  const inShop = await createTicket(ada, { projectId: 'shop', subject: 'In the shop' });
  const outside = await createTicket(ada, { subject: 'Outside' });
  const last = await createTicket(ada, { projectId: 'shop', subject: 'In the shop too' });
  const idsOf = async (events: ReturnType<typeof follow>, count: number) => {
    const ids = [];
    for (let index = 0; index < count; index += 1) ids.push((await events.next()).ticket.id);
    return ids;
  };
  expect(await idsOf(ofMember, 3)).toEqual([inShop.id, outside.id, last.id]);
  expect(await idsOf(ofShop, 2)).toEqual([inShop.id, last.id]);
  expect(await ofStranger.next()).toMatchObject({ seq: 2, ticket: { id: outside.id } });
  await ada.ask('mutation { removeProjectMember(projectId: "shop", userId: "member") { id } }');
  await update(ada, last.id, { subject: 'Secret' });
  await update(ada, outside.id, { subject: 'Still outside' });
  for (const events of [ofMember, ofStranger])
    expect(await events.next()).toMatchObject({ seq: 5, ticket: { subject: 'Still outside' } });
  await using refused = follow(app, stranger, { projectId: 'shop' });
  await expect(refused.next()).rejects.toMatchObject({ errors: [{ extensions: { code: 'FORBIDDEN' } }] });
  const theirs = await createTicket(mallory);
  expect(await ofOther.next()).toMatchObject({ seq: 1, ticket: { id: theirs.id } });
});

test('An internal comment is told to those who work on the ticket, and not to the user whose conversation it comes from', async () => {
  const { open } = newTenant(app);
  const [alice, bob, ada] = [await open('alice'), await open('bob'), await open('ada', ['admin'])];
  const { id } = await createTicket(alice, { conversationId: await alice.createConversation({}) });
  const after = await readSeq(alice);
  await comment(bob, id, 'A difficult customer.', true);
  await comment(bob, id, 'We are on it.');
  await using ofAlice = follow(app, alice, { after });
  expect(await ofAlice.next()).toMatchObject({ seq: after + 2, comment: { body: 'We are on it.' } });
  for (const user of [bob, ada]) {
    await using events = follow(app, user, { after });
    expect(await events.next()).toMatchObject({ seq: after + 1, comment: { body: 'A difficult customer.' } });
  }
});

test('A position that does not exist yet or any more is refused, and says where to go on', async () => {
  const { tenant, open } = newTenant(app);
  const alice = await open('alice');
  const { id } = await createTicket(alice);
  await update(alice, id, { priority: 'LOW' });
  for (const after of [-1, 3]) {
    await using ahead = follow(app, alice, { after });
    await expect(ahead.next()).rejects.toMatchObject({
      errors: [{ extensions: { code: 'BAD_USER_INPUT', path: ['after'] } }],
    });
  }
  const { db } = app.app;
  await db.$executeRaw`UPDATE ticket_events SET at = at - interval '25 hours' WHERE tenant_id = ${tenant}`;
  await deleteExpiredTicketEvents(db);
  await using late = follow(app, alice, { after: 0 });
  await expect(late.next()).rejects.toMatchObject({
    errors: [
      {
        message: expect.stringContaining('Read the tickets again'),
        extensions: { code: 'EVENTS_EXPIRED', lastEventSeq: 2 },
      },
    ],
  });
  // The numbers go on, also when none is left.
  expect(await readSeq(alice)).toBe(2);
  await using rest = follow(app, alice, { after: 2 });
  await update(alice, id, { priority: 'HIGH' });
  expect(await rest.next()).toMatchObject({ __typename: 'TicketUpdated', seq: 3 });
});

test('Events of tickets reach the readers of every instance, and are there after a restart', async () => {
  await using database = await createTestDatabase();
  await using one = await startTestApp({ databaseUrl: database.url });
  const alice = await openSocketClient(one, 'alice');
  const clientOf = async (server: TestApp) => openSocketClient(server, 'alice');
  const first = await createTicket(alice);
  {
    await using two = await startTestApp({ databaseUrl: database.url });
    await using there = follow(two, await clientOf(two), { after: 1 });
    const told = there.next();
    await expect.poll(() => two.app.tickets.feed.size).toBe(1);
    await comment(alice, first.id, 'From the other instance.');
    expect(await told).toMatchObject({ seq: 2, comment: { body: 'From the other instance.' } });
  }
  await using restarted = await startTestApp({ databaseUrl: database.url });
  await using back = follow(restarted, await clientOf(restarted), { after: 0 });
  expect(await back.next()).toMatchObject({ __typename: 'TicketCreated', seq: 1 });
  expect(await back.next()).toMatchObject({ __typename: 'TicketCommented', seq: 2 });
});

test('A reader of tickets that leaves, leaves nothing open', async () => {
  const alice = await newTenant(app).open('alice');
  await createTicket(alice);
  const before = app.app.tickets.feed.size;
  {
    await using events = follow(app, alice, { after: 0 });
    await events.next();
    expect(app.app.tickets.feed.size).toBe(before + 1);
  }
  await expect.poll(() => app.app.tickets.feed.size).toBe(before);
});
