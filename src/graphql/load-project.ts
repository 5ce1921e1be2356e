import type { Project } from '../generated/prisma/client.ts';
import type { Context } from './context.ts';

/** The project that a row belongs to. Null: none, or one that the viewer may not read. Many rows refer to the same. */
export async function loadProject(
  { projects }: Pick<Context, 'projects'>,
  { projectId }: { readonly projectId: string | null },
): Promise<Project | null> {
  return projectId === null ? null : projects.load(projectId);
}

/** Whether a row belongs to a project that the viewer may not read. No statement for rows of no project. */
export async function isForeign(
  context: Pick<Context, 'projects'>,
  row: { readonly projectId: string | null },
): Promise<boolean> {
  return row.projectId !== null && (await loadProject(context, row)) === null;
}
