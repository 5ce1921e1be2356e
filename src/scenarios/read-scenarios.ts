import { explainAbsence } from '../access.ts';
import type { Viewer } from '../auth/viewer.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../database/keyset.ts';
import type { Db } from '../db.ts';
import { BadUserInputError, NotFoundError } from '../errors.ts';
import { Prisma, type Scenario } from '../generated/prisma/client.ts';
import { parseId } from '../ids.ts';
import { parseInput, text } from '../input.ts';
import { buildConnection, type Connection, type PageArgs, type PageRules, parsePage } from '../paging.ts';

/** What to load beside the row: what a document selects. */
export interface ScenarioQuery {
  readonly include?: Prisma.ScenarioInclude;
}

const byAge = timeColumn(Prisma.sql`created_at`);
const rules: PageRules<RowKey> = { list: 'scenarios', key: byAge.key, defaultSize: 50, maxSize: 100 };

/** The longest key that a scenario can have, in characters. */
export const maxScenarioKeyLength = 255;

/**
 * One scenario of the viewer's tenant, by its id or by its key.
 * @throws {BadUserInputError} when neither or both are given, or the id is none of a scenario
 * @throws {NotFoundError} when there is none
 * @throws {ForbiddenError} when it is another tenant's
 */
export async function readScenario(
  viewer: Viewer,
  db: Db,
  by: { readonly id?: string | null | undefined; readonly key?: string | null | undefined },
  query: ScenarioQuery = {},
): Promise<Scenario> {
  const { tenantId } = viewer;
  const { id = null, key = null } = by;
  if (id !== null && key === null) {
    const row = parseId('Scenario', id, ['id']);
    const scenario = await db.scenario.findUnique({ where: { id: row, tenantId }, ...query });
    if (scenario !== null) return scenario;
    const other = await db.scenario.findUnique({ where: { id: row }, select: { tenantId: true } });
    throw explainAbsence(viewer, `scenario ${id}`, other && { tenantId: other.tenantId, userId: null });
  }
  if (key !== null && id === null) {
    parseInput(text(1, maxScenarioKeyLength), key, ['key']);
    const scenario = await db.scenario.findUnique({ where: { tenantId_key: { tenantId, key } }, ...query });
    if (scenario === null) throw new NotFoundError(`There is no scenario with the key ${JSON.stringify(key)}.`);
    return scenario;
  }
  throw new BadUserInputError('A scenario is named by its id or by its key: give exactly one of them.', ['id']);
}

/**
 * A page of the tenant's scenarios, oldest first.
 * @throws {BadUserInputError} when a page argument is wrong
 */
export async function listScenarios(
  viewer: Viewer,
  db: Db,
  args: PageArgs,
  query: ScenarioQuery = {},
): Promise<Connection<Scenario>> {
  const { tenantId } = viewer;
  const page = parsePage(args, rules);
  const found = await readKeyPage(
    db,
    { table: Prisma.sql`scenarios`, where: Prisma.sql`tenant_id = ${tenantId}`, sort: byAge, descending: false },
    page,
  );
  const ids = found.rows.map((key) => key[1]);
  const rows = ids.length === 0 ? [] : await db.scenario.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), () => db.scenario.count({ where: { tenantId } }));
}
