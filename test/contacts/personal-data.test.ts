import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { contactReferences } from '../../src/contacts/references.ts';
import { deleteExpiredExports } from '../../src/exports/runtime.ts';
import { shareApp } from '../support/app.ts';
import { openChat, openSocketClient, type SocketClient } from '../support/chat.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import { countMarked, holdWebhook, openTicket } from './ticket-traces.ts';

const app = shareApp();

const create = `mutation ($input: ContactInput!) { createContact(input: $input) { id } }`;
const link = `mutation ($id: ID!, $contactId: ID) { updateConversation(id: $id, input: { contactId: $contactId }) { id } }`;
const erase = `mutation ($id: ID!, $with: Boolean!) { eraseContact(id: $id, withConversations: $with) }`;
const exportDocument = `mutation ($id: ID!) { exportContact(id: $id) { url mediaType size } }`;
const merge = `mutation ($into: ID!, $from: ID!) { mergeContacts(intoId: $into, fromIds: [$from]) { id } }`;

interface Options {
  readonly tenant: string;
  readonly marker: string;
}

/** Writes a marker wherever something of a person is kept. */
async function leaveTraces({ tenant, marker }: Options) {
  const chat = await openChat(app, 'assistant', { sub: `user-${tenant}`, tenant });
  await holdWebhook(app, tenant);
  const { ask, conversationId } = chat;
  const { id } = (
    await ask(create, {
      input: { name: marker, email: `${marker}@example.com`, notes: marker, fields: { [marker]: marker } },
    })
  ).createContact;
  const other = (await ask(create, { input: { name: `${marker} again` } })).createContact;
  await ask(merge, { into: id, from: other.id });
  await ask(link, { id: conversationId, contactId: other.id });
  app.model.add({ calls: [{ name: 'echo_context', arguments: { [marker]: marker } }] }, { text: `You are ${marker}.` });
  const { createContextSnapshot: snapshot } = await ask(
    `mutation ($input: ContextSnapshotInput!) { createContextSnapshot(input: $input) { id } }`,
    { input: { page: marker } },
  );
  await chat.readToEnd(`I am ${marker}`, { contextSnapshotId: snapshot.id });
  await leaveCallTraces({ tenant, marker }, conversationId.slice('conv_'.length));
  await openTicket(chat, { contactId: other.id, marker });
  await ask(`mutation ($input: SaveDraftInput!) { saveDraft(input: $input) { id } }`, {
    input: { key: marker, content: marker, conversationId },
  });
  await ask(`mutation ($id: ID!) { updateConversation(id: $id, input: { title: "${marker}" }) { id } }`, {
    id: conversationId,
  });
  const { exportContact: file } = await ask(exportDocument, { id });
  return { ...chat, id, mergedId: other.id, file };
}

/** What calls by voice, guardrails and speech keep, as a provider would give it. */
async function leaveCallTraces({ tenant, marker }: Options, conversationId: string): Promise<void> {
  const { db } = app.app;
  const at = new Date();
  const soon = new Date(Date.now() + 600_000);
  const { userId, scenarioId, activeAgentId, messages, runs } = await db.conversation.findUniqueOrThrow({
    where: { id: conversationId },
    include: { messages: { take: 1 }, runs: { take: 1 } },
  });
  const agentId = activeAgentId ?? '';
  const result = { tenantId: tenant, agentId, guardrail: marker, stage: 'INPUT' as const, tripwireTriggered: true, at };
  const decision = { reason: marker };
  await db.guardrailResult.create({ data: { ...result, decision, step: 0, runId: runs[0]?.id ?? '' } });
  const owner = { tenantId: tenant, userId };
  const session = await db.realtimeSession.create({
    data: {
      ...owner,
      conversationId,
      scenarioId: scenarioId ?? '',
      scenarioVersion: 1,
      rootAgentId: agentId,
      activeAgentId: agentId,
      model: marker,
      expiresAt: at,
      endsAt: at,
      items: { create: { conversationId, itemId: marker, messageId: messages[0]?.id ?? '', at } },
    },
  });
  await db.realtimeGuardrailResult.create({ data: { ...result, decision, sessionId: session.id } });
  const chunks = { create: { position: 0, data: Buffer.from(marker) } };
  await db.speechClip.create({ data: { ...owner, mediaType: 'audio/wav', size: 3, expiresAt: soon, chunks } });
}

/** The text of all files of a folder. */
async function readFolder(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const texts = entries
    .filter((entry) => entry.isFile())
    .map((entry) => readFile(join(entry.parentPath, entry.name), 'latin1'));
  return (await Promise.all(texts)).join('\n');
}

const fetchFile = (url: string, token: string) =>
  fetch(`${app.url}${url}`, { headers: { authorization: `Bearer ${token}` } });

const codeOf = async (client: SocketClient, document: string, variables: Record<string, unknown>) =>
  (await app.query(document, variables, { token: client.token })).errors[0]?.extensions.code;

describe('erasure', () => {
  test('No column of the database and no file of the data folder holds anything of an erased person', async () => {
    const marker = `m${randomUUID().replaceAll('-', '')}`;
    const traces = await leaveTraces({ tenant: randomUUID(), marker });
    const before = await dumpDatabase(app.app);
    expect(before.split(marker).length).toBeGreaterThan(30);
    for (const table of ['tickets', 'ticket_comments', 'ticket_changes', 'webhook_deliveries', 'realtime_items'])
      expect(await countMarked(app, table, marker), table).toBeGreaterThan(0);
    const bytes = Buffer.from(marker).toString('hex');
    expect(before).toContain(bytes);
    const { id, mergedId, file, token } = traces;
    expect((await traces.ask(erase, { id: mergedId, with: true })).eraseContact).toBe(id);
    const after = await dumpDatabase(app.app);
    expect(after.split('\n').filter((row) => row.includes(marker) || row.includes(bytes))).toEqual([]);
    expect(await readFolder('.data')).not.toContain(marker);
    for (const gone of [id, mergedId])
      expect(await codeOf(traces, 'query ($id: ID!) { contact(id: $id) { id } }', { id: gone })).toBe('NOT_FOUND');
    expect(
      await codeOf(traces, 'query ($id: ID!) { conversation(id: $id) { id } }', { id: traces.conversationId }),
    ).toBe('NOT_FOUND');
    expect((await fetchFile(file.url, token)).status).toBe(404);
    // The address and the name are free again.
    await traces.ask(create, { input: { email: `${marker}@example.com` } });
  });

  test('Without conversations, they stay and have no contact', async () => {
    const marker = `m${randomUUID()}`;
    const traces = await leaveTraces({ tenant: randomUUID(), marker });
    await traces.ask(erase, { id: traces.id, with: false });
    const { conversation } = await traces.ask(
      'query ($id: ID!) { conversation(id: $id) { messageCount contact { id } } }',
      { id: traces.conversationId },
    );
    expect(conversation).toEqual({ messageCount: 2, contact: null });
    const dump = await dumpDatabase(app.app);
    expect(dump).not.toContain(`${marker}@example.com`);
  });

  test('Only an admin reaches the conversations of other users through a contact', async () => {
    const tenant = randomUUID();
    const traces = await leaveTraces({ tenant, marker: `m${randomUUID()}` });
    const colleague = await openSocketClient(app, { sub: 'colleague', tenant });
    const stranger = await openSocketClient(app, { sub: 'stranger', tenant: randomUUID() });
    for (const client of [colleague, stranger]) {
      expect(await codeOf(client, erase, { id: traces.id, with: true })).toBe('FORBIDDEN');
      expect(await codeOf(client, exportDocument, { id: traces.id })).toBe('FORBIDDEN');
      expect((await fetchFile(traces.file.url, client.token)).status).toBe(403);
    }
    const admin = await openSocketClient(app, { sub: 'admin', tenant, roles: ['admin'] });
    expect((await admin.ask(exportDocument, { id: traces.id })).exportContact.mediaType).toBe('application/json');
    await admin.ask(erase, { id: traces.id, with: true });
    expect(
      await codeOf(traces, 'query ($id: ID!) { conversation(id: $id) { id } }', { id: traces.conversationId }),
    ).toBe('NOT_FOUND');
    expect(await codeOf(admin, erase, { id: traces.id, with: true })).toBe('NOT_FOUND');
    expect(await codeOf(admin, erase, { id: 'con_1', with: true })).toBe('BAD_USER_INPUT');
  });

  test('A turn that is under way in a conversation that is erased ends, and writes nothing more', async () => {
    const marker = `m${randomUUID()}`;
    const chat = await openChat(app, 'assistant', { tenant: randomUUID() });
    const { id } = (await chat.ask(create, { input: { name: marker } })).createContact;
    await chat.ask(link, { id: chat.conversationId, contactId: id });
    app.model.add({ text: [`${marker} `, 'b ', 'c ', 'd ', 'e'], delayMs: 200 });
    const reader = chat.say(`Hello ${marker}`);
    await reader.next();
    await chat.ask(erase, { id, with: true });
    const rest = await reader.rest();
    expect(rest.at(-1)?.__typename).toBe('RunCancelled');
    const dump = await dumpDatabase(app.app);
    expect(dump.split('\n').filter((row) => row.includes(marker))).toEqual([]);
  });

  test('Erasing treats every foreign key to contacts', async () => {
    const { db } = app.app;
    const keys = await db.$queryRaw<{ table: string; nullable: boolean }[]>`
      SELECT conrelid::regclass::text AS table, NOT attnotnull AS nullable FROM pg_constraint
      JOIN pg_attribute ON attrelid = conrelid AND attname = 'contact_id'
      WHERE contype = 'f' AND confrelid = 'contacts'::regclass ORDER BY 1`;
    expect(keys.map(({ table }) => table)).toEqual(contactReferences.map(({ table }) => table).sort());
    for (const { table, onErase } of contactReferences) {
      if (onErase !== 'DELETE') expect(keys).toContainEqual({ table, nullable: true });
    }
  });
});

describe('an export', () => {
  test('It has the contact, and the conversations with their messages, calls and drafts, and is private', async () => {
    const marker = `m${randomUUID()}`;
    const { file, token, id, mergedId, ask } = await leaveTraces({ tenant: randomUUID(), marker });
    const response = await fetchFile(file.url, token);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-disposition')).toBe('attachment');
    expect(response.headers.get('cache-control')).toContain('no-store');
    const text = await response.text();
    expect(Buffer.byteLength(text)).toBe(file.size);
    const content = JSON.parse(text);
    expect(content.contact).toMatchObject({ id, mergedIds: [mergedId], name: marker, fields: { [marker]: marker } });
    expect(content.conversations).toHaveLength(1);
    const [{ conversation, messages, runs, toolCalls, drafts }] = content.conversations;
    expect(conversation.title).toBe(marker);
    const texts = messages.map((message: { content: string }) => message.content);
    expect(texts).toEqual(expect.arrayContaining([`I am ${marker}`, `You are ${marker}.`]));
    expect(runs).toHaveLength(1);
    expect(toolCalls[0].name).toBe('echo_context');
    expect(drafts[0].content).toBe(marker);
    expect(content.tickets).toMatchObject([
      {
        ticket: { subject: `Now ${marker}`, body: marker, category: marker, status: 'PENDING' },
        comments: [{ body: marker }],
        history: expect.arrayContaining([expect.objectContaining({ field: 'subject', value_before: marker })]),
      },
    ]);
    expect(Object.keys(content.conversations[0])).toEqual(expect.arrayContaining(['citations', 'realtimeSessions']));
    expect(text).not.toMatch(/tenant_id|lease_owner|payload_hash|creation_|tsv/);

    expect((await fetch(`${app.url}${file.url}`)).status).toBe(401);
    const expired = await ask(exportDocument, { id });
    await app.app.db.$executeRaw`UPDATE exports SET expires_at = now() - interval '1 second'`;
    expect((await fetchFile(expired.exportContact.url, token)).status).toBe(404);
    await deleteExpiredExports(app.app.db);
    expect(await app.app.db.exportPiece.count()).toBe(0);
  });

  test('A conversation of many long messages is written in pieces, and can be read in ranges', async () => {
    const client = await openSocketClient(app, { sub: 'long', tenant: randomUUID() });
    const conversationId = await client.createConversation({});
    const { id } = (await client.ask(create, { input: { name: 'Long' } })).createContact;
    await client.ask(link, { id: conversationId, contactId: id });
    const add = `mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }`;
    const content = 'ü'.repeat(40_000);
    for (let n = 0; n < 25; n += 1) await client.ask(add, { input: { conversationId, role: 'USER', content } });
    const { url, size } = (await client.ask(exportDocument, { id })).exportContact;
    expect(size).toBeGreaterThan(2_000_000);
    const whole = Buffer.from(await (await fetchFile(url, client.token)).arrayBuffer());
    expect(JSON.parse(whole.toString()).conversations[0].messages).toHaveLength(25);
    const headers = { authorization: `Bearer ${client.token}`, range: 'bytes=262100-262200' };
    const part = await fetch(`${app.url}${url}`, { headers });
    expect(part.status).toBe(206);
    expect(Buffer.from(await part.arrayBuffer()).equals(whole.subarray(262_100, 262_201))).toBe(true);
  });

  test('A user has 20 exports that have not expired, at most', async () => {
    const client = await openSocketClient(app, { sub: 'many', tenant: randomUUID() });
    const { id } = (await client.ask(create, { input: { name: 'Many' } })).createContact;
    for (let n = 0; n < 20; n += 1) await client.ask(exportDocument, { id });
    expect(await codeOf(client, exportDocument, { id })).toBe('RATE_LIMITED');
  });
});
