import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { deleteExpiredAttachments } from '../../src/attachments/runtime.ts';
import { eraseUser } from '../../src/retention/erase-user.ts';
import { shareApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { upload, uploadId } from './support.ts';

const app = shareApp({ env: { RATE_LIMIT_UPLOADS: '0', ATTACHMENT_MAX_MB: '1', ATTACHMENT_TENANT_MB: '3' } });

const add = 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }';
const textOf = (bytes: number) => 'x'.repeat(bytes);

/** The counters of a tenant, and the sums that they have to be. */
async function count(tenantId: string) {
  const { db } = app.app;
  const users = await db.attachmentUserBytes.findMany({ where: { tenantId }, orderBy: { userId: 'asc' } });
  const tenant = await db.attachmentTenantBytes.findUnique({ where: { tenantId } });
  const sums = await db.attachment.groupBy({ by: ['userId'], where: { tenantId }, _sum: { size: true } });
  const counted = Object.fromEntries(
    users.flatMap(({ userId, bytes }) => (bytes > 0n ? [[userId, Number(bytes)]] : [])),
  );
  const summed = Object.fromEntries(sums.map(({ userId, _sum }) => [userId, _sum.size]));
  return { counted, summed, tenant: Number(tenant?.bytes ?? 0) };
}

/** Uploads when there is a place: only some files are read at the same time. */
async function uploadInTurn(token: string, bytes: number): Promise<string> {
  for (;;) {
    const { data, errors } = await upload(app, token, textOf(bytes));
    if (errors.length === 0) return data.uploadAttachment.id;
    expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
    await setTimeout(20);
  }
}

async function assertCounted(tenantId: string): Promise<number> {
  const { counted, summed, tenant } = await count(tenantId);
  expect(counted).toEqual(summed);
  expect(tenant).toBe(Object.values(counted).reduce((sum, bytes) => sum + bytes, 0));
  return tenant;
}

test('The room that uploads take is counted as they come, expire, and go with their conversation and their user', async () => {
  const tenant = randomUUID();
  const [chat, other] = [await openChat(app, {}, { tenant, sub: 'a' }), await openChat(app, {}, { tenant, sub: 'b' })];
  const taken = await uploadId(app, chat.token, textOf(1_000));
  const late = await uploadId(app, chat.token, textOf(200));
  await uploadId(app, other.token, textOf(30));
  expect(await count(tenant)).toMatchObject({ counted: { a: 1_200, b: 30 }, tenant: 1_230 });
  const input = { conversationId: chat.conversationId, role: 'USER', content: 'Read', attachmentIds: [taken] };
  await chat.ask(add, { input });
  await app.app.db.attachment.update({ where: { id: late.slice(4) }, data: { expiresAt: new Date(0) } });
  await deleteExpiredAttachments(app.app.db);
  expect(await count(tenant)).toMatchObject({ counted: { a: 1_000, b: 30 }, tenant: 1_030 });
  await chat.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: chat.conversationId });
  expect(await count(tenant)).toMatchObject({ counted: { b: 30 }, tenant: 30 });
  await eraseUser(app.app.db, { tenantId: tenant, userId: 'b' }, () => {});
  expect(await count(tenant)).toEqual({ counted: {}, summed: {}, tenant: 0 });
  // A user's row that takes everything with it, too.
  await uploadId(app, chat.token, textOf(77));
  await app.app.db.user.delete({ where: { tenantId_id: { tenantId: tenant, id: 'a' } } });
  expect(await assertCounted(tenant)).toBe(0);
});

test('Uploads, messages, deletions, expiry and erasure that race leave the counters at the sums', async () => {
  const tenant = randomUUID();
  const { db } = app.app;
  const chats = await Promise.all(['a', 'b', 'c'].map((sub) => openChat(app, {}, { tenant, sub })));
  const work = chats.flatMap((chat, index) =>
    Array.from({ length: 4 }, async (_, turn) => {
      const conversationId = await chat.createConversation();
      const id = await uploadInTurn(chat.token, 100 + index * 10 + turn);
      await uploadInTurn(chat.token, 7);
      await chat.ask(add, { input: { conversationId, role: 'USER', content: 'Read', attachmentIds: [id] } });
      if (turn % 2 === 0) await chat.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: conversationId });
    }),
  );
  const expiring = Array.from({ length: 6 }, async () => {
    await db.$executeRaw`
      UPDATE attachments SET expires_at = now() - interval '1 second'
      WHERE id IN (SELECT id FROM attachments WHERE tenant_id = ${tenant} AND size = 7 AND conversation_id IS NULL LIMIT 1)`;
    await deleteExpiredAttachments(db);
  });
  await Promise.all([...work, ...expiring]);
  expect(await assertCounted(tenant)).toBeGreaterThan(0);
  await Promise.all(['a', 'b', 'c'].map((userId) => eraseUser(db, { tenantId: tenant, userId }, () => {})));
  expect(await assertCounted(tenant)).toBe(0);
});

test('Of many uploads at the same time, no more get the last room of a tenant than there is', async () => {
  const tenant = randomUUID();
  const tokens = await Promise.all(['a', 'b', 'c', 'd'].map((sub) => app.token({ tenant, sub })));
  const answers = [];
  // Four at a time are read by a process.
  for (let round = 0; round < 3; round++)
    answers.push(...(await Promise.all(tokens.map((token) => upload(app, token, textOf(700_000))))));
  for (const { errors } of answers)
    for (const { extensions } of errors) expect(['CONFLICT', 'RATE_LIMITED']).toContain(extensions.code);
  const bytes = await assertCounted(tenant);
  expect(bytes).toBe(answers.filter(({ errors }) => errors.length === 0).length * 700_000);
  expect(bytes).toBeLessThanOrEqual(3_000_000);
});
