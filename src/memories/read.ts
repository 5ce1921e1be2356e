import { ForbiddenError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { parseInput } from '../api/input.ts';
import { buildConnection, type Connection, type PageArgs, pageSizes, parsePage } from '../api/paging.ts';
import { isAdmin, notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import { readTerms } from '../conversations/search/terms.ts';
import type { Db } from '../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../database/keyset.ts';
import { type Memory, Prisma } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { fitPage } from '../limits/fit-page.ts';
import { isReadable } from '../projects/access.ts';
import { memorySearch } from './input.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface MemoryQuery {
  readonly include?: Prisma.MemoryInclude;
}

const byChange = timeColumn(Prisma.sql`updated_at`);

/**
 * Reads a memory of the viewer.
 * @param id the public id
 * @throws {BadUserInputError} {@link NotFoundError}; {@link ForbiddenError} if it is somebody else's, or of a project that the
 *   viewer has left
 */
export async function readMemory(viewer: Viewer, db: Db, id: string, query: MemoryQuery = {}): Promise<Memory> {
  const row = parseId('Memory', id, ['id']);
  const { tenantId, userId } = viewer;
  const found = await db.memory.findUnique({ where: { id: row, tenantId, userId }, ...query });
  if (found === null) {
    const owner = await db.memory.findUnique({ where: { id: row }, select: { tenantId: true, userId: true } });
    throw notFoundOrForbidden(viewer, `memory ${formatId('Memory', row)}`, owner);
  }
  if (found.projectId !== null && !isAdmin(viewer)) {
    const where = { tenantId, userId, projectId: found.projectId };
    const membership = await db.projectMember.findFirst({ where, select: { projectId: true } });
    if (membership === null)
      throw new ForbiddenError(`You may not use memory ${id}: you are not a member of its project.`);
  }
  return found;
}

/**
 * A page of the viewer's memories, the last changed first; of projects that the viewer has left, none.
 * @param args.search only those that have all of these words; the last one may be the beginning of one
 * @throws {BadUserInputError} if an argument is invalid
 */
export async function listMemories(
  viewer: Viewer,
  { db, answer }: SizedReads,
  args: PageArgs & { readonly search?: string | null | undefined },
  query: MemoryQuery = {},
): Promise<Connection<Memory>> {
  const page = parsePage<RowKey>(args, { list: 'memories', key: byChange.key, ...pageSizes });
  const where = Prisma.sql`${ofViewer(viewer)}${args.search == null ? Prisma.empty : hasWords(args.search)}`;
  const bytes = Prisma.sql`octet_length(text)`;
  const list = { table: Prisma.sql`memories`, where, sort: byChange, descending: true, bytes };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const { tenantId, userId } = viewer;
  const rows =
    ids.length === 0 ? [] : await db.memory.findMany({ where: { tenantId, userId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), async () => {
    const [counted] = await db.$queryRaw<{ readonly count: number }[]>`
      SELECT count(*)::integer AS count FROM memories WHERE ${where}`;
    return counted?.count ?? 0;
  });
}

/** The condition for the memories that the viewer may read, on `memories`. */
function ofViewer(viewer: Viewer): Prisma.Sql {
  const { tenantId, userId } = viewer;
  return Prisma.sql`tenant_id = ${tenantId} AND user_id = ${userId} AND ${isReadable(viewer, Prisma.sql`project_id`)}`;
}

function hasWords(search: string): Prisma.Sql {
  const terms = readTerms(parseInput(memorySearch, search, ['search']));
  return terms === null ? Prisma.sql` AND false` : Prisma.sql` AND tsv @@ ${terms.query}::tsquery`;
}
