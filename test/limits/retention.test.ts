import { execFile } from 'node:child_process';
import { randomUUID, randomUUIDv7 } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import type { RetentionEnv } from '../../src/config/retention.ts';
import { eraseUser } from '../../src/retention/erase-user.ts';
import { firstIdOf, purge } from '../../src/retention/purge.ts';
import { followRun } from '../../src/runs/commands/follow.ts';
import { holdWebhook, openTicket } from '../contacts/ticket-traces.ts';
import { shareApp, startTestApp, type TestApp } from '../support/app.ts';
import { documents, openChat, openSocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import { hasRedis, startRedis } from '../support/database/redis.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp();

const dayMs = 24 * 3_600_000;
const forEver: RetentionEnv = { archives: null, conversations: null, guardrailResults: null, ledger: null };

/** Deletes what is older than five days, ten days from now. */
function purgeLater(retention: Partial<RetentionEnv>, options: { signal?: AbortSignal; batch?: number } = {}) {
  return purge(app.app.db, {
    retention: { ...forEver, ...retention },
    now: new Date(Date.now() + 10 * dayMs),
    signal: options.signal ?? new AbortController().signal,
    pauseMs: 0,
    batch: options.batch ?? 2,
  });
}

/** A run of a user with one turn that has ended. */
async function openTalk(text = 'Yes.') {
  app.model.add({ text });
  const chat = await openChat(app, {}, { tenant: `t-${randomUUID()}` });
  const events = await chat.readToEnd('hi', { idempotencyKey: 'a' });
  return { ...chat, runId: events[0]?.runId ?? '', rowId: (events[0]?.runId ?? '').slice(4), last: events.at(-1)?.seq };
}

test('The events of old runs are deleted, and clients are told so; runs that wait or go on, and new ones, keep theirs', async () => {
  const { db } = app.app;
  const old = await openTalk();
  const other = await openTalk();
  const archived = () => db.runArchive.count({ where: { runId: { in: [old.rowId, other.rowId] } } });
  expect(await archived()).toBe(2);
  // Nothing is old today, nor if everything is kept.
  await purge(db, {
    retention: { ...forEver, archives: 5 },
    now: new Date(),
    signal: AbortSignal.timeout(60_000),
    pauseMs: 0,
    batch: 2,
  });
  await purgeLater({});
  expect(await archived()).toBe(2);
  // What has not ended is left out, whatever its age.
  await db.$executeRaw`UPDATE runs SET finished_at = NULL, status = 'REQUIRES_ACTION', action_expires_at = now() + interval '1 hour'
    WHERE id = ${other.rowId}::uuid`;
  const { archives } = await purgeLater({ archives: 5 });
  expect(archives).toBeGreaterThanOrEqual(1);
  expect(
    await db.runArchive.findMany({ where: { runId: { in: [old.rowId, other.rowId] } }, select: { runId: true } }),
  ).toEqual([{ runId: other.rowId }]);
  await db.$executeRaw`DELETE FROM conversations WHERE id = ${other.conversationId.slice(5)}::uuid`;

  const expired = { errors: [{ extensions: { code: 'EVENTS_EXPIRED', lastEventSeq: old.last } }] };
  await expect(old.runEvents('ws', old.runId).rest()).rejects.toMatchObject(expired);
  await expect(old.runEvents('sse', old.runId, 1).rest()).rejects.toMatchObject(expired);
  await expect(old.readToEnd('hi', { idempotencyKey: 'a' })).rejects.toMatchObject(expired);
  // The rows tell what came of it.
  const input = { conversationId: old.conversationId, content: 'hi', idempotencyKey: 'a' };
  const sent = await old.ask(documents.sendMessage, { input });
  expect(sent.sendMessage).toMatchObject({ id: old.runId, status: 'COMPLETED', messages: [{ content: 'Yes.' }] });
  expect((await old.ask(documents.startRun, { input })).startRun).toMatchObject({ id: old.runId });
  // And the conversation goes on.
  app.model.add({ text: 'Again.' });
  expect((await old.readToEnd('again')).at(-1)?.__typename).toBe('RunCompleted');
});

test('A reader that is behind when the events of its run are deleted is told so, and does not end as if it had read them', async () => {
  const { db, runs } = app.app;
  const read = async () => {
    const talk = await openChat(app, {}, { tenant: `t-${randomUUID()}` });
    const gate = createGate();
    app.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
    const reader = talk.say('hi');
    await reader.untilText('A');
    const runId = reader.events[0]?.runId ?? '';
    const { userId, tenantId } = await db.run.findUniqueOrThrow({ where: { id: runId.slice(4) } });
    const cursor = await followRun({ userId, tenantId, roles: [], expiresAt: Infinity }, runs, runId, 0);
    await cursor.next();
    gate.open();
    const lastEventSeq = (await reader.rest()).at(-1)?.seq;
    await expect.poll(() => runs.running.size).toBe(0);
    // As some seconds after the end: the events are in the archive alone.
    runs.replayRoom.releaseSettled(0);
    return { ...talk, cursor, lastEventSeq };
  };
  const purged = await read();
  await purgeLater({ archives: 5 });
  await expect(purged.cursor.next()).rejects.toMatchObject({
    code: 'EVENTS_EXPIRED',
    lastEventSeq: purged.lastEventSeq,
  });
  const deleted = await read();
  await deleted.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: deleted.conversationId });
  await expect(deleted.cursor.next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('Old conversations are deleted with all that hangs on them, but for one with a turn under way; lists and counters follow', async () => {
  const { db } = app.app;
  const old = await openTalk();
  const gate = createGate();
  app.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
  const conversationId = await old.createConversation({});
  const reader = old.chatTurn('ws', { conversationId });
  await reader.untilText('A');
  const extra = await Promise.all(Array.from({ length: 12 }, () => old.createConversation({})));
  expect(extra).toHaveLength(12);
  const count = async () => (await old.ask('{ conversations { totalCount edges { node { id } } } }')).conversations;
  expect((await count()).totalCount).toBe(14);

  await purgeLater({ conversations: 5 });
  expect(await count()).toEqual({ totalCount: 1, edges: [{ node: { id: conversationId } }] });
  expect(await db.run.count({ where: { id: old.rowId } })).toBe(0);
  expect(await db.runArchive.count({ where: { runId: old.rowId } })).toBe(0);
  const feed = await db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM feed_events WHERE event::text LIKE '%ConversationDeleted%'`.catch(() => null);
  expect(feed === null || (feed[0]?.count ?? 0) > 0).toBe(true);
  gate.open();
  expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');
  await purgeLater({ conversations: 5 });
  expect(await count()).toEqual({ totalCount: 0, edges: [] });
});

test('The ledger and the results of guardrails are deleted by age, in batches; a purge that is interrupted is finished by the next', async () => {
  const { db } = app.app;
  const talk = await openTalk();
  const run = await db.run.findUniqueOrThrow({ where: { id: talk.rowId } });
  const { tenantId, userId } = run;
  const at = new Date();
  const agentId = run.agentId ?? '';
  const data = Array.from({ length: 7 }, () => ({
    id: randomUUIDv7(),
    tenantId,
    runId: talk.rowId,
    agentId,
    step: 0,
    guardrail: 'g',
    stage: 'INPUT' as const,
    tripwireTriggered: false,
    decision: {},
    at,
  }));
  await db.guardrailResult.createMany({ data });
  const common = { tenantId, userId, step: 0, model: 'm', complete: true, durationMs: 1 };
  await db.modelCall.createMany({ data: Array.from({ length: 5 }, () => ({ ...common, id: randomUUIDv7() })) });
  const left = async () => ({
    results: await db.guardrailResult.count({ where: { tenantId } }),
    calls: await db.modelCall.count({ where: { tenantId } }),
    days:
      (await db.userTokenDay.count({ where: { tenantId } })) + (await db.tenantTokenDay.count({ where: { tenantId } })),
  });
  expect(await left()).toEqual({ results: 7, calls: 6, days: 2 });

  const reason = new Error('The process stops.');
  await expect(purgeLater({ guardrailResults: 5, ledger: 5 }, { signal: AbortSignal.abort(reason) })).rejects.toThrow(
    reason,
  );
  expect((await left()).results).toBeLessThan(7);
  expect((await left()).results).toBeGreaterThan(0);
  const purged = await purgeLater({ guardrailResults: 5, ledger: 5 });
  expect(purged.ledger).toBeGreaterThanOrEqual(8);
  expect(await left()).toEqual({ results: 0, calls: 0, days: 0 });
  // Twice is once.
  expect(await purgeLater({ guardrailResults: 5, ledger: 5 })).toEqual({
    archives: 0,
    conversations: 0,
    guardrailResults: 0,
    ledger: 0,
  });
});

test('Ids of a moment are in the order of time', () => {
  const moment = new Date();
  expect(firstIdOf(new Date(moment.getTime() - 1)) < randomUUIDv7()).toBe(true);
  expect(firstIdOf(new Date(moment.getTime() + 60_000)) > randomUUIDv7()).toBe(true);
  expect(firstIdOf(new Date(0))).toBe('00000000-0000-7000-8000-000000000000');
});

test('A server deletes by itself what its variables say, and is told of wrong ones', async () => {
  await using database = await createTestDatabase();
  await using first = await startTestApp({ databaseUrl: database.url, steps: [{ text: 'Yes.' }] });
  await (await openChat(first, {})).readToEnd('hi');
  const { db } = first.app;
  const [row] = await db.modelCall.findMany();
  const long = new Date(Date.now() - 30 * dayMs);
  await db.$executeRaw`UPDATE model_calls SET id = ${firstIdOf(long)}::uuid, created_at = ${long}, run_id = NULL`;
  expect(row).toBeDefined();
  await using second = await startTestApp({ databaseUrl: database.url, env: { RETENTION_LEDGER_DAYS: '7' } });
  await expect.poll(() => db.modelCall.count(), { timeout: 150_000 }).toBe(0);
  await expect.poll(() => second.logs.some(({ msg }) => msg === 'deleted what is kept no longer')).toBe(true);
  await expect(startTestApp({ env: { RETENTION_LEDGER_DAYS: '1' } })).rejects.toThrow(/RETENTION_LEDGER_DAYS/);
}, 240_000);

const marker = 'marker-of-the-user';

/** Leaves the user's traces in every place that a client can reach. */
async function leaveTraces(on: TestApp, userId: string) {
  on.model.add(
    { text: `Answer ${marker}.`, calls: [{ id: 'c1', name: 'lookup_order', arguments: { orderNumber: marker } }] },
    { text: `Done ${marker}.` },
  );
  const chat = await openChat(on, { title: marker }, { sub: userId });
  await chat.createAgent({ name: marker, instructions: marker });
  await chat.readToEnd(marker, { idempotencyKey: marker });
  await chat.ask('mutation ($input: UpdateChatSettingsInput!) { updateChatSettings(input: $input) { model } }', {
    input: { model: marker },
  });
  await chat.ask('mutation ($input: ContextSnapshotInput!) { createContextSnapshot(input: $input) { id } }', {
    input: { page: marker },
  });
  await chat.ask('mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }', {
    input: { conversationId: chat.conversationId, role: 'USER', content: marker, idempotencyKey: randomUUID() },
  });
  await chat.ask('mutation ($input: SaveDraftInput!) { saveDraft(input: $input) { id } }', {
    input: { key: marker, content: marker },
  });
  const { id: contactId } = (await chat.ask('mutation { createContact(input: { name: "Carol" }) { id } }'))
    .createContact;
  await openTicket(chat, { marker, contactId, conversationId: chat.conversationId });
  await chat.ask('mutation ($id: ID!) { exportContact(id: $id) { url } }', { id: contactId });
  return chat;
}

test('Erasing a user leaves no copy, but for the tokens of the tenant; others keep everything', async () => {
  await using database = await createTestDatabase();
  await using one = await startTestApp({ databaseUrl: database.url });
  const { db } = one.app;
  const userId = `user-${marker}`;
  await db.tenant.upsert({ where: { id: 'acme' }, create: { id: 'acme' }, update: {} });
  await holdWebhook(one, 'acme');
  await leaveTraces(one, userId);
  one.model.add({ text: 'For bob.' });
  const bob = await openChat(one, {}, { sub: 'bob' });
  await bob.readToEnd('hi');
  // The user works on a ticket of somebody else, and has written on it.
  const ofBob = await openTicket(bob, { marker: 'printer' });
  await bob.ask('mutation ($id: ID!, $to: String) { updateTicket(id: $id, input: { assignee: $to }) { id } }', {
    id: ofBob,
    to: userId,
  });
  const user = await openSocketClient(one, userId);
  await user.ask('mutation ($id: ID!, $body: String!) { addTicketComment(ticketId: $id, body: $body) { id } }', {
    id: ofBob,
    body: marker,
  });
  // Who decided on a call of somebody else.
  await db.$executeRaw`INSERT INTO tool_calls (row_id, tenant_id, conversation_id, call_id, step, index, name, arguments, status, decided_by)
    SELECT gen_random_uuid(), tenant_id, id, 'x', 0, 0, 'n', '{}', 'SUCCEEDED', ${userId} FROM conversations WHERE id = ${bob.conversationId.slice(5)}::uuid`;
  await db.speechClip.create({
    data: {
      tenantId: 'acme',
      userId,
      mediaType: 'audio/wav',
      size: 3,
      expiresAt: new Date(Date.now() + 60_000),
      chunks: { create: { position: 0, data: Buffer.from(marker) } },
    },
  });
  const before = await dumpDatabase({ db });
  expect(before.split(marker).length).toBeGreaterThan(30);
  const tokens = async () => Number((await db.tenantTokenDay.aggregate({ _sum: { tokens: true } }))._sum.tokens);
  const used = await tokens();

  const command = async (...args: string[]) =>
    promisify(execFile)(process.execPath, ['scripts/users-erase.ts', '--tenant', 'acme', '--user', userId, ...args], {
      cwd: join(import.meta.dirname, '../..'),
      env: { ...process.env, DATABASE_URL: database.url, NODE_ENV: 'test' },
    });
  const dry = await command();
  expect(dry.stdout).toMatch(/\b1 conversations\n/);
  expect(dry.stdout).toContain('Nothing was changed.');
  expect(await dumpDatabase({ db })).toContain(marker);

  const done = await command('--yes');
  expect(done.stdout).toContain('Everything that was kept');
  const after = await dumpDatabase({ db });
  expect(
    after.split('\n').filter((line) => line.includes(marker) || line.includes(Buffer.from(marker).toString('hex'))),
  ).toEqual([]);
  expect(await tokens()).toBe(used);
  expect((await bob.ask(documents.conversation, { id: bob.conversationId })).conversation.messageCount).toBe(2);
  expect(await db.toolCall.findMany({ where: { callId: 'x' }, select: { decidedBy: true } })).toEqual([
    { decidedBy: 'erased' },
  ]);
  const readTicket = `query ($id: ID!) { ticket(id: $id) {
    subject assignee comments { body author } history { field to } contact { name }
  } }`;
  expect((await bob.ask(readTicket, { id: ofBob })).ticket).toMatchObject({
    subject: 'Now printer',
    assignee: 'erased',
    comments: [
      { body: 'printer', author: 'bob' },
      { body: 'Erased.', author: 'erased' },
    ],
    history: expect.arrayContaining([{ field: 'assignee', to: 'erased' }]),
  });
  // Of that ticket, webhooks are told all but what the user has said.
  const told = await db.webhookDelivery.findMany({ where: { ticketId: ofBob.slice('tkt_'.length) } });
  expect(told.map(({ event }) => event).sort()).toEqual([
    'TICKET_COMMENTED',
    'TICKET_CREATED',
    'TICKET_UPDATED',
    'TICKET_UPDATED',
  ]);
  expect(told.filter(({ body }) => JSON.stringify(body).includes('"assignee":"erased"'))).toHaveLength(1);
  expect(await db.contact.findMany({ select: { name: true } })).toContainEqual({ name: 'Carol' });
  expect(await db.ticket.count({ where: { createdBy: 'erased', body: 'Erased.', creationKey: null } })).toBe(1);
  // A second time finds nothing; the user can come back as a new one.
  expect((await command('--yes')).stdout).toContain('Nothing is kept of the user');
  const again = await openSocketClient(one, userId);
  await expect
    .poll(
      async () =>
        (await one.query('{ conversations { totalCount } }', {}, { token: again.token })).data?.conversations
          .totalCount,
    )
    .toBe(0);
}, 240_000);

test('A turn that is under way when its user is erased writes nothing more', async () => {
  await using one = await startTestApp();
  const { db } = one.app;
  const gate = createGate();
  one.model.add({ text: [marker, ' more'], afterTokens: 1, gate });
  const alice = await openChat(one, {}, { sub: 'alice' });
  const reader = alice.say(marker);
  await reader.untilText(marker);
  await eraseUser(db, { tenantId: 'acme', userId: 'alice' }, () => {});
  gate.open();
  await reader.rest().catch(() => {});
  await expect.poll(() => one.app.runs.running.size).toBe(0);
  expect(await dumpDatabase({ db })).not.toContain(marker);
});

test.runIf(hasRedis)('Erasing a user removes the events of running turns from Redis', async () => {
  await using database = await createTestDatabase();
  await using redis = await startRedis();
  await using one = await startTestApp({ databaseUrl: database.url, env: { REDIS_URL: redis.url } });
  const held = new Map<string, string>();
  const client = new Redis(redis.url);
  const listStreams = async () => (await client.keys('switchboard:log:run:*')).sort();
  for (const sub of ['alice', 'bob']) {
    one.model.add({ text: [marker, ' b'], afterTokens: 1, gate: createGate() });
    const reader = (await openChat(one, {}, { sub })).say('hi');
    await reader.untilText(marker);
    held.set(sub, `switchboard:log:run:${reader.events[0]?.runId.slice('run_'.length)}`);
  }
  await expect.poll(listStreams).toEqual([...held.values()].sort());
  await promisify(execFile)(
    process.execPath,
    ['scripts/users-erase.ts', '--tenant', 'acme', '--user', 'alice', '--yes'],
    {
      cwd: join(import.meta.dirname, '../..'),
      env: { ...process.env, DATABASE_URL: database.url, REDIS_URL: redis.url, NODE_ENV: 'test' },
    },
  );
  expect(await listStreams()).toEqual([held.get('bob')]);
  client.disconnect();
});
