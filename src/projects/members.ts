import { ConflictError, NotFoundError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import { parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { changeConfiguration } from '../database/change-configuration.ts';
import type { Prisma, Project, ProjectRole } from '../generated/prisma/client.ts';
import { type ProjectAccess, requireProject } from './access.ts';
import { memberId } from './input.ts';
import type { ProjectQuery } from './read.ts';
import type { ProjectDependencies } from './write.ts';

/** Members that a project can be given. Those that a migration has made of stored names may be more. */
export const maxMembers = 1_000;

/**
 * Makes a user a member of a project, or changes the role of a member. The user need not have sent a request yet. Owners
 * and admins only.
 * @param idOrKey of the project, as clients give it
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the argument; as `requireProject` does;
 *   {@link ConflictError} if the project would be without an owner, or has as many members as it can have
 */
export async function setProjectMember(
  viewer: Viewer,
  deps: ProjectDependencies,
  idOrKey: string,
  { userId, role }: { readonly userId: string; readonly role: ProjectRole },
  query: ProjectQuery = {},
): Promise<Project> {
  await deps.operationLimit.take(viewer);
  parseInput(memberId, userId, ['userId']);
  const { tenantId } = viewer;
  return changeConfiguration(viewer, deps, async (tx) => {
    const { id } = await lockProject(viewer, tx, idOrKey);
    const present = await findMember(tx, tenantId, id, userId);
    if (present?.role === 'OWNER' && role !== 'OWNER') await assertAnotherOwner(tx, tenantId, id, userId);
    if (present === null) {
      await assertRoom(tx, tenantId, id);
      await tx.user.createMany({ data: [{ tenantId, id: userId }], skipDuplicates: true });
    }
    await tx.projectMember.upsert({
      where: { projectId_userId: { projectId: id, userId }, tenantId },
      create: { tenantId, projectId: id, userId, role },
      update: { role },
    });
    return touchProject(tx, tenantId, id, query);
  });
}

/**
 * Takes a member out of a project. What the user has written in it stays. Owners and admins only.
 * @param idOrKey of the project, as clients give it
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the argument; as `requireProject` does;
 *   {@link NotFoundError} if the user is no member; {@link ConflictError} if the user is the last owner
 */
export async function removeProjectMember(
  viewer: Viewer,
  deps: ProjectDependencies,
  idOrKey: string,
  userId: string,
  query: ProjectQuery = {},
): Promise<Project> {
  await deps.operationLimit.take(viewer);
  parseInput(memberId, userId, ['userId']);
  const { tenantId } = viewer;
  return changeConfiguration(viewer, deps, async (tx) => {
    const { id } = await lockProject(viewer, tx, idOrKey);
    const present = await findMember(tx, tenantId, id, userId);
    if (present === null)
      throw new NotFoundError(
        `There is no member ${JSON.stringify(userId)} in the project ${formatId('Project', id)}.`,
      );
    if (present.role === 'OWNER') await assertAnotherOwner(tx, tenantId, id, userId);
    await tx.projectMember.deleteMany({ where: { tenantId, projectId: id, userId } });
    return touchProject(tx, tenantId, id, query);
  });
}

/**
 * Locks the row of the project until the transaction ends: changes of its members run one after another, so that two owners
 * cannot remove each other. The viewer's role is read after the lock.
 */
async function lockProject(viewer: Viewer, tx: Prisma.TransactionClient, idOrKey: string): Promise<ProjectAccess> {
  const { id } = await requireProject(viewer, tx, idOrKey, 'OWNER', ['projectId']);
  await tx.$queryRaw`
    SELECT 1 FROM projects WHERE id = ${id}::uuid AND tenant_id = ${viewer.tenantId} FOR NO KEY UPDATE`;
  return requireProject(viewer, tx, formatId('Project', id), 'OWNER', ['projectId']);
}

function findMember(tx: Prisma.TransactionClient, tenantId: string, projectId: string, userId: string) {
  return tx.projectMember.findFirst({ where: { tenantId, projectId, userId }, select: { role: true } });
}

async function assertAnotherOwner(
  tx: Prisma.TransactionClient,
  tenantId: string,
  projectId: string,
  userId: string,
): Promise<void> {
  const where = { tenantId, projectId, role: 'OWNER', userId: { not: userId } } as const;
  if ((await tx.projectMember.findFirst({ where, select: { userId: true } })) !== null) return;
  throw new ConflictError(
    `${JSON.stringify(userId)} is the last owner of the project. Make another member an owner first, with setProjectMember.`,
  );
}

async function assertRoom(tx: Prisma.TransactionClient, tenantId: string, projectId: string): Promise<void> {
  const members = await tx.projectMember.count({ where: { tenantId, projectId } });
  if (members < maxMembers) return;
  throw new ConflictError(
    `The project has ${members.toLocaleString('en-US')} members, and can have at most ${maxMembers.toLocaleString('en-US')}.`,
  );
}

function touchProject(tx: Prisma.TransactionClient, tenantId: string, id: string, query: ProjectQuery) {
  return tx.project.update({ where: { id, tenantId }, data: { updatedAt: new Date() }, ...query });
}
