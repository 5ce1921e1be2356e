import { ConflictError } from '../api/errors.ts';
import { parseId } from '../api/ids.ts';
import type { Connection, PageArgs } from '../api/paging.ts';
import { notFoundOrForbidden, requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { timeColumn } from '../database/keyset.ts';
import { readKeyPages } from '../database/keyset-lists.ts';
import { buildOwnedConnections, parseOwnedPage } from '../database/owned-lists.ts';
import { Prisma, type WebhookDelivery, type WebhookDeliveryStatus } from '../generated/prisma/client.ts';
import type { WebhookRuntime } from './runtime.ts';

/** A delivery as admins see it: without its body. */
export type ShownDelivery = Pick<
  WebhookDelivery,
  'id' | 'event' | 'status' | 'attempts' | 'lastStatusCode' | 'lastError' | 'nextAttemptAt' | 'createdAt'
>;

/** What is read of a delivery: not its body. */
export const shownDelivery = {
  id: true,
  event: true,
  status: true,
  attempts: true,
  lastStatusCode: true,
  lastError: true,
  nextAttemptAt: true,
  createdAt: true,
} as const;

const columns = Prisma.sql`id, event::text, status::text, attempts, last_status_code AS "lastStatusCode",
  last_error AS "lastError", next_attempt_at AS "nextAttemptAt", created_at AS "createdAt"`;

const byAge = timeColumn(Prisma.sql`created_at`);

/**
 * One delivery of a webhook of the viewer's tenant, for its admins.
 * @param id the public id
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the id; {@link ForbiddenError} unless the viewer is an admin
 */
export async function readDelivery(viewer: Viewer, db: Db, id: string): Promise<ShownDelivery> {
  const row = parseId('WebhookDelivery', id, ['id']);
  requireAdmin(viewer, 'see webhooks');
  const delivery = await db.webhookDelivery.findUnique({
    where: { id: row, tenantId: viewer.tenantId },
    select: shownDelivery,
  });
  if (delivery === null) throw await explainMissingDelivery(viewer, db, id, row);
  return delivery;
}

async function explainMissingDelivery(viewer: Viewer, db: Db, id: string, row: string) {
  const other = await db.webhookDelivery.findUnique({ where: { id: row }, select: { tenantId: true } });
  return notFoundOrForbidden(viewer, `webhook delivery ${id}`, other && { tenantId: other.tenantId, userId: null });
}

/**
 * A page of the deliveries of each webhook, the newest first. Two statements for all webhooks, and one for their totalCount.
 * @param webhookIds row ids of webhooks that the viewer may see
 * @throws {BadUserInputError} if a page argument is invalid, or a cursor is of another webhook
 */
export async function listDeliveries(
  { tenantId }: Viewer,
  db: Db,
  args: PageArgs & { readonly status?: WebhookDeliveryStatus | null | undefined },
  webhookIds: readonly string[],
): Promise<Connection<ShownDelivery>[]> {
  const status = args.status ?? null;
  const page = parseOwnedPage(args, `webhookDeliveries:${status ?? ''}`, webhookIds);
  const own = Prisma.sql`tenant_id = ${tenantId}`;
  const lists = {
    table: Prisma.sql`webhook_deliveries`,
    where: status === null ? own : Prisma.sql`${own} AND status = ${status}::"WebhookDeliveryStatus"`,
    owner: Prisma.sql`webhook_id`,
    sort: byAge,
    descending: true,
  };
  const pages = await readKeyPages(db, lists, webhookIds, page);
  const ids = pages.flatMap(({ rows }) => rows.map(({ key }) => key[1]));
  const where = { tenantId, id: { in: ids } };
  const rows = ids.length === 0 ? [] : await db.webhookDelivery.findMany({ where, select: shownDelivery });
  return buildOwnedConnections(db, lists, webhookIds, page, { pages, rows });
}

/**
 * Sends a delivery again that was given up.
 * @param id the public id
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} as `readDelivery`; {@link ConflictError} unless it was given up
 */
export async function replayDelivery(
  viewer: Viewer,
  { db, sender }: WebhookRuntime,
  id: string,
): Promise<ShownDelivery> {
  const row = parseId('WebhookDelivery', id, ['id']);
  requireAdmin(viewer, 'replay deliveries');
  const [replayed] = await db.$queryRaw<ShownDelivery[]>`
    UPDATE webhook_deliveries SET status = 'PENDING', earlier_attempts = attempts, next_attempt_at = clock_timestamp(),
      given_up_at = clock_timestamp() + interval '26 hours'
    WHERE id = ${row}::uuid AND tenant_id = ${viewer.tenantId} AND status = 'FAILED'
    RETURNING ${columns}`;
  if (replayed === undefined) {
    const { status } = await readDelivery(viewer, db, id);
    throw new ConflictError(`Only a delivery that was given up can be replayed, and this one is ${status}.`);
  }
  sender.wake();
  return replayed;
}
