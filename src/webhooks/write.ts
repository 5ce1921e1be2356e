import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput } from '../api/input.ts';
import { requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { Webhook } from '../generated/prisma/client.ts';
import type { AddressGuard } from '../outbound/address-guard.ts';
import type { KeyRing } from '../secrets/key-ring.ts';
import { openWebhookSecret, putSecret } from '../secrets/stored-secrets.ts';
import { parseWebhookInput } from './input.ts';
import { explainMissingWebhook, type WebhookQuery } from './read.ts';
import type { WebhookRuntime } from './runtime.ts';
import { createSigningSecret } from './signing.ts';

const change = 'change webhooks';
/** Webhooks of one tenant. */
const maxWebhooks = 20;
/** How long the previous secret still signs, in milliseconds. */
const overlapMs = 24 * 3600_000;

/** A webhook with its secret, which is returned once. */
export interface WebhookWithSecret {
  readonly webhook: Webhook;
  readonly secret: string;
}

/**
 * Creates a webhook of the viewer's tenant.
 * @param input WebhookInput
 * @param query relations of the webhook
 * @throws {BadUserInputError} naming the field; {@link ForbiddenError} unless the viewer is an admin; {@link ConflictError} if
 *   the tenant has as many as it may have
 */
export async function createWebhook(
  viewer: Viewer,
  { db, keys, guard }: WebhookRuntime,
  input: unknown,
  query: WebhookQuery = {},
): Promise<WebhookWithSecret> {
  const given = parseWebhookInput(input);
  assertAddressAllowed(guard, given.url);
  requireAdmin(viewer, change);
  const { tenantId } = viewer;
  const secret = createSigningSecret();
  const webhook = await db.$transaction(async (tx) => {
    // Of two that are created in the same moment, the second counts the first.
    await tx.$executeRaw`SELECT id FROM tenants WHERE id = ${tenantId} FOR NO KEY UPDATE`;
    if ((await tx.webhook.count({ where: { tenantId } })) >= maxWebhooks) {
      throw new ConflictError(`A tenant has at most ${maxWebhooks} webhooks. Delete one first.`);
    }
    const { id } = await tx.webhook.create({ data: { ...given, tenantId }, select: { id: true } });
    await storeSecret(tx, keys, { tenantId, webhookId: id }, 'current', secret);
    return tx.webhook.findUniqueOrThrow({ where: { id, tenantId }, ...query });
  });
  return { webhook, secret };
}

/**
 * Replaces address, events and state of a webhook. Deliveries that wait go to the new address.
 * @param id the public id
 * @param input WebhookInput
 * @throws {BadUserInputError} naming the field; {@link ForbiddenError}; {@link NotFoundError}
 */
export async function updateWebhook(
  viewer: Viewer,
  { db, guard, sender }: WebhookRuntime,
  id: string,
  input: unknown,
  query: WebhookQuery = {},
): Promise<Webhook> {
  const row = parseId('Webhook', id, ['id']);
  const given = parseWebhookInput(input);
  assertAddressAllowed(guard, given.url);
  requireAdmin(viewer, change);
  const { tenantId } = viewer;
  const webhook = await db.$transaction(async (tx) => {
    await lockWebhook(viewer, tx, id, row);
    return tx.webhook.update({ where: { id: row, tenantId }, data: given, ...query });
  });
  sender.wake();
  return webhook;
}

/**
 * Makes a new secret. For a day, requests are signed with the previous one as well.
 * @param id the public id
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError}
 */
export async function rotateWebhookSecret(
  viewer: Viewer,
  { db, keys }: WebhookRuntime,
  id: string,
  query: WebhookQuery = {},
): Promise<WebhookWithSecret> {
  const row = parseId('Webhook', id, ['id']);
  requireAdmin(viewer, change);
  const { tenantId } = viewer;
  const secret = createSigningSecret();
  const webhook = await db.$transaction(async (tx) => {
    await lockWebhook(viewer, tx, id, row);
    const owner = { tenantId, webhookId: row };
    const current = await tx.secret.findUnique({
      where: { webhookId_name: { webhookId: row, name: 'current' }, tenantId },
    });
    // One that cannot be opened any more cannot be moved either: the new one replaces it.
    const previous = current && (await openWebhookSecret(keys, row, current).catch(() => null));
    if (previous !== null) await storeSecret(tx, keys, owner, 'previous', previous);
    await storeSecret(tx, keys, owner, 'current', secret);
    await tx.$executeRaw`
      UPDATE webhooks SET overlap_ends_at = clock_timestamp() + make_interval(secs => ${overlapMs / 1000}),
        updated_at = clock_timestamp() WHERE id = ${row}::uuid AND tenant_id = ${tenantId}`;
    return tx.webhook.findUniqueOrThrow({ where: { id: row, tenantId }, ...query });
  });
  return { webhook, secret };
}

/**
 * Deletes a webhook with its deliveries.
 * @param id the public id
 * @returns the public id
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError}
 */
export async function deleteWebhook(viewer: Viewer, { db }: WebhookRuntime, id: string): Promise<string> {
  const row = parseId('Webhook', id, ['id']);
  requireAdmin(viewer, change);
  const { count } = await db.webhook.deleteMany({ where: { id: row, tenantId: viewer.tenantId } });
  if (count === 0) throw await explainMissingWebhook(viewer, db, id, row);
  return formatId('Webhook', row);
}

function assertAddressAllowed(guard: AddressGuard, url: string): void {
  const refusal = guard.explainRefusal(url);
  if (refusal !== null) throw badInput(['input', 'url'], refusal);
}

async function lockWebhook(viewer: Viewer, tx: Db, id: string, row: string): Promise<void> {
  const found = await tx.$queryRaw<unknown[]>`
    SELECT id FROM webhooks WHERE id = ${row}::uuid AND tenant_id = ${viewer.tenantId} FOR NO KEY UPDATE`;
  if (found.length === 0) throw await explainMissingWebhook(viewer, tx, id, row);
}

/** The secret of a webhook is never sent: it is bound to no origin. */
function storeSecret(
  tx: Db,
  keys: KeyRing,
  owner: { readonly tenantId: string; readonly webhookId: string },
  name: 'current' | 'previous',
  value: string,
): Promise<void> {
  return putSecret(tx, keys, owner, { name, origin: '', value });
}
