import { parseInput } from '../api/input.ts';
import { requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import { type ConfigurationStore, changeConfiguration } from '../database/change-configuration.ts';
import type { Project } from '../generated/prisma/client.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import { requireProject } from './access.ts';
import { createProjectInput, updateProjectInput } from './input.ts';
import type { ProjectQuery } from './read.ts';

/** What changing projects needs. */
export interface ProjectDependencies extends ConfigurationStore {
  readonly operationLimit: RateLimit;
}

/**
 * Creates a project, with the viewer as its owner. Admins only.
 * @param input CreateProjectInput
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field; {@link ForbiddenError} if the viewer is not an
 *   admin; {@link ConflictError} if the tenant already has a project of that key
 */
export async function createProject(
  viewer: Viewer,
  deps: ProjectDependencies,
  input: unknown,
  query: ProjectQuery = {},
): Promise<Project> {
  await deps.operationLimit.take(viewer);
  const { key, name } = parseInput(createProjectInput, input, ['input']);
  requireAdmin(viewer, 'create projects');
  const { tenantId, userId } = viewer;
  const taken = `There is already a project with the key ${JSON.stringify(key)}.`;
  return changeConfiguration(
    viewer,
    deps,
    async (tx) => {
      const { id } = await tx.project.create({ data: { tenantId, key, name }, select: { id: true } });
      await tx.projectMember.create({ data: { tenantId, projectId: id, userId, role: 'OWNER' } });
      return tx.project.findUniqueOrThrow({ where: { id, tenantId }, ...query });
    },
    { taken },
  );
}

/**
 * Changes the name of a project, archives it, or ends that. Owners and admins only.
 * @param idOrKey as clients give it
 * @param input UpdateProjectInput
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field; as `requireProject` does
 */
export async function updateProject(
  viewer: Viewer,
  deps: ProjectDependencies,
  idOrKey: string,
  input: unknown,
  query: ProjectQuery = {},
): Promise<Project> {
  await deps.operationLimit.take(viewer);
  const { name, isArchived } = parseInput(updateProjectInput, input, ['input']);
  return changeConfiguration(viewer, deps, async (tx) => {
    const { id } = await requireProject(viewer, tx, idOrKey, 'OWNER', ['id']);
    return tx.project.update({
      where: { id, tenantId: viewer.tenantId },
      data: { ...(name !== undefined && { name }), ...(isArchived !== undefined && { isArchived }) },
      ...query,
    });
  });
}
