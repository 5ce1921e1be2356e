import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { webhookBody } from '../../src/webhooks/body.ts';
import { claimWebhooks, finishAttempt, takeDelivery } from '../../src/webhooks/claim.ts';
import { maxAttempts, planRetry } from '../../src/webhooks/retries.ts';
import { shareApp, startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { openReceiver, verify } from './receiver.ts';
import {
  createWebhook,
  endLeases,
  listDeliveries,
  localReceivers,
  openAdmin,
  skipPauses,
  tellOfRun,
  waitForDelivery,
} from './support.ts';

const app = shareApp({ env: { ...localReceivers, WEBHOOK_TIMEOUT_SECONDS: '1' } });

test('The end of a turn is sent once, signed, with the id of its run and without its texts', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  const { id, secret } = await createWebhook(admin, `${receiver.url}/desk?x=1`);
  app.model.add({ text: 'A secret answer.' });
  const chat = await openChat(app, {}, { sub: 'ada', tenant: admin.tenant });
  const events = await chat.readToEnd('A secret question.');
  const [request] = await receiver.waitFor(1);
  if (request === undefined) throw new Error('Nothing was received.');
  const body = webhookBody.parse(verify(secret, request));
  expect(body).toMatchObject({ type: 'run.ended', version: 1, data: { userId: 'ada', status: 'COMPLETED' } });
  expect(body.type === 'run.ended' && body.data.id).toBe(events[0]?.runId);
  expect(request.body).not.toContain('A secret');
  expect(request).toMatchObject({ path: '/desk?x=1', headers: { 'content-type': 'application/json' } });
  const delivery = await waitForDelivery(admin, id, ({ status }) => status === 'DELIVERED');
  expect(delivery).toMatchObject({
    event: 'RUN_ENDED',
    attempts: 1,
    lastStatusCode: 204,
    lastError: null,
    nextAttemptAt: null,
  });
  expect(request.headers['webhook-id']).toBe(delivery.id);
  // What was delivered is not kept.
  const rows = await app.app.db.webhookDelivery.findMany({ where: { tenantId: admin.tenant } });
  expect(rows.map((row) => row.body)).toEqual([null]);
});

test('Only webhooks that are active and have chosen the event are sent it, and only those of the tenant', async () => {
  await using receiver = await openReceiver();
  const [admin, other] = [await openAdmin(app), await openAdmin(app)];
  const { id } = await createWebhook(admin, `${receiver.url}/chosen`);
  await createWebhook(admin, `${receiver.url}/other-event`, ['TICKET_CREATED']);
  await createWebhook(other, `${receiver.url}/other-tenant`);
  const off = await createWebhook(admin, `${receiver.url}/off`);
  const update = 'mutation ($id: ID!, $input: WebhookInput!) { updateWebhook(id: $id, input: $input) { isActive } }';
  await admin.ask(update, {
    id: off.id,
    input: { url: `${receiver.url}/off`, events: ['RUN_ENDED'], isActive: false },
  });
  await tellOfRun(app, admin.tenant);
  await waitForDelivery(admin, id, ({ status }) => status === 'DELIVERED');
  expect(await app.app.db.webhookDelivery.count({ where: { tenantId: { in: [admin.tenant, other.tenant] } } })).toBe(1);
  expect(receiver.received.map(({ path }) => path)).toEqual(['/chosen']);
});

test('A receiver that answers 500 for a day has the delivery in the dead-letter list, and a replay sends it again as it was', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  const { id, secret } = await createWebhook(admin, receiver.url);
  receiver.answer = (response) => void response.writeHead(500).end('The password is hunter2.');
  await tellOfRun(app, admin.tenant);
  for (let attempt = 1; attempt < maxAttempts; attempt += 1) {
    const failed = await waitForDelivery(
      admin,
      id,
      ({ attempts, lastStatusCode, nextAttemptAt }) =>
        attempts === attempt && lastStatusCode === 500 && nextAttemptAt !== null,
    );
    expect(failed).toMatchObject({ status: 'PENDING', lastError: 'The receiver answered with status 500.' });
    await skipPauses(app, admin.tenant);
  }
  const dead = await waitForDelivery(admin, id, ({ status }) => status === 'FAILED');
  expect(dead).toMatchObject({ attempts: maxAttempts, nextAttemptAt: null });
  expect(await listDeliveries(admin, id, 'FAILED')).toEqual([dead]);
  expect(await listDeliveries(admin, id, 'PENDING')).toEqual([]);

  receiver.answer = (response) => void response.writeHead(200).end();
  const replay = 'mutation ($id: ID!) { replayWebhookDelivery(id: $id) { id status attempts } }';
  expect((await admin.ask(replay, { id: dead.id })).replayWebhookDelivery).toMatchObject({ status: 'PENDING' });
  await waitForDelivery(admin, id, ({ status }) => status === 'DELIVERED');
  expect(receiver.received).toHaveLength(maxAttempts + 1);
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([dead.id]));
  expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
  for (const request of receiver.received) verify(secret, request);
  const again = await app.query(replay, { id: dead.id }, { token: admin.token });
  expect(again.errors[0]?.extensions.code).toBe('CONFLICT');
});

test('Pauses grow to five hours within a day, with a random part, and not beyond what the receiver may ask', () => {
  const pauses = Array.from({ length: maxAttempts - 1 }, (_, index) => planRetry(index + 1, null, 0.5) ?? 0);
  expect(pauses.slice(0, 4)).toEqual([5_000, 15_000, 45_000, 135_000]);
  const hours = pauses.reduce((sum, pause) => sum + pause, 0) / 3600_000;
  expect(hours).toBeGreaterThan(18);
  expect(hours * 1.2).toBeLessThan(26);
  expect([planRetry(1, null, 0), planRetry(1, null, 1)]).toEqual([4_000, 6_000]);
  expect([planRetry(1, 60_000, 0.5), planRetry(1, 1e12, 0.5)]).toEqual([60_000, 5 * 3600_000]);
  expect(planRetry(maxAttempts, null, 0.5)).toBeNull();
});

test('A redirect is not followed', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  receiver.answer = (response, { path }) =>
    path === '/from' ? void response.writeHead(307, { location: '/to' }).end() : void response.writeHead(200).end();
  const { id } = await createWebhook(admin, `${receiver.url}/from`);
  await tellOfRun(app, admin.tenant);
  const failed = await waitForDelivery(admin, id, ({ lastStatusCode }) => lastStatusCode === 307);
  expect(failed).toMatchObject({ status: 'PENDING', lastError: expect.stringContaining('redirects are not followed') });
  expect(receiver.received.map(({ path }) => path)).toEqual(['/from']);
});

test('An answer of 100 MB is not read', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  const closed = Promise.withResolvers<number>();
  receiver.answer = (response) => {
    response.writeHead(200, { 'content-length': String(100_000_000) });
    const chunk = Buffer.alloc(1_000_000);
    let written = 0;
    const write = () => {
      while (written < 100_000_000 && !response.destroyed) {
        written += chunk.length;
        if (!response.write(chunk)) break;
      }
    };
    response.on('drain', write).once('close', () => closed.resolve(written));
    write();
  };
  const { id } = await createWebhook(admin, receiver.url);
  await tellOfRun(app, admin.tenant);
  await waitForDelivery(admin, id, ({ status }) => status === 'DELIVERED');
  expect(await closed.promise).toBeLessThan(100_000_000);
});

test('Receivers that hang are given up after the time of an attempt, and delay no other tenant', async () => {
  await using receiver = await openReceiver();
  const [slow, quick] = [await openAdmin(app), await openAdmin(app)];
  const hanging: ServerResponse[] = [];
  receiver.answer = (response, { path }) => {
    if (path.startsWith('/slow')) hanging.push(response);
    else response.writeHead(204).end();
  };
  const hooks = [];
  for (let index = 0; index < 6; index += 1) hooks.push(await createWebhook(slow, `${receiver.url}/slow-${index}`));
  const { id } = await createWebhook(quick, `${receiver.url}/quick`);
  for (let index = 0; index < 3; index += 1) await tellOfRun(app, slow.tenant);
  app.app.webhooks.sender.wake();
  await receiver.waitFor(4);
  await tellOfRun(app, quick.tenant);
  app.app.webhooks.sender.wake();
  await waitForDelivery(quick, id, ({ status }) => status === 'DELIVERED');
  // Four of the tenant at a time, one request to each.
  const paths = receiver.received.map(({ path }) => path).filter((path) => path !== '/quick');
  expect(new Set(paths.slice(0, 4)).size).toBe(4);
  const failed = await waitForDelivery(slow, hooks[0]?.id ?? '', ({ lastError }) => lastError !== null).catch(
    () => null,
  );
  expect(failed).toMatchObject({ lastError: 'The receiver did not answer within 1 seconds.', lastStatusCode: null });
  for (const { id: hook } of hooks) await slow.ask('mutation ($id: ID!) { deleteWebhook(id: $id) }', { id: hook });
  for (const response of hanging) response.destroy();
});

test('Of two instances one sends: each delivery arrives once, in order, one at a time', async () => {
  await using database = await createTestDatabase();
  await using receiver = await openReceiver();
  const options = { databaseUrl: database.url, env: localReceivers };
  await using first = await startTestApp(options);
  await using second = await startTestApp(options);
  const admin = await openAdmin(first);
  let open = 0;
  let most = 0;
  receiver.answer = (response) => {
    open += 1;
    most = Math.max(most, open);
    setImmediate(() => {
      open -= 1;
      response.writeHead(204).end();
    });
  };
  const { id } = await createWebhook(admin, receiver.url);
  const runs: string[] = [];
  for (let index = 0; index < 30; index += 1) {
    runs.push(await tellOfRun(first, admin.tenant));
    for (const { app: each } of [first, second]) each.webhooks.sender.wake();
  }
  await receiver.waitFor(30);
  await waitForDelivery(admin, id, ({ status }) => status === 'DELIVERED');
  expect(receiver.received.map(({ body }) => JSON.parse(body).data.id)).toEqual(runs);
  expect(most).toBe(1);
});

test('What a process that died was sending is sent again with the same id, and what it writes late is not', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  const { id } = await createWebhook(admin, receiver.url);
  const { db } = app.app;
  // Another process claims it, takes the delivery, and is heard of no more.
  const busy = new Map<string, number>();
  const taken = await db.$transaction(async (tx) => {
    await tellOfRun({ app: { db: tx } }, admin.tenant);
    return claimWebhooks(tx, { busy, perTenant: 1, max: 50 });
  });
  const dead = taken.find(({ tenantId }) => tenantId === admin.tenant);
  if (dead === undefined) throw new Error('The webhook was not claimed.');
  const due = await takeDelivery(db, dead);
  if (due === null) throw new Error('There was no delivery.');
  expect(await claimWebhooks(db, { busy, perTenant: 1, max: 50 })).toEqual([]);
  await endLeases(app, admin.tenant);
  await receiver.waitFor(1);
  const delivered = await waitForDelivery(admin, id, ({ status }) => status === 'DELIVERED');
  expect(delivered).toMatchObject({ attempts: 2 });
  await finishAttempt(db, dead, due, { status: 'FAILED', statusCode: 500, error: 'late', pauseMs: 0 });
  expect(await takeDelivery(db, dead)).toBeNull();
  expect(await listDeliveries(admin, id)).toEqual([delivered]);
});

test('An address that the operator does not allow is not dialled', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  const { id } = await createWebhook(admin, receiver.url);
  await app.app.db.webhook.updateMany({
    where: { tenantId: admin.tenant },
    data: { url: receiver.url.replace('127.0.0.1', 'localhost') },
  });
  await tellOfRun(app, admin.tenant);
  const failed = await waitForDelivery(admin, id, ({ lastError }) => lastError !== null);
  expect(failed).toMatchObject({ status: 'PENDING', lastError: expect.stringContaining('MODEL_ALLOWED_HOSTS') });
  expect(receiver.received).toEqual([]);
});

test('A webhook that is deleted while a turn ends does not fail the turn', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  const { id } = await createWebhook(admin, receiver.url);
  receiver.answer = () => {};
  await tellOfRun(app, admin.tenant);
  await receiver.waitFor(1);
  await admin.ask('mutation ($id: ID!) { deleteWebhook(id: $id) }', { id });
  await tellOfRun(app, admin.tenant);
  expect(await app.app.db.webhookDelivery.count({ where: { tenantId: admin.tenant } })).toBe(0);
});

test('The sender stops with a request under way, and whoever starts next sends it again', async () => {
  await using database = await createTestDatabase();
  await using receiver = await openReceiver();
  const options = { databaseUrl: database.url, env: localReceivers };
  const first = await startTestApp(options);
  const admin = await openAdmin(first);
  receiver.answer = () => {};
  await createWebhook(admin, receiver.url);
  await tellOfRun(first, admin.tenant);
  await receiver.waitFor(1);
  await first[Symbol.asyncDispose]();
  receiver.answer = (response) => void response.writeHead(204).end();
  await using second = await startTestApp(options);
  await receiver.waitFor(2);
  expect(receiver.received[1]?.headers['webhook-id']).toBe(receiver.received[0]?.headers['webhook-id']);
  expect(second.url).not.toBe(first.url);
});
