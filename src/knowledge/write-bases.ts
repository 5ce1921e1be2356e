import { ConflictError } from '../api/errors.ts';
import { parseInput } from '../api/input.ts';
import { isAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import { changeConfiguration } from '../database/change-configuration.ts';
import type { Db } from '../database/client.ts';
import type { KnowledgeBase, Prisma } from '../generated/prisma/client.ts';
import { requireProject } from '../projects/access.ts';
import { type AccessibleBase, assertMayChange, assertStillThere, requireBase } from './access.ts';
import { checkEmbedding } from './embedding-input.ts';
import { createBaseInput, updateBaseInput } from './input.ts';
import { deleteBaseJob, reindexBaseJob } from './jobs.ts';
import type { BaseQuery } from './read.ts';
import { reindexDocuments, requestReindex } from './reindex.ts';
import type { KnowledgeRuntime } from './runtime.ts';
import { changeEmbedding, writeEmbedding } from './write-embedding.ts';

/**
 * Creates a knowledge base: in the tenant for admins, in a project for its editors.
 * @param input CreateKnowledgeBaseInput
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field; {@link ForbiddenError}; {@link NotFoundError}
 *   for the project; {@link ConflictError} if the tenant or the project has too many, or the project is archived
 */
export async function createBase(
  viewer: Viewer,
  knowledge: KnowledgeRuntime,
  input: unknown,
  query: BaseQuery = {},
): Promise<KnowledgeBase> {
  const { db, changeLimit } = knowledge;
  await changeLimit.take(viewer);
  const given = parseInput(createBaseInput, input, ['input']);
  const { projectId = null, language, name, description = null } = given;
  const draft = given.embedding == null ? null : checkEmbedding(knowledge, given.embedding);
  const { tenantId } = viewer;
  const project =
    projectId === null ? null : await requireProject(viewer, db, projectId, 'EDITOR', ['input', 'projectId']);
  if (project === null && !isAdmin(viewer)) await assertMayChange(viewer, db, { projectId: null });
  const data = { name, description, tenantId, projectId: project?.id ?? null, language: language ?? 'english' };
  return changeConfiguration(viewer, knowledge, async (tx) => {
    await assertRoom(tx, knowledge, data);
    if (draft === null) return tx.knowledgeBase.create({ data, ...query });
    const { id } = await tx.knowledgeBase.create({ data, select: { id: true } });
    const embedding = await writeEmbedding(tx, knowledge, { tenantId, knowledgeBaseId: id }, draft);
    return tx.knowledgeBase.update({ where: { tenantId_id: { tenantId, id } }, data: { embedding }, ...query });
  });
}

/**
 * Holds up others of the tenant who create a base, so that two do not both take the last place.
 * @throws {ConflictError} if the tenant, or the project, has too many
 */
async function assertRoom(
  tx: Prisma.TransactionClient,
  { bounds }: Pick<KnowledgeRuntime, 'bounds'>,
  { tenantId, projectId }: { readonly tenantId: string; readonly projectId: string | null },
): Promise<void> {
  await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`bases:${tenantId}`}, 15))::text`;
  // A statement of its own: it sees what was written while the one before waited.
  const [found] = await tx.$queryRaw<{ tenant: number; project: number }[]>`
    SELECT count(*)::integer AS tenant, (count(*) FILTER (WHERE project_id = ${projectId}::uuid))::integer AS project
    FROM knowledge_bases WHERE tenant_id = ${tenantId} AND deleted_at IS NULL`;
  const { tenant = 0, project = 0 } = found ?? {};
  if (tenant >= bounds.basesPerTenant)
    throw new ConflictError(`Your organisation has ${tenant} knowledge bases, and no more are possible.`);
  if (project >= bounds.basesPerProject)
    throw new ConflictError(`The project has ${project} knowledge bases, and no more are possible.`);
}

/**
 * Changes a knowledge base. With another language, or another embedding model, its documents are indexed again: the
 * job that does so is in the same transaction.
 * @param id the public id
 * @param input UpdateKnowledgeBaseInput
 * @throws {RateLimitedError}; {@link BadUserInputError}; {@link NotFoundError}; {@link ForbiddenError};
 *   {@link ConflictError} if its project is archived
 */
export async function updateBase(
  viewer: Viewer,
  knowledge: KnowledgeRuntime,
  id: string,
  input: unknown,
  query: BaseQuery = {},
): Promise<KnowledgeBase> {
  const { db, jobs, changeLimit } = knowledge;
  await changeLimit.take(viewer);
  const { name, description, language, embedding } = parseInput(updateBaseInput, input, ['input']);
  const draft = embedding == null ? embedding : checkEmbedding(knowledge, embedding);
  const base = await requireBase(viewer, db, id, 'change', ['id']);
  const { tenantId } = viewer;
  const data = {
    ...(name == null ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(language == null ? {} : { language }),
  };
  await changeConfiguration(viewer, knowledge, async (tx) => {
    // Of two changes at once, the second sees what the first has written. Documents that are added meanwhile wait for both.
    const [locked] = await tx.$queryRaw<{ language: string }[]>`
      SELECT language FROM knowledge_bases
      WHERE tenant_id = ${tenantId} AND id = ${base.id}::uuid AND deleted_at IS NULL FOR NO KEY UPDATE`;
    const before = assertStillThere(locked, 'knowledge base');
    const owner = { tenantId, knowledgeBaseId: base.id };
    const hasOtherModel = draft !== undefined && (await changeEmbedding(tx, knowledge, owner, draft));
    await tx.knowledgeBase.updateMany({ where: { tenantId, id: base.id }, data });
    if (!hasOtherModel && (language == null || language === before.language)) return;
    const position = await requestReindex(tx, base);
    if (position !== null) await jobs.enqueue(tx, reindexBaseJob, position);
  });
  return assertStillThere(
    await db.knowledgeBase.findUnique({ where: { id: base.id, tenantId, deletedAt: null }, ...query }),
    'knowledge base',
  );
}

/**
 * Has all documents of a base indexed again: the first ones at once, the others by a job. They are found by their old
 * chunks until the new ones are complete.
 * @throws as updateBase does
 */
export async function reindexBase(
  viewer: Viewer,
  knowledge: KnowledgeRuntime,
  id: string,
  query: BaseQuery = {},
): Promise<KnowledgeBase> {
  const { db, changeLimit } = knowledge;
  await changeLimit.take(viewer);
  const base = await requireBase(viewer, db, id, 'change', ['id']);
  const { tenantId } = viewer;
  await reindexDocuments(knowledge, base);
  return assertStillThere(
    await db.knowledgeBase.findUnique({ where: { id: base.id, tenantId, deletedAt: null }, ...query }),
    'knowledge base',
  );
}

/**
 * Deletes a base with its documents and their chunks: nobody sees it from then on, and its room is free. A job deletes the rows.
 * @returns the public id
 * @throws as updateBase does; {@link ConflictError} if an agent has it: without its bases, it would search others
 */
export async function deleteBase(viewer: Viewer, knowledge: KnowledgeRuntime, id: string): Promise<string> {
  const { db, jobs, changeLimit, changes } = knowledge;
  await changeLimit.take(viewer);
  const base = await requireBase(viewer, db, id, 'change', ['id']);
  const { tenantId } = viewer;
  await changeConfiguration(viewer, knowledge, async (tx) => {
    // Agents that would be given it, and documents that would be added, wait.
    const [locked] = await tx.$queryRaw<{ id: string }[]>`
      SELECT id FROM knowledge_bases
      WHERE tenant_id = ${tenantId} AND id = ${base.id}::uuid AND deleted_at IS NULL FOR UPDATE`;
    assertStillThere(locked, 'knowledge base');
    await assertUnused(tx, base);
    await tx.knowledgeBase.updateMany({ where: { tenantId, id: base.id }, data: { deletedAt: new Date() } });
    await tx.secret.deleteMany({ where: { tenantId, knowledgeBaseId: base.id } });
    await jobs.enqueue(tx, deleteBaseJob, { tenantId, baseId: base.id }, { key: base.id });
  });
  changes.wake(base.id);
  return id;
}

/** @throws {ConflictError} if an agent has the base; those that were deleted do not count */
async function assertUnused(db: Db, { tenantId, id }: Pick<AccessibleBase, 'tenantId' | 'id'>): Promise<void> {
  const where = { tenantId, knowledgeBaseId: id, agent: { deletedAt: null } };
  if ((await db.agentKnowledgeBase.findFirst({ where, select: { agentId: true } })) === null) return;
  throw new ConflictError('Agents search the knowledge base. Remove it from their knowledgeBases first.');
}
