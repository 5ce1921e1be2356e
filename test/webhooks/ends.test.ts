import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { webhookBody } from '../../src/webhooks/body.ts';
import { holdWebhook } from '../contacts/ticket-traces.ts';
import { kinds } from '../projects/kinds.ts';
import { startTestApp, testKeys } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';
import { startServer } from '../support/server.ts';
import { openReceiver, verify } from './receiver.ts';
import { createWebhook, endLeases, listDeliveries, localReceivers } from './support.ts';

test('kill -9 while a receiver is being sent to: whoever starts next sends the same again, and nothing is lost', async () => {
  await using database = await createTestDatabase();
  await using data = await createTestDataFolder();
  await using receiver = await openReceiver();
  receiver.answer = () => {};
  const env = { ...localReceivers, DATABASE_URL: database.url, ENCRYPTION_KEYS: testKeys };
  await using server = await startServer(data.folder, env);
  const tenant = randomUUID();
  const admin = await openSocketClient(server, { sub: 'ada', tenant, roles: ['admin'] });
  const { id, secret } = await createWebhook(admin, receiver.url, ['TICKET_CREATED']);
  const create = 'mutation ($s: String!) { createTicket(input: { subject: $s, body: "b" }) { id } }';
  for (const s of ['first', 'second']) await admin.ask(create, { s });
  await receiver.waitFor(1);
  await server.end('SIGKILL');

  receiver.answer = (response) => void response.writeHead(204).end();
  await using next = await startTestApp({ databaseUrl: database.url, env: localReceivers });
  await endLeases(next, tenant);
  const [before, again, last] = await receiver.waitFor(3);
  if (!before || !again || !last) throw new Error('Nothing was received.');
  expect(again.headers['webhook-id']).toBe(before.headers['webhook-id']);
  expect(again.body).toBe(before.body);
  const bodies = [again, last].map((request) => webhookBody.parse(verify(secret, request)));
  expect(bodies).toMatchObject([
    { data: { ticket: { subject: 'first' } } },
    { data: { ticket: { subject: 'second' } } },
  ]);
  const ada = await openSocketClient(next, { sub: 'ada', tenant, roles: ['admin'] });
  await expect
    .poll(async () => (await listDeliveries(ada, id)).map(({ status, attempts }) => [status, attempts]))
    .toEqual([
      ['DELIVERED', 1],
      ['DELIVERED', 2],
    ]);
}, 120_000);

test('Each end of a turn is told once, whatever state it was in, and however it ends', async () => {
  await using app = await startTestApp();
  const { db } = app.app;
  const tenantId = 'acme';
  const owner = { tenantId, userId: 'alice', projectId: null, marker: 'a text' };
  await openSocketClient(app, 'alice').then((alice) => alice.ask('{ viewer { userId } }'));
  await holdWebhook(app, tenantId);
  const told: string[] = [];
  for (const before of ['QUEUED', 'RUNNING', 'REQUIRES_ACTION'])
    for (const after of ['COMPLETED', 'FAILED', 'CANCELLED']) {
      const id = (await kinds.Run?.make(db, owner))?.slice('run_'.length) ?? '';
      // Of whichever transition: the row is all that counts.
      await db.$executeRaw`ALTER TABLE runs DISABLE TRIGGER USER`;
      await db.$executeRaw`UPDATE runs SET status = ${before}::"RunStatus", action_expires_at = now() WHERE id = ${id}::uuid`;
      await db.$executeRaw`ALTER TABLE runs ENABLE TRIGGER USER`;
      await db.$executeRaw`UPDATE runs SET status = ${after}::"RunStatus" WHERE id = ${id}::uuid`;
      await db.$executeRaw`UPDATE runs SET status = ${after}::"RunStatus", error_code = error_code WHERE id = ${id}::uuid`;
      told.push(`run_${id} ${after}`);
    }
  const bodies = (await db.webhookDelivery.findMany({ orderBy: { createdAt: 'asc' } })).map(({ body }) =>
    webhookBody.parse(body),
  );
  expect(bodies.map(({ data }) => ('status' in data ? `${data.id} ${data.status}` : '')).sort()).toEqual(told.sort());
  expect(JSON.stringify(bodies)).not.toContain('a text');
});
