import { parseId } from '../api/ids.ts';
import {
  buildConnection,
  type Connection,
  type PageArgs,
  type PageRules,
  pageSizes,
  parsePage,
} from '../api/paging.ts';
import { notFoundOrForbidden, requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../database/keyset.ts';
import { Prisma, type Webhook } from '../generated/prisma/client.ts';

/** Relations to load with the row: those that a document selects. */
export interface WebhookQuery {
  readonly include?: Prisma.WebhookInclude;
}

const byAge = timeColumn(Prisma.sql`created_at`);
const rules: PageRules<RowKey> = { list: 'webhooks', key: byAge.key, ...pageSizes };

/**
 * One webhook of the viewer's tenant, for its admins.
 * @param id the public id
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the id; {@link ForbiddenError} unless the viewer is an admin
 */
export async function readWebhook(viewer: Viewer, db: Db, id: string, query: WebhookQuery = {}): Promise<Webhook> {
  const row = parseId('Webhook', id, ['id']);
  requireAdmin(viewer, 'see webhooks');
  const webhook = await db.webhook.findUnique({ where: { id: row, tenantId: viewer.tenantId }, ...query });
  if (webhook === null) throw await explainMissingWebhook(viewer, db, id, row);
  return webhook;
}

/** The error for an id that is not of a webhook of the tenant; the caller throws it. */
export async function explainMissingWebhook(viewer: Viewer, db: Db, id: string, row: string) {
  const other = await db.webhook.findUnique({ where: { id: row }, select: { tenantId: true } });
  return notFoundOrForbidden(viewer, `webhook ${id}`, other && { tenantId: other.tenantId, userId: null });
}

/**
 * A page of the webhooks of the viewer's tenant, the oldest first, for its admins. Two statements, and one for totalCount.
 * @throws {BadUserInputError} if a page argument is invalid; {@link ForbiddenError} unless the viewer is an admin
 */
export async function listWebhooks(
  viewer: Viewer,
  db: Db,
  args: PageArgs,
  query: WebhookQuery = {},
): Promise<Connection<Webhook>> {
  const page = parsePage(args, rules);
  requireAdmin(viewer, 'see webhooks');
  const { tenantId } = viewer;
  const where = Prisma.sql`tenant_id = ${tenantId}`;
  const found = await readKeyPage(db, { table: Prisma.sql`webhooks`, where, sort: byAge, descending: false }, page);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows = ids.length === 0 ? [] : await db.webhook.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), () => db.webhook.count({ where: { tenantId } }));
}
