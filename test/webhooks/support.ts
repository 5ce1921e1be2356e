import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '../../src/database/client.ts';
import type { WebhookBody } from '../../src/webhooks/body.ts';
import { appendDeliveries } from '../../src/webhooks/outbox.ts';
import type { TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';

/** What an app needs so that it may send to receivers on this machine. */
export const localReceivers = { MODEL_ALLOWED_HOSTS: '127.0.0.1/' };

export const createDocument = `mutation ($input: WebhookInput!) { createWebhook(input: $input) {
  secret webhook { id url events isActive secretHint }
} }`;

const deliveriesDocument = `query ($id: ID!, $status: WebhookDeliveryStatus) { node(id: $id) { ... on Webhook {
  deliveries(status: $status) { totalCount edges { node {
    id event status attempts lastStatusCode lastError nextAttemptAt createdAt
  } } }
} } }`;

let tenants = 0;

/** An admin of a tenant that nobody has seen before. */
export async function openAdmin(app: TestApp): Promise<SocketClient & { readonly tenant: string }> {
  tenants += 1;
  const tenant = `tenant-${tenants}-${randomUUID().slice(0, 8)}`;
  return { ...(await openSocketClient(app, { sub: 'ada', tenant, roles: ['admin'] })), tenant };
}

/** Creates a webhook; has to work. */
export async function createWebhook(admin: Pick<SocketClient, 'ask'>, url: string, events = ['RUN_ENDED']) {
  const { createWebhook: created } = await admin.ask(createDocument, { input: { url, events } });
  return { id: String(created.webhook.id), secret: String(created.secret) };
}

/** An app, or the database of one as `app`: a transaction, for events that nobody is to see yet. */
interface Tellers {
  readonly app: { readonly db: Db };
}

/** Writes an event of a tenant, as the end of a run does. @returns the id of the run */
export async function tellOfRun({ app }: Tellers, tenant: string): Promise<string> {
  const id: `run_${string}` = `run_${randomUUID()}`;
  const at = new Date().toISOString();
  const body: WebhookBody = {
    type: 'run.ended',
    version: 1,
    timestamp: at,
    data: {
      id,
      conversationId: `conv_${randomUUID()}`,
      userId: 'ada',
      agentId: null,
      status: 'COMPLETED',
      errorCode: null,
      createdAt: at,
      startedAt: at,
      finishedAt: at,
    },
  };
  await appendDeliveries(app.db, tenant, body);
  return id;
}

/** The deliveries of a webhook, as its admins see them, the newest first. */
export async function listDeliveries(admin: Pick<SocketClient, 'ask'>, id: string, status?: string) {
  const { node } = await admin.ask(deliveriesDocument, { id, ...(status === undefined ? {} : { status }) });
  // biome-ignore lint/suspicious/noExplicitAny: documents in tests are not generated.
  return node.deliveries.edges.map((edge: any) => edge.node) as any[];
}

/** Resolves when the newest delivery of a webhook is as `wanted` says. */
export async function waitForDelivery(
  admin: Pick<SocketClient, 'ask'>,
  id: string,
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  wanted: (delivery: any) => boolean,
  // biome-ignore lint/suspicious/noExplicitAny: as above.
): Promise<any> {
  for (;;) {
    const [newest] = await listDeliveries(admin, id);
    if (newest !== undefined && wanted(newest)) return newest;
    await sleep(20);
  }
}

/** Lets the pauses of a tenant's deliveries be over. */
export async function skipPauses(app: TestApp, tenant: string): Promise<void> {
  // What is being sent has no pause yet.
  while ((await app.app.db.webhook.count({ where: { tenantId: tenant, leaseOwner: { not: null } } })) > 0)
    await sleep(5);
  await endPauses(app, tenant);
}

async function endPauses(app: TestApp, tenant: string): Promise<void> {
  await app.app.db.$executeRaw`
    UPDATE webhook_deliveries SET next_attempt_at = clock_timestamp() - interval '1 second' WHERE tenant_id = ${tenant} AND status = 'PENDING'`;
  app.app.webhooks.sender.wake();
}

/** Lets the leases of a tenant's webhooks be over, as when the process that had them has died a minute ago. */
export async function endLeases(app: TestApp, tenant: string): Promise<void> {
  await app.app.db.$executeRaw`
    UPDATE webhooks SET lease_expires_at = clock_timestamp() - interval '1 second'
    WHERE tenant_id = ${tenant} AND lease_expires_at IS NOT NULL`;
  await endPauses(app, tenant);
}
