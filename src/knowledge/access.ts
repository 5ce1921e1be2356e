import { ForbiddenError, NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import type { InputPath } from '../api/input.ts';
import { isAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import { explainUnreadable, readableRows, requireProjectOf } from '../projects/access.ts';

/** The condition for bases that the viewer may read: those of the tenant, and those of the viewer's projects; no deleted ones. */
export function readableBases(viewer: Viewer) {
  return {
    tenantId: viewer.tenantId,
    deletedAt: null,
    ...readableRows(viewer),
  } satisfies Prisma.KnowledgeBaseWhereInput;
}

/** What says to whom a base belongs, and in which language it is indexed. */
const baseColumns = { id: true, tenantId: true, projectId: true, language: true } as const;

/** A base that the viewer may use. */
export type AccessibleBase = Prisma.KnowledgeBaseGetPayload<{ select: typeof baseColumns }>;

/**
 * Finds a base for a viewer who is to read it, or to change it or its documents: admins those of the tenant, editors
 * those of their projects. One statement; for changes and errors one more.
 * @param id the public id, `kb_<uuid>`
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError} if there is none; {@link ForbiddenError} if
 *   the viewer may not do that; {@link ConflictError} if it is to be changed and its project is archived
 */
export async function requireBase(
  viewer: Viewer,
  db: Db,
  id: string,
  right: 'read' | 'change',
  path: InputPath,
): Promise<AccessibleBase> {
  const row = parseId('KnowledgeBase', id, path);
  const base = await db.knowledgeBase.findFirst({ where: { id: row, ...readableBases(viewer) }, select: baseColumns });
  if (base === null) throw await explainMissingBase(viewer, db, row);
  if (right === 'change') await assertMayChange(viewer, db, base);
  return base;
}

/**
 * Refuses viewers who may not change what belongs to a base.
 * @throws {ForbiddenError}; {@link ConflictError} if its project is archived
 */
export async function assertMayChange(
  viewer: Viewer,
  db: Db,
  { projectId }: Pick<AccessibleBase, 'projectId'>,
): Promise<void> {
  if (projectId !== null) await requireProjectOf(viewer, db, projectId, 'EDITOR');
  else if (!isAdmin(viewer))
    throw new ForbiddenError('Only an admin of your tenant may change knowledge bases that belong to no project.');
}

/**
 * The row of what the viewer was found to have the right to.
 * @throws {NotFoundError} if it was deleted meanwhile
 */
export function assertStillThere<Row>(row: Row | null | undefined, what: 'knowledge base' | 'knowledge document'): Row {
  if (row == null) throw new NotFoundError(`The ${what} does not exist any more.`);
  return row;
}

/** The error for a base that the viewer may not read. @param row its row id */
export async function explainMissingBase(viewer: Viewer, db: Db, row: string) {
  const where = { id: row, deletedAt: null };
  const other = await db.knowledgeBase.findUnique({ where, select: { tenantId: true, projectId: true } });
  return explainUnreadable(viewer, `knowledge base ${formatId('KnowledgeBase', row)}`, other);
}

/** The error for a document that the viewer may not read. @param row its row id */
export async function explainMissingDocument(viewer: Viewer, db: Db, row: string) {
  const select = { tenantId: true, base: { select: { projectId: true } } } as const;
  const other = await db.knowledgeDocument.findUnique({ where: { id: row, base: { deletedAt: null } }, select });
  const found = other && { tenantId: other.tenantId, projectId: other.base.projectId };
  return explainUnreadable(viewer, `knowledge document ${formatId('KnowledgeDocument', row)}`, found);
}
