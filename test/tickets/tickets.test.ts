import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import {
  codeOf,
  commentDocument,
  createDocument,
  createTicket,
  newTenant,
  readDocument,
  updateDocument,
} from './support.ts';

const app = shareApp();

describe('creating', () => {
  test('A ticket has what it was given, the state OPEN and the next number of the tenant', async () => {
    const alice = await newTenant(app).open('alice');
    expect(await createTicket(alice, { priority: 'URGENT', category: 'hardware' })).toMatchObject({
      number: 1,
      subject: 'The printer is on fire',
      status: 'OPEN',
      priority: 'URGENT',
      category: 'hardware',
      assignee: null,
      createdBy: 'alice',
    });
    expect(await createTicket(alice)).toMatchObject({ number: 2, priority: 'NORMAL' });
    expect(await createTicket(await newTenant(app).open('alice'))).toMatchObject({ number: 1 });
  });

  test('Tickets that are created at the same moment have different numbers, in the order of their creation', async () => {
    const alice = await newTenant(app).open('alice');
    await createTicket(alice);
    await Promise.all(Array.from({ length: 20 }, () => createTicket(alice)));
    const document =
      '{ tickets(first: 50, orderBy: { field: CREATED_AT, direction: ASC }) { edges { node { number } } } }';
    const { tickets } = await alice.ask(document);
    const numbers = tickets.edges.map(({ node }: { node: { number: number } }) => node.number);
    expect(numbers).toEqual(Array.from({ length: 21 }, (_, index) => index + 1));
  });

  test('One idempotencyKey creates one ticket, also at the same moment; with another input it is CONFLICT', async () => {
    const { open } = newTenant(app);
    const [alice, bob] = [await open('alice'), await open('bob')];
    await createTicket(alice);
    const created = await Promise.all(Array.from({ length: 8 }, () => createTicket(alice, { idempotencyKey: 'k' })));
    expect(new Set(created.map(({ id }) => id)).size).toBe(1);
    expect(await createTicket(alice, { idempotencyKey: 'k' })).toEqual(created[0]);
    const other = { input: { subject: 'Another', body: 'text', idempotencyKey: 'k' } };
    expect(await codeOf(app, alice, createDocument, other)).toBe('CONFLICT');
    // A key belongs to its user.
    expect((await createTicket(bob, { idempotencyKey: 'k' })).id).not.toBe(created[0].id);
    const { tickets } = await alice.ask('{ tickets { totalCount } }');
    expect(tickets.totalCount).toBe(3);
  });

  test.each([
    [{ subject: '' }, 'subject', '1 to 300'],
    [{ subject: ' ' }, 'subject', 'blank'],
    [{ subject: 'a'.repeat(301) }, 'subject', '300'],
    [{ subject: 'a\u0000b' }, 'subject', 'U+0000'],
    [{ body: '' }, 'body', '1 to 20,000'],
    [{ body: 'a'.repeat(20_001) }, 'body', '20,000'],
    [{ category: '' }, 'category', '1 to 100'],
    [{ idempotencyKey: 'a'.repeat(256) }, 'idempotencyKey', '255'],
    [{ contactId: 'con_1' }, 'contactId', 'con_<uuid>'],
    [{ conversationId: 'tkt_1' }, 'conversationId', 'conv_<uuid>'],
  ])('The input %j is refused by name, and nothing is written', async (input, field, words) => {
    const { tenant, open } = newTenant(app);
    const alice = await open('alice');
    const { errors } = await app.query(
      createDocument,
      { input: { subject: 'a', body: 'b', ...input } },
      { token: alice.token },
    );
    expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', path: ['input', field] });
    expect(errors[0]?.message).toContain(words);
    expect(await app.app.db.ticket.count({ where: { tenantId: tenant } })).toBe(0);
  });
});

describe('changing', () => {
  test('Each changed field is noted with both values; what stays the same is no change', async () => {
    const { open } = newTenant(app);
    const [alice, bob] = [await open('alice'), await open('bob')];
    const { id } = await createTicket(alice, { category: 'hardware' });
    const input = {
      status: 'PENDING',
      priority: 'HIGH',
      assignee: 'bob',
      category: null,
      subject: 'The printer is on fire',
    };
    const { updateTicket } = await bob.ask(updateDocument, { id, input });
    expect(updateTicket).toMatchObject({ status: 'PENDING', priority: 'HIGH', assignee: 'bob', category: null });
    expect(updateTicket.history).toEqual([
      { field: 'status', from: 'OPEN', to: 'PENDING', by: 'bob' },
      { field: 'priority', from: 'NORMAL', to: 'HIGH', by: 'bob' },
      { field: 'category', from: 'hardware', to: null, by: 'bob' },
      { field: 'assignee', from: null, to: 'bob', by: 'bob' },
    ]);
    const again = await bob.ask(updateDocument, { id, input });
    expect(again.updateTicket.history).toHaveLength(4);
  });

  test('OPEN, PENDING and SOLVED move freely, and CLOSED is the end', async () => {
    const alice = await newTenant(app).open('alice');
    const { id } = await createTicket(alice);
    const move = (status: string) => codeOf(app, alice, updateDocument, { id, input: { status } });
    for (const status of ['PENDING', 'SOLVED', 'OPEN', 'SOLVED', 'PENDING', 'OPEN', 'CLOSED', 'CLOSED']) {
      expect(await move(status)).toBeNull();
    }
    for (const status of ['OPEN', 'PENDING', 'SOLVED']) expect(await move(status)).toBe('CONFLICT');
    // What it is about can still be corrected.
    expect(await codeOf(app, alice, updateDocument, { id, input: { category: 'fire' } })).toBeNull();
    // The database keeps it closed, whoever writes.
    const row = { where: { id: id.slice('tkt_'.length) }, data: { status: 'OPEN' as const } };
    await expect(app.app.db.ticket.update(row)).rejects.toThrow('is closed');
    const { ticket } = await alice.ask(readDocument, { id });
    expect(ticket.status).toBe('CLOSED');
  });

  test.each([
    [{}, 'input'],
    [{ status: null }, 'status'],
    [{ subject: '' }, 'subject'],
    [{ assignee: 'a'.repeat(256) }, 'assignee'],
  ])('The change %j is refused by name', async (input, words) => {
    const alice = await newTenant(app).open('alice');
    const { id } = await createTicket(alice);
    const { errors } = await app.query(updateDocument, { id, input }, { token: alice.token });
    expect(errors[0]?.extensions.code).toBe('BAD_USER_INPUT');
    expect(errors[0]?.message).toContain(words);
  });
});

describe('comments', () => {
  test('A comment of the contact reopens a ticket that is SOLVED, one of somebody else or an internal one does not', async () => {
    const { open } = newTenant(app);
    const [alice, bob] = [await open('alice'), await open('bob')];
    const conversationId = await alice.createConversation({});
    const { id } = await createTicket(alice, { conversationId });
    const statusAfter = async (user: typeof alice, isInternal = false) => {
      await bob.ask(updateDocument, { id, input: { status: 'SOLVED' } });
      await user.ask(commentDocument, { id, body: 'Hm.', isInternal });
      return (await bob.ask(readDocument, { id })).ticket.status;
    };
    expect(await statusAfter(bob)).toBe('SOLVED');
    expect(await statusAfter(alice, true)).toBe('SOLVED');
    expect(await statusAfter(alice)).toBe('OPEN');
    const { ticket } = await alice.ask(readDocument, { id });
    expect(ticket.history.at(-1)).toEqual({ field: 'status', from: 'SOLVED', to: 'OPEN', by: 'alice' });
    await bob.ask(updateDocument, { id, input: { status: 'CLOSED' } });
    await alice.ask(commentDocument, { id, body: 'Still broken.' });
    expect((await bob.ask(readDocument, { id })).ticket.status).toBe('CLOSED');
  });

  test('A ticket that is closed while its contact comments on it stays closed, whoever is first', async () => {
    const { open } = newTenant(app);
    const [alice, bob] = [await open('alice'), await open('bob')];
    for (let round = 0; round < 6; round += 1) {
      const { id } = await createTicket(alice);
      await bob.ask(updateDocument, { id, input: { status: 'SOLVED' } });
      await Promise.all([
        bob.ask(updateDocument, { id, input: { status: 'CLOSED' } }),
        alice.ask(commentDocument, { id, body: 'Wait!' }),
      ]);
      const { ticket } = await alice.ask(readDocument, { id });
      expect(ticket.status).toBe('CLOSED');
      expect(ticket.comments).toHaveLength(1);
    }
  });

  test('An internal comment is read by those who work on the ticket, and not by the user whose conversation it comes from', async () => {
    const { open } = newTenant(app);
    const [alice, bob, ada] = [await open('alice'), await open('bob'), await open('ada', ['admin'])];
    const conversationId = await alice.createConversation({});
    const { id } = await createTicket(alice, { conversationId });
    await bob.ask(commentDocument, { id, body: 'A difficult customer.', isInternal: true });
    await bob.ask(commentDocument, { id, body: 'We are on it.' });
    await alice.ask(commentDocument, { id, body: 'Note to myself.', isInternal: true });
    const bodiesFor = async (user: typeof alice) =>
      (await user.ask(readDocument, { id })).ticket.comments.map(({ body }: { body: string }) => body);
    const all = ['A difficult customer.', 'We are on it.', 'Note to myself.'];
    expect(await bodiesFor(alice)).toEqual(all.slice(1));
    expect(await bodiesFor(bob)).toEqual(all);
    expect(await bodiesFor(ada)).toEqual(all);
  });

  test('The creator of a ticket of nobody else reads no internal comment, not even if the conversation is deleted or the contact changed', async () => {
    const { open } = newTenant(app);
    const [alice, bob, ada] = [await open('alice'), await open('bob'), await open('ada', ['admin'])];
    const conversationId = await alice.createConversation({});
    const { createContact } = await alice.ask('mutation { createContact(input: { name: "Carol" }) { id } }');
    const contactId = createContact.id;
    await alice.ask('mutation ($id: ID!, $to: ID) { updateConversation(id: $id, input: { contactId: $to }) { id } }', {
      id: conversationId,
      to: contactId,
    });
    const inConversation = await createTicket(alice, { conversationId });
    const ofNobody = await createTicket(alice);
    const forCarol = await createTicket(alice, { contactId });
    for (const { id } of [inConversation, ofNobody, forCarol])
      await bob.ask(commentDocument, { id, body: 'Between us.', isInternal: true });
    await alice.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: conversationId });
    await alice.ask(updateDocument, { id: ofNobody.id, input: { contactId } });
    const countFor = async (user: typeof alice, id: string) =>
      (await user.ask(readDocument, { id })).ticket.comments.length;
    expect(await Promise.all([inConversation, ofNobody, forCarol].map(({ id }) => countFor(alice, id)))).toEqual([
      0, 0, 1,
    ]);
    for (const user of [bob, ada]) expect(await countFor(user, ofNobody.id)).toBe(1);
    await bob.ask(updateDocument, { id: inConversation.id, input: { status: 'SOLVED' } });
    await alice.ask(commentDocument, { id: inConversation.id, body: 'It burns again.' });
    expect((await bob.ask(readDocument, { id: inConversation.id })).ticket.status).toBe('OPEN');
  });

  test('A ticket has at most 1,000 comments', async () => {
    const alice = await newTenant(app).open('alice');
    const { id } = await createTicket(alice);
    await app.app.db.ticket.update({ where: { id: id.slice(4) }, data: { commentCount: 1_000 } });
    expect(await codeOf(app, alice, commentDocument, { id, body: 'One more.' })).toBe('CONFLICT');
  });
});

describe('rights', () => {
  test('Somebody else’s conversation is not shown with the ticket, cannot be named for one, and is gone when it is deleted', async () => {
    const { open } = newTenant(app);
    const [alice, bob] = [await open('alice'), await open('bob')];
    const conversationId = await alice.createConversation({});
    const { id } = await createTicket(alice, { conversationId });
    expect((await alice.ask(readDocument, { id })).ticket.conversation).toEqual({ id: conversationId });
    expect((await bob.ask(readDocument, { id })).ticket.conversation).toBeNull();
    const input = { subject: 'a', body: 'b', conversationId };
    expect(await codeOf(app, bob, createDocument, { input })).toBe('FORBIDDEN');
    const list = 'query ($id: ID!) { tickets(filter: { conversationId: $id }) { totalCount } }';
    expect(await codeOf(app, bob, list, { id: conversationId })).toBe('FORBIDDEN');
    expect((await alice.ask(list, { id: conversationId })).tickets.totalCount).toBe(1);
    await alice.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: conversationId });
    expect((await alice.ask(readDocument, { id })).ticket.conversation).toBeNull();
  });

  test('An agent that belongs to another user is not shown with the ticket', async () => {
    const { open } = newTenant(app);
    const [alice, bob] = [await open('alice'), await open('bob')];
    const { id } = await createTicket(alice);
    const agent = await alice.createAgent({ name: 'mine' });
    await app.app.db.ticket.update({ where: { id: id.slice(4) }, data: { createdByAgentId: agent.slice(4) } });
    expect((await alice.ask(readDocument, { id })).ticket.createdByAgent).toEqual({ name: 'mine' });
    expect((await bob.ask(readDocument, { id })).ticket.createdByAgent).toBeNull();
  });

  test('In a project, members read, editors write, and others are FORBIDDEN; admins may do all', async () => {
    const { open } = newTenant(app);
    const ada = await open('ada', ['admin']);
    const [reader, editor, stranger] = [await open('reader'), await open('editor'), await open('stranger')];
    await ada.ask('mutation { createProject(input: { key: "shop", name: "Shop" }) { id } }');
    const add =
      'mutation ($p: ID!, $u: String!, $r: ProjectRole!) { setProjectMember(projectId: $p, userId: $u, role: $r) { id } }';
    await ada.ask(add, { p: 'shop', u: 'reader', r: 'VIEWER' });
    await ada.ask(add, { p: 'shop', u: 'editor', r: 'EDITOR' });
    const inProject = { input: { subject: 'a', body: 'b', projectId: 'shop' } };
    const { id } = await createTicket(editor, { projectId: 'shop' });
    const outside = await createTicket(stranger);

    expect(await codeOf(app, reader, createDocument, inProject)).toBe('FORBIDDEN');
    expect(await codeOf(app, stranger, createDocument, inProject)).toBe('FORBIDDEN');
    expect(await codeOf(app, ada, createDocument, inProject)).toBeNull();
    expect((await reader.ask(readDocument, { id })).ticket.project).toEqual({ key: 'shop' });
    for (const [document, variables] of [
      [updateDocument, { id, input: { priority: 'LOW' } }],
      [commentDocument, { id, body: 'x' }],
    ] as const) {
      expect(await codeOf(app, reader, document, variables)).toBe('FORBIDDEN');
      expect(await codeOf(app, stranger, document, variables)).toBe('FORBIDDEN');
      expect(await codeOf(app, editor, document, variables)).toBeNull();
      expect(await codeOf(app, ada, document, variables)).toBeNull();
    }
    expect(await codeOf(app, stranger, readDocument, { id })).toBe('FORBIDDEN');
    expect(await codeOf(app, stranger, 'query ($id: ID!) { node(id: $id) { id } }', { id })).toBe('FORBIDDEN');
    const count = async (user: typeof ada, filter: string) =>
      (await user.ask(`{ tickets${filter} { totalCount edges { node { id } } } }`)).tickets.totalCount;
    expect([await count(stranger, ''), await count(reader, ''), await count(ada, '')]).toEqual([1, 3, 3]);
    expect(await count(reader, '(filter: { projectId: "shop" })')).toBe(2);
    const ofProject = '{ tickets(filter: { projectId: "shop" }) { totalCount } }';
    expect(await codeOf(app, stranger, ofProject, {})).toBe('FORBIDDEN');
    expect(await codeOf(app, reader, readDocument, { id: outside.id })).toBeNull();
  });

  test('A key gives its ticket to its creator only as long as the creator is a member of the project', async () => {
    const { open } = newTenant(app);
    const [ada, alice] = [await open('ada', ['admin']), await open('alice')];
    await ada.ask('mutation { createProject(input: { key: "shop", name: "Shop" }) { id } }');
    await ada.ask('mutation { setProjectMember(projectId: "shop", userId: "alice", role: EDITOR) { id } }');
    const input = { subject: 'a', body: 'b', projectId: 'shop', idempotencyKey: 'k' };
    expect(await codeOf(app, alice, createDocument, { input })).toBeNull();
    expect(await codeOf(app, alice, createDocument, { input })).toBeNull();
    await ada.ask('mutation { removeProjectMember(projectId: "shop", userId: "alice") { id } }');
    expect(await codeOf(app, alice, createDocument, { input })).toBe('FORBIDDEN');
    const outside = { subject: 'a', body: 'b', idempotencyKey: 'k' };
    expect(await codeOf(app, alice, createDocument, { input: outside })).toBe('CONFLICT');
  });

  test('Another tenant’s ticket is FORBIDDEN, an absent one NOT_FOUND, and another id BAD_USER_INPUT', async () => {
    const { id } = await createTicket(await newTenant(app).open('alice'));
    const ada = await newTenant(app).open('ada', ['admin']);
    for (const [document, rest] of [
      [readDocument, {}],
      [updateDocument, { input: { priority: 'LOW' } }],
      [commentDocument, { body: 'x' }],
    ] as const) {
      expect(await codeOf(app, ada, document, { id, ...rest })).toBe('FORBIDDEN');
      expect(await codeOf(app, ada, document, { id: `tkt_${randomUUID()}`, ...rest })).toBe('NOT_FOUND');
      expect(await codeOf(app, ada, document, { id: `con_${randomUUID()}`, ...rest })).toBe('BAD_USER_INPUT');
    }
    const node = 'query ($id: ID!) { node(id: $id) { id } }';
    expect(await codeOf(app, ada, node, { id: `cmt_${randomUUID()}` })).toBe('BAD_USER_INPUT');
  });
});
