import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openChat, openSocketClient, type SocketClient } from '../support/chat.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import { countMarked, holdWebhook, openTicket } from './ticket-traces.ts';

const app = shareApp();

const create = `mutation ($input: ContactInput!) { createContact(input: $input) { id } }`;
const erase = `mutation ($id: ID!, $with: Boolean!) { eraseContact(id: $id, withConversations: $with) }`;
const exportDocument = `mutation ($id: ID!) { exportContact(id: $id) { url } }`;
const readTicket = `query ($id: ID!) { ticket(id: $id) {
  subject body category status contact { id } conversation { id } comments { body } history { field from to }
} }`;
const readConversation = 'query ($id: ID!) { conversation(id: $id) { messageCount } }';

const codeOf = async (client: SocketClient, document: string, variables: Record<string, unknown>) =>
  (await app.query(document, variables, { token: client.token })).errors[0]?.extensions.code;

/** A user with a conversation and a contact, in a tenant of their own. */
async function openTalk() {
  const tenant = randomUUID();
  const marker = `m${randomUUID().replaceAll('-', '')}`;
  const chat = await openChat(app, 'assistant', { sub: 'alice', tenant });
  await holdWebhook(app, tenant);
  app.model.add({ text: `You are ${marker}.` });
  await chat.readToEnd(marker);
  const contactId: string = (await chat.ask(create, { input: { name: marker } })).createContact.id;
  const open = (sub: string, roles: readonly string[] = []) => openSocketClient(app, { sub, tenant, roles });
  return { ...chat, tenant, marker, contactId, open };
}

test('Without conversations, the tickets of an erased contact keep number and state, and no text; the conversation stays', async () => {
  const { ask, contactId, conversationId, marker } = await openTalk();
  const id = await openTicket({ ask }, { contactId, conversationId, marker });
  await ask(erase, { id: contactId, with: false });
  expect((await ask(readTicket, { id })).ticket).toEqual({
    subject: 'Erased.',
    body: 'Erased.',
    category: null,
    status: 'PENDING',
    contact: null,
    conversation: { id: conversationId },
    comments: [{ body: 'Erased.' }],
    history: expect.arrayContaining([
      { field: 'subject', from: null, to: null },
      { field: 'status', from: 'OPEN', to: 'PENDING' },
    ]),
  });
  for (const table of ['tickets', 'ticket_comments', 'ticket_changes', 'webhook_deliveries', 'contacts'])
    expect(await countMarked(app, table, marker), table).toBe(0);
  expect((await ask(readConversation, { id: conversationId })).conversation.messageCount).toBe(2);
});

test('With conversations, those of the tickets go too, however many tickets there are', async () => {
  const talk = await openTalk();
  const { ask, contactId, conversationId, marker } = talk;
  await openTicket({ ask }, { contactId, conversationId, marker });
  const row = { tenantId: talk.tenant, contactId: contactId.slice('con_'.length), subject: marker, body: marker };
  await app.app.db.ticket.createMany({
    data: Array.from({ length: 45 }, (_, n) => ({ ...row, number: 1_000 + n, createdBy: 'alice' })),
  });
  await ask(erase, { id: contactId, with: true });
  expect(await codeOf(talk, readConversation, { id: conversationId })).toBe('NOT_FOUND');
  const dump = await dumpDatabase(app.app);
  expect(dump.split('\n').filter((line) => line.includes(marker))).toEqual([]);
});

test('Only an admin reaches conversations of other users through a ticket, or tickets of other projects', async () => {
  const talk = await openTalk();
  const { contactId, marker } = talk;
  const bob = await openChat(app, 'assistant', { sub: 'bob', tenant: talk.tenant });
  await openTicket(bob, { contactId, conversationId: bob.conversationId, marker });
  expect(await codeOf(talk, erase, { id: contactId, with: true })).toBe('FORBIDDEN');
  expect(await codeOf(talk, exportDocument, { id: contactId })).toBe('FORBIDDEN');
  const admin = await talk.open('boss', ['admin']);
  const { createProject } = await admin.ask(`mutation { createProject(input: { key: "p", name: "P" }) { id } }`);
  await admin.ask('mutation ($id: ID!) { setProjectMember(projectId: $id, userId: "bob", role: EDITOR) { id } }', {
    id: createProject.id,
  });
  const hidden = await openTicket(bob, { contactId, projectId: createProject.id, marker: `${marker}p` });
  expect(await codeOf(talk, erase, { id: contactId, with: false })).toBe('FORBIDDEN');
  expect((await bob.ask(readTicket, { id: hidden })).ticket.body).toBe(`${marker}p`);

  const { url } = (await admin.ask(exportDocument, { id: contactId })).exportContact;
  const file = await fetch(`${app.url}${url}`, { headers: { authorization: `Bearer ${admin.token}` } });
  const { tickets, conversations } = JSON.parse(await file.text());
  expect(tickets).toHaveLength(2);
  expect(conversations).toHaveLength(1);
  await admin.ask(erase, { id: contactId, with: true });
  expect((await bob.ask(readTicket, { id: hidden })).ticket.body).toBe('Erased.');
  expect(await codeOf(bob, readConversation, { id: bob.conversationId })).toBe('NOT_FOUND');
});

test('Tickets that get the contact or a conversation while it is erased are erased too, or are somebody else’s', async () => {
  const talk = await openTalk();
  const { ask, contactId, conversationId, marker } = talk;
  const admin = await talk.open('boss', ['admin']);
  const move = `mutation ($id: ID!, $to: ID) { updateTicket(id: $id, input: { contactId: $to }) { id } }`;
  const others: string[] = [];
  for (let n = 0; n < 12; n += 1) others.push(await openTicket({ ask }, { marker: `${marker}-${n}` }));
  await openTicket({ ask }, { contactId, conversationId, marker });
  const link = `mutation ($id: ID!, $to: ID) { updateConversation(id: $id, input: { contactId: $to }) { id } }`;
  const late = await openChat(app, 'assistant', { sub: 'alice', tenant: talk.tenant });
  const answers = await Promise.all([
    admin.ask(erase, { id: contactId, with: true }),
    ...others.map((id) => app.query(move, { id, to: contactId }, { token: talk.token })),
    app.query(link, { id: late.conversationId, to: contactId }, { token: talk.token }),
  ]);
  const refused = answers.slice(1).flatMap(({ errors }) => errors);
  for (const { extensions } of refused) expect(extensions.code).toBe('NOT_FOUND');
  const rows = await app.app.db.ticket.findMany({ where: { tenantId: talk.tenant } });
  // Whoever came in time is erased; whoever was too late has no contact.
  expect(rows.map(({ contactId: of }) => of)).toEqual(rows.map(() => null));
  expect(rows.filter(({ body }) => body !== 'Erased.')).toHaveLength(
    others.length - answers.slice(1, 1 + others.length).filter(({ errors }) => errors.length === 0).length,
  );
  const known = await app.app.db.conversation.findMany({ where: { tenantId: talk.tenant, NOT: { contactId: null } } });
  expect(known).toEqual([]);
});

test('An export leaves out internal comments of others on tickets of the viewer’s own conversation, and has all for an admin', async () => {
  const { ask, token, contactId, conversationId, marker, open } = await openTalk();
  const id = await openTicket({ ask }, { contactId, conversationId, marker });
  const admin = await open('boss', ['admin']);
  const comment = `mutation ($id: ID!) { addTicketComment(ticketId: $id, body: "between us", isInternal: true) { id } }`;
  await admin.ask(comment, { id });
  const read = async (client: Pick<SocketClient, 'ask' | 'token'>) => {
    const { url } = (await client.ask(exportDocument, { id: contactId })).exportContact;
    return (await fetch(`${app.url}${url}`, { headers: { authorization: `Bearer ${client.token}` } })).text();
  };
  expect(await read({ ask, token })).not.toContain('between us');
  expect(await read(admin)).toContain('between us');
});

test('An export has each row once, in order, although there are more than one statement reads', async () => {
  const { ask, token, contactId, conversationId } = await openTalk();
  const link = `mutation ($id: ID!, $contactId: ID) { updateConversation(id: $id, input: { contactId: $contactId }) { id } }`;
  await ask(link, { id: conversationId, contactId });
  const save = `mutation ($input: SaveDraftInput!) { saveDraft(input: $input) { version } }`;
  for (let n = 1; n <= 45; n += 1)
    await ask(save, { input: { key: n % 2 ? 'odd' : 'even', content: n, conversationId } });
  const { url } = (await ask(exportDocument, { id: contactId })).exportContact;
  const file = await fetch(`${app.url}${url}`, { headers: { authorization: `Bearer ${token}` } });
  const [{ draftVersions }] = JSON.parse(await file.text()).conversations;
  const keys = draftVersions.map((row: { draft_id: string; version: number }) => [row.draft_id, row.version]);
  expect(keys).toHaveLength(45);
  const sorted = [...keys].sort(([a, m], [b, n]) => (a < b ? -1 : a > b ? 1 : m - n));
  expect(keys).toEqual(sorted);
});
