import { assertMayFilterBy } from '../agents/visible.ts';
import { formatId, parseId } from '../api/ids.ts';
import { buildConnection, type Connection, type PageArgs, pageSizes, parsePage } from '../api/paging.ts';
import { belongsTo, notFoundOrForbidden, requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../database/keyset.ts';
import { type Feedback, type FeedbackRating, Prisma } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { fitPage } from '../limits/fit-page.ts';

/** Relations to load with the row: those that a document selects. */
export interface FeedbackQuery {
  readonly include?: Prisma.FeedbackInclude;
}

/** Each filter has its index (tenant, filter, created_at, id). */
const byTime = timeColumn(Prisma.sql`created_at`);

/** The arguments of the list of feedback. */
export type FeedbackListArgs = PageArgs & {
  readonly rating?: FeedbackRating | null | undefined;
  readonly agentId?: string | null | undefined;
  readonly scenarioId?: string | null | undefined;
};

/**
 * A page of what the users of the tenant think of answers, the newest first, for its admins. Two statements, one for
 * totalCount, and one for each id in the filter.
 * @throws {BadUserInputError} if an argument is invalid; {@link ForbiddenError} unless the viewer is an admin;
 *   {@link ForbiddenError} {@link NotFoundError} for an id in the filter
 */
export async function listFeedback(
  viewer: Viewer,
  { db, answer }: SizedReads,
  args: FeedbackListArgs,
  query: FeedbackQuery = {},
): Promise<Connection<Feedback>> {
  const page = parsePage<RowKey>(args, { list: 'feedback', key: byTime.key, ...pageSizes });
  const agentId = args.agentId == null ? null : parseId('Agent', args.agentId, ['agentId']);
  const scenarioId = args.scenarioId == null ? null : parseId('Scenario', args.scenarioId, ['scenarioId']);
  requireAdmin(viewer, 'see feedback');
  const { tenantId } = viewer;
  if (agentId !== null) await assertMayFilterBy(viewer, db, agentId);
  if (scenarioId !== null) {
    const scenario = await db.scenario.findUnique({ where: { id: scenarioId }, select: { tenantId: true } });
    const owner = scenario && { ...scenario, userId: null };
    if (owner === null || !belongsTo(viewer, owner))
      throw notFoundOrForbidden(viewer, formatId('Scenario', scenarioId), owner);
  }
  const conditions = [
    Prisma.sql`tenant_id = ${tenantId}`,
    ...(args.rating == null ? [] : [Prisma.sql`rating = ${args.rating}::"FeedbackRating"`]),
    ...(agentId === null ? [] : [Prisma.sql`agent_id = ${agentId}::uuid`]),
    ...(scenarioId === null ? [] : [Prisma.sql`scenario_id = ${scenarioId}::uuid`]),
  ];
  const where = Prisma.join(conditions, ' AND ');
  // The messages are read with the feedback, and may be long.
  const bytes = Prisma.sql`coalesce(octet_length(comment), 0) + (
    SELECT m.bytes FROM messages AS m WHERE m.tenant_id = f.tenant_id AND m.id = f.message_id)`;
  const list = { table: Prisma.sql`feedback AS f`, where, sort: byTime, descending: true, bytes };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows = ids.length === 0 ? [] : await db.feedback.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), () => countFeedback(db, where));
}

async function countFeedback(db: Db, where: Prisma.Sql): Promise<number> {
  const [row] = await db.$queryRaw<{ count: number }[]>`SELECT count(*)::int AS count FROM feedback WHERE ${where}`;
  return row?.count ?? 0;
}
