import { parseId } from '../api/ids.ts';
import { requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import { changeConfiguration } from '../database/change-configuration.ts';
import { cleanJson } from '../engine/tool-result.ts';
import { type Agent, Prisma } from '../generated/prisma/client.ts';
import { type ProjectAccess, requireProject, requireProjectOf } from '../projects/access.ts';
import { assertNoClassifier, checkClassifiers } from './classifiers.ts';
import { lockDefault, unsetDefault } from './default.ts';
import type { AgentDependencies } from './dependencies.ts';
import { parseAgentChange, parseNewAgent } from './input.ts';
import { writeKnowledgeBases } from './knowledge-bases.ts';
import { writeProviders } from './providers/write.ts';
import type { AgentQuery } from './read.ts';
import { explainMissingAgent, visibleAgents } from './visible.ts';

/**
 * Creates an agent: the viewer's own, one of a project (its editors), or a shared one of the tenant (admins only).
 * @param input CreateAgentInput
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field; {@link ForbiddenError} for a shared agent if
 *   the viewer is not an admin, and as `requireProject` does; {@link ConflictError} if a shared agent, or one of the
 *   project, has the same name
 */
export async function createAgent(
  viewer: Viewer,
  deps: AgentDependencies,
  input: unknown,
  query: AgentQuery = {},
): Promise<Agent> {
  await deps.operationLimit.take(viewer);
  const {
    providers,
    isShared,
    project: name,
    guardrails,
    knowledgeBaseIds,
    outputSchema,
    ...columns
  } = await parseNewAgent(viewer, deps, input);
  if (isShared) requireAdmin(viewer, 'create shared agents');
  const { tenantId } = viewer;
  const project = name === null ? null : await requireProject(viewer, deps.db, name, 'EDITOR', ['input', 'projectId']);
  const projectId = project?.id ?? null;
  const ownerId = isShared || projectId !== null ? null : viewer.userId;
  const create = async (tx: Prisma.TransactionClient) => {
    if (columns.isDefault) {
      await lockDefault(tx, tenantId, ownerId);
      await unsetDefault(tx, tenantId, ownerId);
    }
    const owner = { path: guardrailsPath, isShared: ownerId === null, projectId };
    const checked = await checkClassifiers(viewer, tx, guardrails, owner);
    const created = {
      ...{ ...columns, guardrails: [...checked], tenantId, ownerId, projectId },
      ...(outputSchema && { outputSchema: toColumn(outputSchema) }),
    };
    const { id } = await tx.agent.create({ data: created, select: { id: true } });
    const data = await writeProviders(tx, deps.keys, { tenantId, agentId: id }, providers, null);
    await writeKnowledgeBases(tx, { tenantId, agentId: id }, knowledgeBaseIds);
    return tx.agent.update({ where: { id }, data, ...query });
  };
  return changeConfiguration(viewer, deps, create, { taken: describeTakenName(columns.name, project) });
}

/**
 * Changes the given fields of an agent. Running turns keep the agent as it was when they started. An agent that is made
 * inactive is no longer the default agent.
 * @param id the public id
 * @param input UpdateAgentInput
 * @throws {RateLimitedError | BadUserInputError | ForbiddenError | ConflictError} as `createAgent` does;
 *   {@link NotFoundError} if the agent does not exist
 */
export async function updateAgent(
  viewer: Viewer,
  deps: AgentDependencies,
  id: string,
  input: unknown,
  query: AgentQuery = {},
): Promise<Agent> {
  await deps.operationLimit.take(viewer);
  const agentId = parseId('Agent', id, ['id']);
  const { providers, ...change } = await parseAgentChange(viewer, deps, agentId, input);
  const { name, description, instructions, toolNames, isActive, guardrails, knowledgeBaseIds, outputSchema } = change;
  const update = async (tx: Prisma.TransactionClient) => {
    const { ownerId, projectId } = await lockChangeable(viewer, tx, agentId, Prisma.sql`FOR NO KEY UPDATE`);
    const owner = { path: guardrailsPath, isShared: ownerId === null, projectId };
    const given = guardrails && (await checkClassifiers(viewer, tx, guardrails, owner));
    const { secrets, ...columns } = await tx.agent.findUniqueOrThrow({
      where: { id: agentId },
      select: providersOfAgent,
    });
    const keyOwner = { tenantId: viewer.tenantId, agentId };
    const providerColumns = await writeProviders(tx, deps.keys, keyOwner, providers, { columns, secrets });
    if (knowledgeBaseIds) await writeKnowledgeBases(tx, keyOwner, knowledgeBaseIds);
    return tx.agent.update({
      where: { id: agentId },
      data: {
        ...providerColumns,
        ...(name !== undefined && { name }),
        ...(description !== undefined && { description }),
        ...(instructions !== undefined && { instructions }),
        ...(toolNames !== undefined && { toolNames }),
        ...(given !== undefined && { guardrails: [...given] }),
        ...(outputSchema !== undefined && {
          outputSchema: outputSchema === null ? Prisma.DbNull : toColumn(outputSchema),
        }),
        ...(isActive !== undefined && { isActive }),
        ...(isActive === false && { isDefault: false }),
      },
      ...query,
    });
  };
  return changeConfiguration(viewer, deps, update, name === undefined ? {} : { taken: describeTakenName(name, null) });
}

/**
 * Deletes an agent and its keys. Its row stays, so that old messages still have their author. Conversations in which it
 * was the active agent go on with the default agent.
 * @param id the public id
 * @returns the public id
 * @throws {RateLimitedError}; {@link BadUserInputError} if the id is malformed; {@link NotFoundError};
 *   {@link ForbiddenError}; {@link ConflictError} naming the scenarios that use it, or an
 *   agent for whose guardrails it classifies
 */
export async function deleteAgent(viewer: Viewer, deps: AgentDependencies, id: string): Promise<string> {
  await deps.operationLimit.take(viewer);
  const agentId = parseId('Agent', id, ['id']);
  const { tenantId } = viewer;
  await changeConfiguration(viewer, deps, async (tx) => {
    // A concurrent transaction that puts it into a scenario has locked the row, or waits and then finds it deleted.
    await lockChangeable(viewer, tx, agentId, Prisma.sql`FOR UPDATE`);
    await assertNoClassifier(tx, tenantId, agentId);
    await deps.references.assertUnused(tx, tenantId, agentId);
    await tx.secret.deleteMany({ where: { agentId } });
    await tx.agent.update({ where: { id: agentId }, data: { deletedAt: new Date(), isDefault: false } });
  });
  // Not in the transaction: a change of settings locks its own rows first and then the agent's; the reverse order could
  // deadlock.
  await deps.references.release(deps.db, tenantId, agentId);
  return id;
}

/** As JSON columns take it: without what PostgreSQL cannot store. */
function toColumn(schema: Readonly<Record<string, unknown>>): Prisma.InputJsonObject {
  return JSON.parse(JSON.stringify(cleanJson(JSON.stringify(schema))));
}

const guardrailsPath = ['input', 'guardrails'] as const;

const providersOfAgent = {
  llm: true,
  tts: true,
  stt: true,
  secrets: { select: { name: true, origin: true } },
} as const;

function describeTakenName(name: string, project: Pick<ProjectAccess, 'key'> | null): string {
  return project === null
    ? `There is already an agent named ${JSON.stringify(name)} among the shared agents of your tenant or of the project.`
    : `The project ${JSON.stringify(project.key)} already has an agent named ${JSON.stringify(name)}.`;
}

/**
 * Locks the row of an agent that the viewer may change until the transaction ends.
 * @param strength the lock: FOR UPDATE if it is to be deleted
 * @returns its owner and its project
 * @throws {NotFoundError} if it does not exist; {@link ForbiddenError} if the viewer may not change it
 */
async function lockChangeable(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  agentId: string,
  strength: Prisma.Sql,
): Promise<{ readonly ownerId: string | null; readonly projectId: string | null }> {
  await tx.$queryRaw`SELECT id FROM agents WHERE id = ${agentId}::uuid AND tenant_id = ${viewer.tenantId} ${strength}`;
  const where = { ...visibleAgents(viewer), id: agentId };
  const agent = await tx.agent.findUnique({ where, select: { ownerId: true, projectId: true } });
  if (agent === null) throw await explainMissingAgent(viewer, tx, agentId);
  if (agent.projectId !== null) await requireProjectOf(viewer, tx, agent.projectId, 'EDITOR');
  else if (agent.ownerId === null) requireAdmin(viewer, 'change shared agents');
  return agent;
}
