import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Database, Db } from '../database/client.ts';
import type { WebhookEvent } from '../generated/prisma/client.ts';

/** How long a process has a webhook for itself, in seconds. It is longer than an attempt can take, and renewed before each. */
const leaseSeconds = 60;

/** A webhook whose deliveries this process sends. */
export interface ClaimedWebhook {
  /** The row id. */
  readonly id: string;
  readonly tenantId: string;
  /** Of this claim: whoever has lost it writes nothing. */
  readonly owner: string;
}

/** A delivery that is to be sent now. Ids are row ids. */
export interface DueDelivery {
  readonly id: string;
  readonly event: WebhookEvent;
  readonly body: unknown;
  /** How often it was sent, this attempt included; and how often since it was replayed. */
  readonly attempts: number;
  readonly attemptsNow: number;
  readonly url: string;
  /** Whether the previous secret signs as well. */
  readonly overlaps: boolean;
  readonly secrets: readonly { readonly name: string; readonly sealed: string }[];
}

/**
 * Claims webhooks that have something to be sent now, those first that have waited longest. Of several instances, one gets
 * each. One statement; it reads one row of each webhook that waits, however many deliveries it has.
 * @param options.busy how many webhooks of a tenant this process has claimed
 * @param options.perTenant how many it may have of one tenant
 * @param options.max how many it may claim now
 */
export async function claimWebhooks(
  db: Db,
  options: { readonly busy: ReadonlyMap<string, number>; readonly perTenant: number; readonly max: number },
): Promise<ClaimedWebhook[]> {
  const { busy, perTenant, max } = options;
  const owner = randomUUID();
  const rows = await db.$queryRaw<{ id: string; tenantId: string }[]>`
    WITH RECURSIVE waiting AS (
      (SELECT webhook_id, next_attempt_at FROM webhook_deliveries WHERE status = 'PENDING'
        ORDER BY webhook_id, next_attempt_at LIMIT 1)
      UNION ALL
      SELECT following.webhook_id, following.next_attempt_at FROM waiting CROSS JOIN LATERAL (
        SELECT webhook_id, next_attempt_at FROM webhook_deliveries
        WHERE status = 'PENDING' AND webhook_id > waiting.webhook_id ORDER BY webhook_id, next_attempt_at LIMIT 1
      ) AS following
    ), ranked AS (
      SELECT w.id, w.served_at, coalesce(busy.count, 0)
        + row_number() OVER (PARTITION BY w.tenant_id ORDER BY w.served_at NULLS FIRST, w.id) AS rank
      FROM waiting JOIN webhooks AS w ON w.id = waiting.webhook_id
      LEFT JOIN unnest(${[...busy.keys()]}::text[], ${[...busy.values()]}::int[]) AS busy (tenant, count)
        ON busy.tenant = w.tenant_id
      WHERE waiting.next_attempt_at <= clock_timestamp() AND w.is_active
        AND (w.lease_expires_at IS NULL OR w.lease_expires_at <= clock_timestamp())
    ), free AS (
      SELECT id FROM webhooks
      WHERE id = ANY(ARRAY(SELECT id FROM ranked WHERE rank <= ${perTenant} ORDER BY served_at NULLS FIRST LIMIT ${max}))
        AND (lease_expires_at IS NULL OR lease_expires_at <= clock_timestamp())
      FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE webhooks SET lease_owner = ${owner}::uuid, served_at = clock_timestamp(),
      lease_expires_at = clock_timestamp() + make_interval(secs => ${leaseSeconds})
    FROM free WHERE webhooks.id = free.id
    RETURNING webhooks.id, tenant_id AS "tenantId"`;
  return rows.map((row) => ({ ...row, owner }));
}

const sealedSecrets = z.array(z.object({ name: z.string(), sealed: z.string() }));

/**
 * Takes the next delivery of a claimed webhook, and renews the claim. If the process dies before it has written what came of
 * it, it is sent again when the lease is over.
 * @returns null: nothing is to be sent now, or the webhook was deleted, switched off or claimed by somebody else
 */
export async function takeDelivery(db: Database, { id, tenantId, owner }: ClaimedWebhook): Promise<DueDelivery | null> {
  const [row] = await db.$queryRaw<DueDelivery[]>`
    WITH owned AS (
      UPDATE webhooks SET lease_expires_at = clock_timestamp() + make_interval(secs => ${leaseSeconds})
      WHERE id = ${id}::uuid AND tenant_id = ${tenantId} AND lease_owner = ${owner}::uuid AND is_active
      RETURNING id, url, coalesce(overlap_ends_at > clock_timestamp(), false) AS overlaps
    ), due AS (
      SELECT id FROM webhook_deliveries
      WHERE webhook_id = (SELECT id FROM owned) AND status = 'PENDING' AND next_attempt_at <= clock_timestamp()
      ORDER BY next_attempt_at, number LIMIT 1 FOR NO KEY UPDATE
    )
    UPDATE webhook_deliveries AS delivery SET attempts = attempts + 1,
      next_attempt_at = clock_timestamp() + make_interval(secs => ${leaseSeconds})
    FROM due, owned WHERE delivery.id = due.id
    RETURNING delivery.id, delivery.event::text, delivery.body, delivery.attempts,
      delivery.attempts - delivery.earlier_attempts AS "attemptsNow", owned.url, owned.overlaps, (
        SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'sealed', sealed) ORDER BY name), '[]')
        FROM secrets WHERE webhook_id = owned.id AND tenant_id = ${tenantId}
      ) AS secrets`;
  return row === undefined ? null : { ...row, secrets: sealedSecrets.parse(row.secrets) };
}

/** How a delivery stands after an attempt. */
export interface DeliveryResult {
  readonly status: 'PENDING' | 'DELIVERED' | 'FAILED';
  readonly statusCode: number | null;
  readonly error: string | null;
  /** In how many milliseconds it is sent again; 0 unless PENDING. */
  readonly pauseMs: number;
}

/** Writes what came of an attempt, unless another process has sent the delivery since. What was delivered is not kept. */
export async function finishAttempt(
  db: Database,
  { tenantId }: ClaimedWebhook,
  { id, attempts }: DueDelivery,
  { status, statusCode, error, pauseMs }: DeliveryResult,
): Promise<void> {
  await db.$executeRaw`
    UPDATE webhook_deliveries SET status = ${status}::"WebhookDeliveryStatus", last_status_code = ${statusCode}::int,
      last_error = ${error}, next_attempt_at = clock_timestamp() + make_interval(secs => ${pauseMs / 1000}),
      body = CASE WHEN ${status} = 'DELIVERED' THEN NULL ELSE body END
    WHERE id = ${id}::uuid AND tenant_id = ${tenantId} AND attempts = ${attempts} AND status = 'PENDING'`;
}

/** Gives a webhook back, for whoever claims it next. */
export async function releaseWebhook(db: Database, { id, tenantId, owner }: ClaimedWebhook): Promise<void> {
  await db.$executeRaw`
    UPDATE webhooks SET lease_owner = NULL, lease_expires_at = NULL
    WHERE id = ${id}::uuid AND tenant_id = ${tenantId} AND lease_owner = ${owner}::uuid`;
}
