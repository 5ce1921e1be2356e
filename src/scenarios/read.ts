import { BadUserInputError, NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput, parseInput, text } from '../api/input.ts';
import {
  buildConnection,
  type Connection,
  type PageArgs,
  type PageRules,
  pageSizes,
  parsePage,
} from '../api/paging.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../database/keyset.ts';
import { Prisma, type Scenario } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { fitPage } from '../limits/fit-page.ts';
import { isReadable, requireProject, requireProjectOf } from '../projects/access.ts';
import { maxScenarioKeyLength } from './input.ts';
import { inProject, projectFirst } from './members.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface ScenarioQuery {
  readonly include?: Prisma.ScenarioInclude;
}

/** The size of a scenario, without its members. */
const bytes = Prisma.sql`coalesce(octet_length(description), 0) + octet_length(guardrails::text)
  + coalesce(octet_length(unread_guardrails::text), 0) + coalesce(octet_length(orchestration_instructions), 0)`;

const byAge = timeColumn(Prisma.sql`created_at`);
const rules: PageRules<RowKey> = { list: 'scenarios', key: byAge.key, ...pageSizes };

/**
 * Reads one scenario of the viewer's tenant, by its id or by its key.
 * @param by.projectId with a key: the project's scenario of that key takes precedence over the tenant's
 * @throws {BadUserInputError} if neither or both are given, or the id is not a scenario id
 * @throws {NotFoundError} if it, or the project, does not exist
 * @throws {ForbiddenError} if it is another tenant's, or of a project of which the viewer is no member
 */
export async function readScenario(
  viewer: Viewer,
  db: Db,
  by: {
    readonly id?: string | null | undefined;
    readonly key?: string | null | undefined;
    readonly projectId?: string | null | undefined;
  },
  query: ScenarioQuery = {},
): Promise<Scenario> {
  const { tenantId } = viewer;
  const { id = null, key = null, projectId = null } = by;
  if (id !== null && key === null) {
    if (projectId !== null) throw badInput(['projectId'], 'must not be given with an id: it is for a key');
    const scenarioId = parseId('Scenario', id, ['id']);
    const scenario = await db.scenario.findUnique({ where: { id: scenarioId, tenantId }, ...query });
    if (scenario !== null) {
      if (scenario.projectId !== null) await requireProjectOf(viewer, db, scenario.projectId, 'VIEWER');
      return scenario;
    }
    throw await explainMissingScenario(viewer, db, scenarioId);
  }
  if (key !== null && id === null) {
    parseInput(text(1, maxScenarioKeyLength), key, ['key']);
    const project = projectId === null ? null : await requireProject(viewer, db, projectId, 'VIEWER', ['projectId']);
    const scenario = await db.scenario.findFirst({
      where: { tenantId, key, OR: inProject(project?.id ?? null) },
      orderBy: projectFirst,
      ...query,
    });
    if (scenario === null) throw new NotFoundError(`There is no scenario with the key ${JSON.stringify(key)}.`);
    return scenario;
  }
  throw new BadUserInputError('Give either the id or the key of the scenario, and not both.', ['id']);
}

/**
 * The error for a scenario that the viewer may not see: FORBIDDEN if it is another tenant's, else NOT_FOUND.
 * @param scenarioId the row id
 * @returns the error; the caller throws it. Takes one statement
 */
export async function explainMissingScenario(viewer: Viewer, db: Db, scenarioId: string) {
  const other = await db.scenario.findUnique({ where: { id: scenarioId }, select: { tenantId: true } });
  const owner = other && { tenantId: other.tenantId, userId: null };
  return notFoundOrForbidden(viewer, `scenario ${formatId('Scenario', scenarioId)}`, owner);
}

/**
 * A page of the tenant's scenarios, oldest first.
 * @param options.projectId only scenarios that conversations of this project can use: its own, and those of the tenant
 *   whose keys it does not have itself. Absent: all, including those of the viewer's projects
 * @throws {BadUserInputError} if an argument is invalid; as `requireProject` does
 */
export async function listScenarios(
  viewer: Viewer,
  { db, answer }: SizedReads,
  options: PageArgs & { readonly projectId?: string | null | undefined },
  query: ScenarioQuery = {},
): Promise<Connection<Scenario>> {
  const { tenantId } = viewer;
  const page = parsePage(options, rules);
  const project =
    options.projectId == null ? null : await requireProject(viewer, db, options.projectId, 'VIEWER', ['projectId']);
  const where = Prisma.sql`tenant_id = ${tenantId} AND ${usableIn(viewer, project?.id ?? null)}`;
  const list = { table: Prisma.sql`scenarios`, where, sort: byAge, descending: false, bytes };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows = ids.length === 0 ? [] : await db.scenario.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), async () => {
    const [counted] = await db.$queryRaw<{ count: number }[]>`
      SELECT count(*)::integer AS count FROM scenarios WHERE ${where}`;
    return counted?.count ?? 0;
  });
}

/** The condition for scenarios that conversations of a project can use; without a project, for all that the viewer may read. */
function usableIn(viewer: Viewer, projectId: string | null): Prisma.Sql {
  if (projectId === null) return isReadable(viewer, Prisma.sql`project_id`);
  return Prisma.sql`(project_id = ${projectId}::uuid OR project_id IS NULL AND NOT EXISTS (
    SELECT 1 FROM scenarios AS own
    WHERE own.tenant_id = ${viewer.tenantId} AND own.project_id = ${projectId}::uuid AND own.key = scenarios.key))`;
}
