import {
  buildConnection,
  type Connection,
  type PageArgs,
  type PageRules,
  pageSizes,
  parsePage,
} from '../api/paging.ts';
import { isAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../database/keyset.ts';
import { Prisma, type Project } from '../generated/prisma/client.ts';
import { requireProject, selectProjectIds } from './access.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface ProjectQuery {
  readonly include?: Prisma.ProjectInclude;
}

const byAge = timeColumn(Prisma.sql`created_at`);
const rules: PageRules<RowKey> = { list: 'projects', key: byAge.key, ...pageSizes };

/**
 * Reads one project of the viewer, by its id or its key.
 * @throws {BadUserInputError} if it cannot be a key; {@link NotFoundError} if the tenant has no such project;
 *   {@link ForbiddenError} if it is another tenant's, or the viewer is no member
 */
export async function readProject(viewer: Viewer, db: Db, idOrKey: string, query: ProjectQuery = {}): Promise<Project> {
  const { id } = await requireProject(viewer, db, idOrKey, 'VIEWER', ['id']);
  return db.project.findUniqueOrThrow({ where: { id, tenantId: viewer.tenantId }, ...query });
}

/**
 * Reads the projects that rows refer to. One statement.
 * @param ids row ids
 * @returns in the order of the ids; null: the viewer may not read it
 */
export async function readProjectsById(viewer: Viewer, db: Db, ids: readonly string[]): Promise<(Project | null)[]> {
  const { tenantId, userId } = viewer;
  const members = isAdmin(viewer) ? {} : { members: { some: { tenantId, userId } } };
  const rows = await db.project.findMany({ where: { tenantId, id: { in: [...ids] }, ...members } });
  const byId = new Map(rows.map((project) => [project.id, project]));
  return ids.map((id) => byId.get(id) ?? null);
}

/**
 * A page of the projects of which the viewer is a member, oldest first; for admins, of all projects of the tenant.
 * @param options.includeArchived whether to include archived projects
 * @throws {BadUserInputError} if a page argument is invalid
 */
export async function listProjects(
  viewer: Viewer,
  db: Db,
  options: PageArgs & { readonly includeArchived?: boolean | null | undefined },
  query: ProjectQuery = {},
): Promise<Connection<Project>> {
  const page = parsePage(options, rules);
  const { tenantId } = viewer;
  const own = isAdmin(viewer) ? Prisma.sql`true` : Prisma.sql`id IN (${selectProjectIds(viewer)})`;
  const where = Prisma.sql`tenant_id = ${tenantId} AND ${own} AND (NOT is_archived OR ${options.includeArchived === true})`;
  const list = { table: Prisma.sql`projects`, where, sort: byAge, descending: false };
  const found = await readKeyPage(db, list, page);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows = ids.length === 0 ? [] : await db.project.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), async () => {
    const [counted] = await db.$queryRaw<{ count: number }[]>`
      SELECT count(*)::integer AS count FROM projects WHERE ${where}`;
    return counted?.count ?? 0;
  });
}
