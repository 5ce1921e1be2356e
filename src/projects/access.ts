import { ConflictError, ForbiddenError, NotFoundError } from '../api/errors.ts';
import { formatId, readId } from '../api/ids.ts';
import { type InputPath, parseInput } from '../api/input.ts';
import { isAdmin, notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { ConfigurationStore } from '../database/change-configuration.ts';
import type { Db } from '../database/client.ts';
import { Prisma, type ProjectRole } from '../generated/prisma/client.ts';
import { projectName } from './input.ts';

/** A project, and what the viewer may do in it. */
export interface ProjectAccess {
  /** The row id. */
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly isArchived: boolean;
  /** Null: the viewer is no member. Admins of the tenant may do everything without being one. */
  readonly role: ProjectRole | null;
}

/** What a role includes: each one what those before it may do. */
const ranks: Readonly<Record<ProjectRole, number>> = { VIEWER: 1, EDITOR: 2, OWNER: 3 };

/**
 * Finds a project by its id or its key, for a viewer with a role in it. One statement, and one more for an error.
 * @param idOrKey as clients give it: `prj_<uuid>`, or the key
 * @param minimumRole VIEWER to read, EDITOR to write, OWNER to manage the project and its members
 * @param path of the value in the arguments, for errors
 * @throws {BadUserInputError} if it cannot be a key; {@link NotFoundError} if the tenant has no such project
 * @throws {ForbiddenError} if it is another tenant's, the viewer is no member, or the role is not enough
 * @throws {ConflictError} if the role is EDITOR, and the project is archived
 */
export async function requireProject(
  viewer: Viewer,
  db: Db,
  idOrKey: string,
  minimumRole: ProjectRole,
  path: InputPath,
): Promise<ProjectAccess> {
  const name = parseInput(projectName, idOrKey, path);
  const [project] = await readAccess(viewer, db, isNamed(viewer.tenantId, name));
  if (project !== undefined) return assertAllowed(viewer, project, minimumRole);
  const id = readId('Project', name);
  if (id !== null) throw await explainMissingProject(viewer, db, id);
  throw new NotFoundError(`There is no project with the key ${JSON.stringify(name)}.`);
}

/** The condition for the project of an id or a key. A key that is written like an id is found if no project has the id. */
function isNamed(tenantId: string, name: string): Prisma.Sql {
  const id = readId('Project', name);
  if (id === null) return Prisma.sql`p.key = ${name}`;
  return Prisma.sql`p.id = coalesce((SELECT id FROM projects WHERE tenant_id = ${tenantId} AND id = ${id}::uuid),
    (SELECT id FROM projects WHERE tenant_id = ${tenantId} AND key = ${name}))`;
}

/**
 * Finds a project by its id or its key for the operator, whatever the roles in it. One statement.
 * @returns null: the tenant has no such project
 */
export async function findProjectOfTenant(
  db: Db,
  tenantId: string,
  idOrKey: string,
): Promise<Pick<ProjectAccess, 'id' | 'key'> | null> {
  const [project] = await db.$queryRaw<Pick<ProjectAccess, 'id' | 'key'>[]>`
    SELECT p.id, p.key FROM projects AS p WHERE p.tenant_id = ${tenantId} AND ${isNamed(tenantId, idOrKey)}`;
  return project ?? null;
}

/**
 * As {@link requireProject}, for the project that a row of the viewer's tenant refers to. One statement.
 * @param projectId the row id
 */
export async function requireProjectOf(
  viewer: Viewer,
  db: Db,
  projectId: string,
  minimumRole: ProjectRole,
): Promise<ProjectAccess> {
  const [project] = await readAccess(viewer, db, Prisma.sql`p.id = ${projectId}::uuid`);
  if (project === undefined) throw await explainMissingProject(viewer, db, projectId);
  return assertAllowed(viewer, project, minimumRole);
}

/**
 * As {@link requireProjectOf}, from the cache of the tenant's configuration: for what happens often, such as turns. Changes
 * of projects and members reach it as those of agents do.
 */
export async function requireProjectCached(
  viewer: Viewer,
  { db, config }: ConfigurationStore,
  projectId: string,
  minimumRole: ProjectRole,
): Promise<ProjectAccess> {
  const project = await config.get(viewer.tenantId, `project:${projectId}:${viewer.userId}`, async () => {
    const [found] = await readAccess(viewer, db, Prisma.sql`p.id = ${projectId}::uuid`);
    return found ?? null;
  });
  if (project === null) throw await explainMissingProject(viewer, db, projectId);
  return assertAllowed(viewer, project, minimumRole);
}

/**
 * The condition for rows that the viewer may read: those of no project, and those of the viewer's projects. It adds no
 * statement, and compares the column with an index of memberships.
 * @param column the row id of the project that a row belongs to, which may be null: Prisma.sql`t.project_id`
 */
export function isReadable(viewer: Viewer, column: Prisma.Sql): Prisma.Sql {
  if (isAdmin(viewer)) return Prisma.sql`true`;
  return Prisma.sql`(${column} IS NULL OR ${column} IN (${selectProjectIds(viewer)}))`;
}

/** The row ids of the projects of which the viewer is a member, as a statement for a larger one. */
export function selectProjectIds({ tenantId, userId }: Viewer): Prisma.Sql {
  return Prisma.sql`SELECT project_id FROM project_members WHERE tenant_id = ${tenantId} AND user_id = ${userId}`;
}

/** As {@link isReadable}, for conditions of Prisma on tables with the relation `project`. */
export function readableRows(viewer: Viewer): { OR?: ({ projectId: null } | { project: Prisma.ProjectWhereInput })[] } {
  if (isAdmin(viewer)) return {};
  const { tenantId, userId } = viewer;
  return { OR: [{ projectId: null }, { project: { members: { some: { tenantId, userId } } } }] };
}

/**
 * The error for a row that {@link isReadable} or {@link readableRows} did not find.
 * @param what the name of the row in the message: `ticket tkt_…`
 * @param found the row with that id, of whichever tenant; null: it does not exist
 */
export function explainUnreadable(
  viewer: Viewer,
  what: string,
  found: { readonly tenantId: string; readonly projectId: string | null } | null,
): ForbiddenError | NotFoundError {
  if (found?.tenantId === viewer.tenantId && found.projectId !== null) {
    return new ForbiddenError(`You may not use ${what}: you are not a member of its project.`);
  }
  return notFoundOrForbidden(viewer, what, found && { tenantId: found.tenantId, userId: null });
}

/**
 * The error for a project that the viewer's tenant does not have: FORBIDDEN if it is another tenant's, else NOT_FOUND.
 * @param projectId the row id
 * @returns the error; the caller throws it. Takes one statement
 */
async function explainMissingProject(viewer: Viewer, db: Db, projectId: string) {
  const other = await db.project.findUnique({ where: { id: projectId }, select: { tenantId: true } });
  const owner = other && { tenantId: other.tenantId, userId: null };
  return notFoundOrForbidden(viewer, `project ${formatId('Project', projectId)}`, owner);
}

function readAccess({ tenantId, userId }: Viewer, db: Db, condition: Prisma.Sql): Promise<ProjectAccess[]> {
  return db.$queryRaw<ProjectAccess[]>`
    SELECT p.id, p.key, p.name, p.is_archived AS "isArchived", m.role FROM projects AS p
    LEFT JOIN project_members AS m ON m.project_id = p.id AND m.tenant_id = ${tenantId} AND m.user_id = ${userId}
    WHERE p.tenant_id = ${tenantId} AND ${condition}`;
}

function assertAllowed(viewer: Viewer, project: ProjectAccess, minimumRole: ProjectRole): ProjectAccess {
  const { role } = project;
  if (!isAdmin(viewer)) {
    // The name of a project is for its members.
    const named = `project ${formatId('Project', project.id)}`;
    if (role === null) throw new ForbiddenError(`You are not a member of the ${named}.`);
    if (ranks[role] < ranks[minimumRole])
      throw new ForbiddenError(`This needs the role ${minimumRole} in the ${named}, and you have ${role}.`);
  }
  // Owners change what is archived, for instance to end that.
  if (minimumRole === 'EDITOR' && project.isArchived)
    throw new ConflictError(
      `The project ${JSON.stringify(project.key)} is archived, so nothing in it can be changed. An owner can end that with updateProject.`,
    );
  return project;
}
