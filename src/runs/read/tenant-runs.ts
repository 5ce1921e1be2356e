import { z } from 'zod';
import { assertMayFilterBy } from '../../agents/visible.ts';
import { parseId } from '../../api/ids.ts';
import { badInput, parseInput, text } from '../../api/input.ts';
import { buildConnection, type Connection, type PageArgs, pageSizes, parsePage } from '../../api/paging.ts';
import { notFoundOrForbidden, requireAdmin } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { type KeyList, type RowKey, readRowPage, timeColumn } from '../../database/keyset.ts';
import { Prisma, type Run } from '../../generated/prisma/client.ts';
import { allStatuses, provisionalNumbers, type RunStatus } from '../statuses.ts';

// Runs as the admins of a tenant see those of all its users: nothing that anybody has said, and no title.

/** What admins see of the row of a run. */
export type TenantRun = Pick<
  Run,
  | 'id'
  | 'status'
  | 'userId'
  | 'conversationId'
  | 'agentId'
  | 'errorCode'
  | 'resumedCount'
  | 'createdAt'
  | 'startedAt'
  | 'finishedAt'
>;

/**
 * The indexes are (tenant, agent, status, created_at, id), the same with the user in place of the agent, and both without either.
 * Runs of an agent or a user with any status are walked by each status, and merged. Only an agent and a user together have no
 * index: then the runs of the user are walked.
 */
const byTime = timeColumn(Prisma.sql`created_at`);

const columns = Prisma.sql`id, status, user_id AS "userId", conversation_id AS "conversationId", agent_id AS "agentId",
  error_code AS "errorCode", resumed_count AS "resumedCount", created_at AS "createdAt", started_at AS "startedAt",
  finished_at AS "finishedAt"`;

/** How many runs are counted: a count of all would grow with the tenant. */
export const maxCountedRuns = 10_000;

/** The arguments of the list of the tenant's runs. */
export type TenantRunListArgs = PageArgs & {
  readonly status?: readonly RunStatus[] | null | undefined;
  readonly agentId?: string | null | undefined;
  readonly userId?: string | null | undefined;
  readonly from?: Date | null | undefined;
  readonly to?: Date | null | undefined;
};

const filters = z.object({ userId: text(1, 255).nullish() });

/**
 * A page of the runs of all users of the tenant, the newest first, for its admins. One statement, one more for totalCount,
 * and one for the agent in the filter.
 * @throws {BadUserInputError} if an argument is invalid; {@link ForbiddenError} unless the viewer is an admin;
 *   {@link ForbiddenError} {@link NotFoundError} for the agent in the filter
 */
export async function listTenantRuns(viewer: Viewer, db: Db, args: TenantRunListArgs): Promise<Connection<TenantRun>> {
  const page = parsePage<RowKey>(args, { list: 'tenantRuns', key: byTime.key, ...pageSizes });
  const { userId } = parseInput(filters, { userId: args.userId }, []);
  const agentId = args.agentId == null ? null : parseId('Agent', args.agentId, ['agentId']);
  const statuses = args.status == null ? null : [...new Set(args.status)];
  if (statuses?.length === 0) throw badInput(['status'], 'must name at least one status, or be omitted');
  requireAdmin(viewer, 'see the runs of the tenant');
  if (agentId !== null) await assertMayFilterBy(viewer, db, agentId);
  // The planner does not know whether the newest runs of a tenant's agent are also the user's: it could walk all of that agent's.
  // This comparison uses no index.
  const ofAgent = userId == null ? Prisma.sql`agent_id =` : Prisma.sql`agent_id IS NOT DISTINCT FROM`;
  const conditions = [
    Prisma.sql`tenant_id = ${viewer.tenantId}`,
    // Messages that wait to join a run are no turns yet.
    Prisma.sql`number < ${provisionalNumbers}`,
    ...(agentId === null ? [] : [Prisma.sql`${ofAgent} ${agentId}::uuid`]),
    ...(userId == null ? [] : [Prisma.sql`user_id = ${userId}`]),
    ...(args.from == null ? [] : [Prisma.sql`created_at >= ${args.from}`]),
    ...(args.to == null ? [] : [Prisma.sql`created_at < ${args.to}`]),
  ];
  const where = Prisma.join(conditions, ' AND ');
  const walked = statuses ?? (agentId === null && userId == null ? null : allStatuses);
  const list: KeyList = {
    table: Prisma.sql`runs`,
    where,
    sort: byTime,
    descending: true,
    ...(walked !== null && { parts: walked.map((status) => Prisma.sql`status = ${status}::"RunStatus"`) }),
  };
  const found = await readRowPage<TenantRun>(db, { ...list, columns }, page);
  return buildConnection(page, found, () => countRuns(db, where, statuses));
}

async function countRuns(db: Db, where: Prisma.Sql, statuses: readonly RunStatus[] | null): Promise<number> {
  const isOfStatus = statuses === null ? Prisma.empty : Prisma.sql`AND status = ANY(${[...statuses]}::"RunStatus"[])`;
  const [row] = await db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM (
      SELECT FROM runs WHERE ${where} ${isOfStatus} LIMIT ${maxCountedRuns}
    ) AS counted`;
  return row?.count ?? 0;
}

/**
 * One run of any user of the tenant, for its admins.
 * @param rawId the public id
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError}
 */
export async function findTenantRun(viewer: Viewer, db: Db, rawId: string): Promise<TenantRun> {
  const id = parseId('Run', rawId, ['id']);
  requireAdmin(viewer, 'see the runs of the tenant');
  const run = await db.run.findUnique({ where: { id }, omit: { input: true } });
  if (run === null || run.tenantId !== viewer.tenantId) {
    const owner = run && { tenantId: run.tenantId, userId: null };
    throw notFoundOrForbidden(viewer, `run ${rawId}`, owner);
  }
  return run;
}
