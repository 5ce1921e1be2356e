import { NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput, parseInput } from '../api/input.ts';
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
import { type Draft, type DraftVersion, Prisma, type ProjectRole } from '../generated/prisma/client.ts';
import { rowBytes, type SizedReads } from '../limits/answer-budget.ts';
import { fitPage } from '../limits/fit-page.ts';
import { requireProjectOf } from '../projects/access.ts';
import { draftKey } from './input.ts';
import { findScope, inScope, type ScopeArgs } from './scope.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface DraftQuery {
  readonly include?: Prisma.DraftInclude;
}

const byChange = timeColumn(Prisma.sql`updated_at`);
const rules: PageRules<RowKey> = { list: 'drafts', key: byChange.key, ...pageSizes };
const bytes = Prisma.sql`octet_length(content::text)`;

/**
 * Reads a draft that the viewer may see, by its id or by its key.
 * @throws {BadUserInputError} if neither or both are given, or something is malformed; {@link NotFoundError};
 *   {@link ForbiddenError}
 */
export async function readDraft(
  viewer: Viewer,
  db: Db,
  {
    id,
    key,
    ...scope
  }: ScopeArgs & { readonly id?: string | null | undefined; readonly key?: string | null | undefined },
  query: DraftQuery = {},
): Promise<Draft> {
  if ((id == null) === (key == null)) throw badInput(['id'], 'must be given, or key, and not both');
  if (id != null) {
    if (scope.conversationId != null || scope.projectId != null)
      throw badInput(['id'], 'must not be given with a conversation or a project: those are for a key');
    return readDraftById(viewer, db, parseId('Draft', id, ['id']), 'VIEWER', query);
  }
  const parsedKey = parseInput(draftKey, key, ['key']);
  const found = await findDraft(viewer, db, await findScope(viewer, db, scope, 'VIEWER', []), parsedKey);
  const where = { id: found ?? '', tenantId: viewer.tenantId };
  const draft = found === null ? null : await db.draft.findUnique({ where, ...query });
  if (draft === null) throw new NotFoundError(`There is no draft with the key ${JSON.stringify(parsedKey)}.`);
  return draft;
}

/** The row id of the draft with a key in a scope; null: there is none. */
export async function findDraft(
  viewer: Viewer,
  db: Db,
  scope: Awaited<ReturnType<typeof findScope>>,
  key: string,
): Promise<string | null> {
  const [found] = await db.$queryRaw<{ readonly id: string }[]>`
    SELECT id FROM drafts WHERE ${inScope(viewer, scope)} AND key = ${key}`;
  return found?.id ?? null;
}

/**
 * Reads a draft that the viewer may read, or change.
 * @param row the row id
 * @param minimumRole in its project, if it belongs to one
 * @throws {NotFoundError} {@link ForbiddenError} {@link ConflictError} as requireProjectOf does
 */
export async function readDraftById(
  viewer: Viewer,
  db: Db,
  row: string,
  minimumRole: Extract<ProjectRole, 'VIEWER' | 'EDITOR'>,
  query: DraftQuery = {},
): Promise<Draft> {
  const draft = await db.draft.findUnique({ where: { id: row, tenantId: viewer.tenantId }, ...query });
  const name = `draft ${formatId('Draft', row)}`;
  if (draft === null) {
    const other = await db.draft.findUnique({ where: { id: row }, select: { tenantId: true } });
    throw notFoundOrForbidden(viewer, name, other && { ...other, userId: null });
  }
  if (draft.projectId !== null) await requireProjectOf(viewer, db, draft.projectId, minimumRole);
  else if (draft.userId !== viewer.userId) throw notFoundOrForbidden(viewer, name, draft);
  return draft;
}

/**
 * A page of the drafts of a conversation or a project, or of those that belong to the viewer alone; the last changed first.
 * Two statements, one for the scope, and one more for totalCount.
 * @throws {BadUserInputError} if an argument is invalid; {@link NotFoundError}; {@link ForbiddenError}
 */
export async function listDrafts(
  viewer: Viewer,
  { db, answer }: SizedReads,
  options: PageArgs & ScopeArgs,
  query: DraftQuery = {},
): Promise<Connection<Draft>> {
  const { tenantId } = viewer;
  const page = parsePage(options, rules);
  const where = inScope(viewer, await findScope(viewer, db, options, 'VIEWER', []));
  const list = { table: Prisma.sql`drafts`, where, sort: byChange, descending: true, bytes };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows = ids.length === 0 ? [] : await db.draft.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), async () => {
    const [counted] = await db.$queryRaw<{ readonly count: number }[]>`
      SELECT count(*)::integer AS count FROM drafts WHERE ${where}`;
    return counted?.count ?? 0;
  });
}

/** What a draft is, without its content. */
export type DraftHead = Pick<Draft, 'key' | 'title' | 'version' | 'updatedAt'>;

/** The last changed drafts of a scope that the viewer may read, without their contents. One statement. */
export function listNewest(
  viewer: Viewer,
  db: Db,
  scope: Awaited<ReturnType<typeof findScope>>,
  max: number,
): Promise<DraftHead[]> {
  return db.$queryRaw<DraftHead[]>`
    SELECT key, title, version, updated_at AS "updatedAt" FROM drafts WHERE ${inScope(viewer, scope)}
    ORDER BY updated_at DESC, id DESC LIMIT ${max}`;
}

/**
 * The versions of drafts that the viewer has read, the newest first. Two statements for all drafts.
 * @returns in the order of the drafts
 * @throws {QueryTooComplexError} if they are more than an answer may hold
 */
export async function readVersions(
  { tenantId }: Viewer,
  { db, answer }: SizedReads,
  drafts: readonly Pick<Draft, 'id'>[],
): Promise<DraftVersion[][]> {
  const draftId = { in: drafts.map(({ id }) => id) };
  const { _sum, _count } = await db.draftVersion.aggregate({
    where: { tenantId, draftId },
    _sum: { bytes: true },
    _count: true,
  });
  await answer.take((_sum.bytes ?? 0) + _count * rowBytes);
  const versions = await db.draftVersion.findMany({ where: { tenantId, draftId }, orderBy: { version: 'desc' } });
  return drafts.map(({ id }) => versions.filter((version) => version.draftId === id));
}
