import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { webhookBody } from '../../src/webhooks/body.ts';
import { shareApp } from '../support/app.ts';
import { openReceiver, verify } from './receiver.ts';
import { createWebhook, localReceivers, openAdmin, waitForDelivery } from './support.ts';

const app = shareApp({ env: localReceivers });

const start = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';

test('A turn that nobody follows is started once for 20 requests with one key, its end is sent once, and it can be read later', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  const { id, secret } = await createWebhook(admin, receiver.url);
  app.model.add({ text: 'The answer of a night.' });
  const input = {
    conversationId: `conv_${randomUUID()}`,
    newConversation: { title: 'By night' },
    content: 'Write the report.',
    idempotencyKey: 'nightly',
  };
  const started = await Promise.all(Array.from({ length: 20 }, () => admin.ask(start, { input })));
  const runs = new Set(started.map(({ startRun }) => String(startRun.id)));
  expect(runs.size).toBe(1);
  const [runId = ''] = runs;

  await receiver.waitFor(1);
  await waitForDelivery(admin, id, ({ status }) => status === 'DELIVERED');
  const bodies = receiver.received.map((request) => webhookBody.parse(verify(secret, request)));
  expect(bodies).toMatchObject([{ type: 'run.ended', data: { id: runId, status: 'COMPLETED', userId: 'ada' } }]);

  // Whoever was told reads it as any other run, and the key still names it.
  expect((await admin.ask(start, { input })).startRun.id).toBe(runId);
  const read = 'query ($id: ID!) { node(id: $id) { ... on Run { status messages { content } } } }';
  expect((await admin.ask(read, { id: runId })).node).toEqual({
    status: 'COMPLETED',
    messages: [{ content: 'The answer of a night.' }],
  });
  expect(await app.app.db.webhookDelivery.count({ where: { tenantId: admin.tenant } })).toBe(1);
  const other = await app.query(start, { input: { ...input, content: 'Another report.' } }, { token: admin.token });
  expect(other.errors[0]?.extensions.code).toBe('CONFLICT');
});
