import { parseId } from '../api/ids.ts';
import { badInput, type InputPath } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { explainMissingConversation } from '../conversations/read.ts';
import type { Db } from '../database/client.ts';
import { Prisma, type ProjectRole } from '../generated/prisma/client.ts';
import { requireProject } from '../projects/access.ts';

/** To what a draft belongs: the row ids, of which one is set at most. Neither: to the viewer. */
export interface DraftScope {
  readonly conversationId: string | null;
  readonly projectId: string | null;
}

/** A scope as clients give it. */
export interface ScopeArgs {
  readonly conversationId?: string | null | undefined;
  readonly projectId?: string | null | undefined;
}

/**
 * Finds out where drafts are, for a viewer who may read or write there. One statement for a conversation or a project.
 * @param minimumRole in the project: VIEWER to read, EDITOR to write
 * @param path of the arguments
 * @throws {BadUserInputError} if both are given, or one is malformed; {@link NotFoundError}; {@link ForbiddenError} if the
 *   conversation is somebody else's, or the viewer does not have the role; {@link ConflictError} if the project is archived
 */
export async function findScope(
  viewer: Viewer,
  db: Db,
  { conversationId, projectId }: ScopeArgs,
  minimumRole: Extract<ProjectRole, 'VIEWER' | 'EDITOR'>,
  path: InputPath,
): Promise<DraftScope> {
  if (conversationId != null && projectId != null)
    throw badInput([...path, 'projectId'], 'must not be given with conversationId: a draft belongs to one of them');
  if (conversationId != null) {
    const row = parseId('Conversation', conversationId, [...path, 'conversationId']);
    return requireConversation(viewer, db, row);
  }
  if (projectId == null) return { conversationId: null, projectId: null };
  const project = await requireProject(viewer, db, projectId, minimumRole, [...path, 'projectId']);
  return { conversationId: null, projectId: project.id };
}

/**
 * The scope of a conversation of the viewer.
 * @param row the row id
 * @throws {NotFoundError} {@link ForbiddenError}
 */
export async function requireConversation(viewer: Viewer, db: Db, row: string): Promise<DraftScope> {
  const { tenantId, userId } = viewer;
  const own = await db.conversation.findUnique({ where: { id: row, tenantId, userId }, select: { id: true } });
  if (own === null) throw await explainMissingConversation(viewer, db, row);
  return { conversationId: row, projectId: null };
}

/** The condition for the drafts of a scope, on `drafts`, as its indexes have it. */
export function inScope({ tenantId, userId }: Viewer, { conversationId, projectId }: DraftScope): Prisma.Sql {
  if (conversationId !== null)
    return Prisma.sql`tenant_id = ${tenantId} AND conversation_id = ${conversationId}::uuid AND user_id = ${userId}`;
  if (projectId !== null) return Prisma.sql`tenant_id = ${tenantId} AND project_id = ${projectId}::uuid`;
  return Prisma.sql`tenant_id = ${tenantId} AND user_id = ${userId} AND conversation_id IS NULL AND project_id IS NULL`;
}
