import { z } from 'zod';
import { NotFoundError, UnavailableError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput, parseInput } from '../api/input.ts';
import {
  buildConnection,
  type Connection,
  type Page,
  type PageArgs,
  pageSizes,
  parsePage,
  trimPage,
} from '../api/paging.ts';
import { isAdmin, requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { ScenarioVersion as VersionRow } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { fitPage } from '../limits/fit-page.ts';
import { versionNumber } from './input.ts';
import { explainMissingScenario } from './read.ts';
import { readSnapshot, type ScenarioSnapshot } from './snapshot.ts';

/** A scenario as it was at one of its versions. */
export interface ScenarioVersion
  extends ScenarioSnapshot,
    Pick<VersionRow, 'version' | 'changedBy' | 'restoredFrom' | 'createdAt'> {}

/** A version without its content. */
type VersionHead = Pick<VersionRow, 'scenarioId' | 'version' | 'bytes'>;

const head = { scenarioId: true, version: true, bytes: true } as const;

/** Where a version stands in its list, and the row id of the scenario: a cursor is of no use in the list of another one. */
type VersionKey = readonly [version: number, scenarioId: string];
const key: z.ZodType<VersionKey> = z.tuple([z.int32(), z.uuid()]);

/**
 * A page of the versions of each scenario, the newest first. Two statements for all scenarios: no scenario has more than 50
 * versions, so the first one reads the numbers of all.
 * @param scenarioIds row ids of scenarios that the viewer may see
 * @returns in the order of the scenarios; null for users who are no admins: they read the rest of a scenario; an error for
 *   each scenario of which a version on its page cannot be read
 * @throws {@link BadUserInputError} if a page argument is invalid, or a cursor is of another scenario;
 *   {@link QueryTooComplexError} if not even one version of each page fits into the answer
 */
export async function listVersions(
  viewer: Viewer,
  reads: SizedReads,
  args: PageArgs,
  scenarioIds: readonly string[],
): Promise<(Connection<ScenarioVersion> | Error | null)[]> {
  const page = parseVersionPage(args, scenarioIds);
  if (!isAdmin(viewer)) return scenarioIds.map(() => null);
  const where = { tenantId: viewer.tenantId, scenarioId: { in: [...scenarioIds] } };
  const heads = await reads.db.scenarioVersion.findMany({ where, select: head, orderBy: { version: 'desc' } });
  const byScenario = Map.groupBy(heads, ({ scenarioId }) => scenarioId);
  const pages = [];
  for (const id of scenarioIds) {
    const all = byScenario.get(id) ?? [];
    pages.push({ all, found: await fitPage(page, cutPage(page, all), reads.answer) });
  }
  const contents = await readContents(
    viewer,
    reads.db,
    pages.flatMap(({ found }) => found.rows),
  );
  return pages.map(({ all, found }) => {
    const rows: { readonly key: VersionKey; readonly node: ScenarioVersion }[] = [];
    for (const { version, scenarioId } of found.rows) {
      const node = contents.get(nameOf(scenarioId, version));
      if (node instanceof UnavailableError) return node;
      if (node !== undefined) rows.push({ key: [version, scenarioId], node });
    }
    return buildConnection<ScenarioVersion, VersionKey>(page, { ...found, rows }, () => all.length);
  });
}

function parseVersionPage(args: PageArgs, scenarioIds: readonly string[]): Page<VersionKey> {
  const page = parsePage(args, { list: 'scenarioVersions', key, ...pageSizes });
  for (const argument of ['after', 'before'] as const) {
    const cursor = page[argument];
    if (cursor !== null && scenarioIds.some((id) => id !== cursor[1]))
      throw badInput([argument], 'is a cursor of another scenario');
  }
  return page;
}

/** What a page has of all versions of a scenario, which come newest first. */
function cutPage(page: Page<VersionKey>, all: readonly VersionHead[]) {
  const [after, before] = [page.after?.[0] ?? null, page.before?.[0] ?? null];
  const range = all.filter(
    ({ version }) => (after === null || version < after) && (before === null || version > before),
  );
  return trimPage(page, {
    rows: page.backward ? range.slice(-page.size - 1) : range.slice(0, page.size + 1),
    moreBefore: after !== null && all.some(({ version }) => version >= after),
    moreAfter: before !== null && all.some(({ version }) => version <= before),
  });
}

const nameOf = (scenarioId: string, version: number) => `${scenarioId} ${version}`;

/** The contents of versions, or why one cannot be read, by their names. No statement if there are none, else one. */
async function readContents({ tenantId }: Viewer, db: Db, heads: readonly VersionHead[]) {
  const contents = new Map<string, ScenarioVersion | UnavailableError>();
  if (heads.length === 0) return contents;
  const OR = [...Map.groupBy(heads, ({ scenarioId }) => scenarioId)].map(([scenarioId, own]) => ({
    scenarioId,
    version: { in: own.map(({ version }) => version) },
  }));
  for (const row of await db.scenarioVersion.findMany({ where: { tenantId, OR } }))
    contents.set(nameOf(row.scenarioId, row.version), readVersion(row));
  return contents;
}

function readVersion(row: VersionRow): ScenarioVersion | UnavailableError {
  const { version, changedBy, restoredFrom, createdAt } = row;
  try {
    return { ...readSnapshot(row), version, changedBy, restoredFrom, createdAt };
  } catch (error) {
    if (error instanceof UnavailableError) return error;
    throw error;
  }
}

/**
 * One version of a scenario, with its content. Admins only.
 * @param id the public id of the scenario
 * @throws {BadUserInputError} if an argument is malformed; {@link ForbiddenError}; {@link NotFoundError} if the scenario does
 *   not exist, or the version does not, or is kept no longer; {@link UnavailableError} if it cannot be read here
 */
export async function readScenarioVersion(
  viewer: Viewer,
  { db, answer }: SizedReads,
  { id, version: number }: { readonly id: string; readonly version: number },
): Promise<ScenarioVersion> {
  const scenarioId = parseId('Scenario', id, ['id']);
  const version = parseInput(versionNumber, number, ['version']);
  requireAdmin(viewer, 'see the versions of scenarios');
  const where = { tenantId: viewer.tenantId, scenarioId, version };
  const found = await db.scenarioVersion.findFirst({ where, select: head });
  const { rows } = await fitPage({ backward: false }, { ...noMore, rows: found ? [found] : [] }, answer);
  const contents = await readContents(viewer, db, rows);
  const content = contents.get(nameOf(scenarioId, version));
  if (content === undefined) throw await explainMissingVersion(viewer, db, where);
  if (content instanceof UnavailableError) throw content;
  return content;
}

const noMore = { moreBefore: false, moreAfter: false } as const;

/**
 * The content of a version of a scenario of the viewer's tenant.
 * @param scenarioId the row id
 * @throws {NotFoundError} if the version does not exist, or is kept no longer; {@link UnavailableError} if it cannot be read here
 */
export async function readVersionSnapshot(
  viewer: Viewer,
  db: Db,
  scenarioId: string,
  version: number,
): Promise<ScenarioSnapshot> {
  const where = { tenantId: viewer.tenantId, scenarioId, version };
  const row = await db.scenarioVersion.findFirst({ where, select: { version: true, snapshot: true } });
  if (row === null) throw await explainMissingVersion(viewer, db, where);
  return readSnapshot(row);
}

async function explainMissingVersion(
  viewer: Viewer,
  db: Db,
  { scenarioId, version }: { readonly scenarioId: string; readonly version: number },
) {
  const where = { id: scenarioId, tenantId: viewer.tenantId };
  const scenario = await db.scenario.findUnique({ where, select: { id: true } });
  if (scenario === null) return explainMissingScenario(viewer, db, scenarioId);
  const name = `scenario ${formatId('Scenario', scenarioId)}`;
  return new NotFoundError(`The ${name} has no version ${version}, or it is stored no longer.`);
}
