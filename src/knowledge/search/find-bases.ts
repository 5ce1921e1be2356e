import { formatId, parseId } from '../../api/ids.ts';
import type { InputPath } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import { explainUnreadable, isReadable } from '../../projects/access.ts';

/**
 * The row ids of knowledge bases that the viewer may read. One statement, and one more for an error; none for no ids.
 * @param ids public ids
 * @param path of the list in the arguments, for errors
 * @throws {BadUserInputError} if an id is malformed; {@link NotFoundError} if one does not exist; {@link ForbiddenError} if
 *   the viewer may not read it
 */
export async function findReadableBases(
  viewer: Viewer,
  db: Db,
  ids: readonly string[],
  path: InputPath,
): Promise<string[]> {
  const rows = [...new Set(ids.map((id, at) => parseId('KnowledgeBase', id, [...path, at])))];
  if (rows.length === 0) return [];
  const readable = await db.$queryRaw<{ id: string }[]>`
    SELECT b.id::text FROM knowledge_bases AS b
    WHERE b.tenant_id = ${viewer.tenantId} AND b.id = ANY(${rows}::uuid[])
      AND b.deleted_at IS NULL AND ${isReadable(viewer, Prisma.sql`b.project_id`)}`;
  const found = new Set(readable.map(({ id }) => id));
  const missing = rows.find((id) => !found.has(id));
  if (missing !== undefined) throw await explainMissingBase(viewer, db, missing);
  return rows;
}

/** The error for a base that the viewer cannot read. Takes one statement. */
async function explainMissingBase(viewer: Viewer, db: Db, id: string) {
  const where = { id, deletedAt: null };
  const found = await db.knowledgeBase.findUnique({ where, select: { tenantId: true, projectId: true } });
  return explainUnreadable(viewer, `knowledge base ${formatId('KnowledgeBase', id)}`, found);
}
