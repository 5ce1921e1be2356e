import { randomUUIDv7 } from 'node:crypto';
import { ConflictError } from '../api/errors.ts';
import { parseId } from '../api/ids.ts';
import { parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { indexText } from '../conversations/search/terms.ts';
import type { Db } from '../database/client.ts';
import type { Memory } from '../generated/prisma/client.ts';
import { requireProject } from '../projects/access.ts';
import { maxMemories, saveMemoryInput } from './input.ts';
import { type MemoryQuery, readMemory } from './read.ts';
import type { MemoryRuntime } from './runtime.ts';

/** A fact, and where it is used. */
interface NewMemory {
  readonly text: string;
  /** The row id; null: everywhere. */
  readonly projectId: string | null;
  /** The row id of the agent that saves it; null: the user does. */
  readonly agentId: string | null;
}

/**
 * Saves a memory of the viewer: a new one, or another text in place of that of one.
 * @param args of saveMemory; of an existing memory, the project stays if none is given
 * @throws {BadUserInputError} naming the argument; {@link NotFoundError} {@link ForbiddenError} for the memory and the project;
 *   {@link ConflictError} if memories are switched off for the tenant, the project is archived, or the viewer has too many
 */
export async function saveMemory(
  viewer: Viewer,
  memory: MemoryRuntime,
  args: unknown,
  query: MemoryQuery = {},
): Promise<Memory> {
  const { id, text, projectId } = parseInput(saveMemoryInput, args, []);
  const { db } = memory;
  const found = id == null ? null : await readMemory(viewer, db, id);
  const project = projectId == null ? null : await requireProject(viewer, db, projectId, 'EDITOR', ['projectId']);
  assertOn(viewer, memory);
  const given = { text, projectId: project?.id ?? null, agentId: null };
  if (found === null) return addMemory(viewer, memory, given, query);
  const kept = projectId === undefined ? found.projectId : given.projectId;
  return await change(viewer, db, found.id, { ...given, projectId: kept }, query);
}

/** @throws {ConflictError} if the operator has not switched memories on for the tenant of the viewer */
export function assertOn({ tenantId }: Viewer, { isOn }: MemoryRuntime): void {
  if (!isOn(tenantId)) throw new ConflictError('Memories are switched off for your organisation, so none is saved.');
}

/**
 * Adds a memory of the viewer. A fact that is there already, word by word, is not added again: it counts as changed now.
 * @throws {ConflictError} if the viewer has too many
 */
export async function addMemory(
  viewer: Viewer,
  { db }: MemoryRuntime,
  { text, projectId, agentId }: NewMemory,
  query: MemoryQuery = {},
): Promise<Memory> {
  const { tenantId, userId } = viewer;
  return db.$transaction(async (tx) => {
    // Of two at once, the second one sees what the first has written, in its next statement.
    const key = `memories:${JSON.stringify([tenantId, userId])}`;
    await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${key}, 17))::text`;
    const [same] = await tx.$queryRaw<{ readonly id: string }[]>`
      UPDATE memories SET updated_at = now() WHERE id = (
        SELECT id FROM memories WHERE tenant_id = ${tenantId} AND user_id = ${userId} AND text = ${text}
          AND project_id IS NOT DISTINCT FROM ${projectId}::uuid ORDER BY updated_at DESC LIMIT 1)
      RETURNING id::text`;
    const id = same?.id ?? randomUUIDv7();
    if (same === undefined) {
      if ((await tx.memory.count({ where: { tenantId, userId } })) >= maxMemories)
        throw new ConflictError(
          `There are ${maxMemories} memories already, and no more are possible: delete some first.`,
        );
      await tx.$executeRaw`
        INSERT INTO memories (id, tenant_id, user_id, project_id, text, tsv, agent_id)
        VALUES (${id}::uuid, ${tenantId}, ${userId}, ${projectId}::uuid, ${text}, ${indexText(text, viewer)}::tsvector,
          ${agentId}::uuid)`;
    }
    return tx.memory.findUniqueOrThrow({ where: { id, tenantId }, ...query });
  });
}

async function change(
  viewer: Viewer,
  db: Db,
  id: string,
  { text, projectId }: NewMemory,
  query: MemoryQuery,
): Promise<Memory> {
  const { tenantId, userId } = viewer;
  await db.$executeRaw`
    UPDATE memories SET text = ${text}, tsv = ${indexText(text, viewer)}::tsvector, project_id = ${projectId}::uuid,
      updated_at = now()
    WHERE id = ${id}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId}`;
  const changed = await db.memory.findUnique({ where: { id, tenantId, userId }, ...query });
  if (changed === null) throw new ConflictError('The memory was deleted meanwhile.');
  return changed;
}

/**
 * Deletes a memory of the viewer, also if memories are switched off.
 * @param id the public id
 * @returns the public id
 * @throws {BadUserInputError} {@link NotFoundError} {@link ForbiddenError}
 */
export async function deleteMemory(viewer: Viewer, db: Db, id: string): Promise<string> {
  await readMemory(viewer, db, id);
  const { tenantId, userId } = viewer;
  await db.memory.deleteMany({ where: { id: parseId('Memory', id, ['id']), tenantId, userId } });
  return id;
}
