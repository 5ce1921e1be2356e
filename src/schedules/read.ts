import { formatId, parseId } from '../api/ids.ts';
import { buildConnection, type Connection, type PageArgs, pageSizes, parsePage } from '../api/paging.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../database/keyset.ts';
import { Prisma, type Run, type Scenario, type Schedule } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { fitPage } from '../limits/fit-page.ts';

/**
 * Reads a schedule of the viewer.
 * @param id the public id
 * @throws {BadUserInputError} {@link NotFoundError} {@link ForbiddenError}
 */
export async function readSchedule(viewer: Viewer, db: Db, id: string): Promise<Schedule> {
  const row = parseId('Schedule', id, ['id']);
  const { tenantId, userId } = viewer;
  const found = await db.schedule.findUnique({ where: { id: row, tenantId, userId } });
  if (found !== null) return found;
  const owner = await db.schedule.findUnique({ where: { id: row }, select: { tenantId: true, userId: true } });
  throw notFoundOrForbidden(viewer, `schedule ${formatId('Schedule', row)}`, owner);
}

const byCreation = timeColumn(Prisma.sql`created_at`);

/**
 * A page of the viewer's schedules, the newest first.
 * @throws {BadUserInputError} if an argument is invalid
 */
export async function listSchedules(
  viewer: Viewer,
  { db, answer }: SizedReads,
  args: PageArgs,
): Promise<Connection<Schedule>> {
  const page = parsePage<RowKey>(args, { list: 'schedules', key: byCreation.key, ...pageSizes });
  const { tenantId, userId } = viewer;
  const where = Prisma.sql`tenant_id = ${tenantId} AND user_id = ${userId}`;
  const bytes = Prisma.sql`octet_length(content)`;
  const list = { table: Prisma.sql`schedules`, where, sort: byCreation, descending: true, bytes };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows = ids.length === 0 ? [] : await db.schedule.findMany({ where: { tenantId, userId, id: { in: ids } } });
  return buildConnection(page, arrangeByKey(found, rows), () => db.schedule.count({ where: { tenantId, userId } }));
}

const byDueTime = timeColumn(Prisma.sql`due_at`);

/**
 * A page of the runs that a schedule of the viewer has started, the newest first. Runs that were deleted are left out.
 * @param scheduleId the row id
 */
export async function listScheduledRuns(
  viewer: Viewer,
  { db, answer }: SizedReads,
  scheduleId: string,
  args: PageArgs,
  query: { readonly include?: Prisma.RunInclude } = {},
): Promise<Connection<Run>> {
  const page = parsePage<RowKey>(args, { list: 'scheduledRuns', key: byDueTime.key, ...pageSizes });
  const { tenantId, userId } = viewer;
  const table = Prisma.sql`(
    SELECT t.tenant_id, t.schedule_id, t.due_at, r.id FROM schedule_times AS t
    JOIN runs AS r ON r.tenant_id = t.tenant_id AND r.conversation_id = t.conversation_id AND r.id = t.run_id
    WHERE r.user_id = ${userId}) AS started`;
  const where = Prisma.sql`tenant_id = ${tenantId} AND schedule_id = ${scheduleId}::uuid`;
  const list = { table, where, sort: byDueTime, descending: true };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const runs =
    ids.length === 0 ? [] : await db.run.findMany({ where: { tenantId, userId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, runs), async () => {
    const [counted] = await db.$queryRaw<{ readonly count: number }[]>`
      SELECT count(*)::integer AS count FROM ${table} WHERE ${where}`;
    return counted?.count ?? 0;
  });
}

/** The scenario of a schedule; null: it has none, or it was deleted. */
export async function readScenarioOf({ tenantId }: Viewer, db: Db, id: string | null): Promise<Scenario | null> {
  return id === null ? null : db.scenario.findUnique({ where: { id, tenantId } });
}
