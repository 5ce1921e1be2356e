import { checkClassifiers, lockClassifiers } from '../agents/classifiers.ts';
import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { parseInput } from '../api/input.ts';
import { requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import { type ConfigurationStore, changeConfiguration } from '../database/change-configuration.ts';
import { Prisma, type Scenario } from '../generated/prisma/client.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import { requireProject } from '../projects/access.ts';
import { checkMembers } from './check-members.ts';
import { type ScenarioInput, scenarioInput } from './input.ts';
import { defaultThreshold, writeOrchestration } from './orchestration.ts';
import { explainMissingScenario, type ScenarioQuery } from './read.ts';
import { replaceGraph } from './write-graph.ts';

/** What changing scenarios needs. */
export interface ScenarioDependencies extends ConfigurationStore {
  readonly operationLimit: RateLimit;
}

/**
 * Creates a scenario of the tenant. Admins only.
 * @param input ScenarioInput
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field, and the handoff if the graph is invalid;
 *   {@link ForbiddenError} if the viewer is not an admin, or an agent is another user's; {@link NotFoundError} for an
 *   agent and the project; {@link ConflictError} if the tenant, or its project, already has a scenario of that key
 */
export async function createScenario(
  viewer: Viewer,
  deps: ScenarioDependencies,
  input: unknown,
  query: ScenarioQuery = {},
): Promise<Scenario> {
  await deps.operationLimit.take(viewer);
  const parsed = parseInput(scenarioInput, input, ['input']);
  requireAdmin(viewer, 'change scenarios');
  const { tenantId } = viewer;
  const create = async (tx: Prisma.TransactionClient) => {
    const projectId = await findProjectId(viewer, tx, parsed);
    const graph = await checkMembers(viewer, tx, parsed, projectId);
    const guardrails = await checkGuardrails(viewer, tx, parsed, projectId);
    const orchestration = await checkOrchestration(viewer, tx, parsed, projectId);
    const data = { ...columnsOf(parsed), ...orchestration, guardrails, tenantId, projectId };
    const { id } = await tx.scenario.create({ data, select: { id: true } });
    await replaceGraph(tx, tenantId, id, graph);
    return tx.scenario.findUniqueOrThrow({ where: { id, tenantId }, ...query });
  };
  return changeConfiguration(viewer, deps, create, { taken: describeTakenKey(parsed) });
}

/**
 * Replaces a scenario: absent fields go back to their defaults. Its version grows by one. Running turns keep the version
 * with which they started; queued turns and conversations use the new one. Concurrent updates run one after another.
 * Admins only.
 * @param id the public id
 * @param input ScenarioInput
 * @throws as `createScenario` does; {@link NotFoundError} and {@link ForbiddenError} also for the scenario
 */
export async function updateScenario(
  viewer: Viewer,
  deps: ScenarioDependencies,
  id: string,
  input: unknown,
  query: ScenarioQuery = {},
): Promise<Scenario> {
  await deps.operationLimit.take(viewer);
  const scenarioId = parseId('Scenario', id, ['id']);
  const parsed = parseInput(scenarioInput, input, ['input']);
  requireAdmin(viewer, 'change scenarios');
  const { tenantId } = viewer;
  const update = async (tx: Prisma.TransactionClient) => {
    await lockScenario(viewer, tx, scenarioId);
    const projectId = await findProjectId(viewer, tx, parsed);
    const graph = await checkMembers(viewer, tx, parsed, projectId);
    const guardrails = await checkGuardrails(viewer, tx, parsed, projectId);
    const orchestration = await checkOrchestration(viewer, tx, parsed, projectId);
    await replaceGraph(tx, tenantId, scenarioId, graph);
    return tx.scenario.update({
      where: { id: scenarioId, tenantId },
      data: {
        ...columnsOf(parsed),
        ...orchestration,
        guardrails,
        projectId,
        unreadGuardrails: Prisma.DbNull,
        version: { increment: 1 },
      },
      ...query,
    });
  };
  return changeConfiguration(viewer, deps, update, { taken: describeTakenKey(parsed) });
}

/** How many conversations of a tenant use a scenario, by its row id. Conversations implement it. */
export type CountScenarioUsers = (
  tx: Prisma.TransactionClient,
  tenantId: string,
  scenarioId: string,
) => Promise<number>;

/**
 * Deletes a scenario that no conversation uses. Admins only.
 * @param id the public id
 * @param countUsers counts the conversations that use it, in the transaction
 * @returns the public id
 * @throws {RateLimitedError}; {@link BadUserInputError} if the id is malformed; {@link ForbiddenError};
 *   {@link NotFoundError}; {@link ConflictError} if conversations use it
 */
export async function deleteScenario(
  viewer: Viewer,
  deps: ScenarioDependencies,
  id: string,
  countUsers: CountScenarioUsers,
): Promise<string> {
  await deps.operationLimit.take(viewer);
  const scenarioId = parseId('Scenario', id, ['id']);
  requireAdmin(viewer, 'change scenarios');
  const { tenantId } = viewer;
  await changeConfiguration(viewer, deps, async (tx) => {
    // New conversations wait for this lock, so that none is created between the count and the deletion.
    await lockScenario(viewer, tx, scenarioId);
    const users = await countUsers(tx, tenantId, scenarioId);
    if (users > 0) {
      throw new ConflictError(
        `${users === 1 ? 'One conversation uses' : `${users.toLocaleString('en-US')} conversations use`} the scenario. ` +
          'Make it inactive (isActive: false) instead: they go on, and no new conversations can use it.',
      );
    }
    await tx.scenario.delete({ where: { id: scenarioId, tenantId } });
  });
  return formatId('Scenario', scenarioId);
}

function describeTakenKey({ key, projectId = null }: ScenarioInput): string {
  const project = projectId === null ? '' : ` in the project ${JSON.stringify(projectId)}`;
  return `There is already a scenario with the key ${JSON.stringify(key)}${project}.`;
}

function columnsOf(input: ScenarioInput) {
  const { key, name, description = null } = input;
  return { key, name, description, isActive: input.isActive ?? true };
}

/** The row id of the project of a scenario; null: it is for all projects. */
async function findProjectId(viewer: Viewer, tx: Prisma.TransactionClient, input: ScenarioInput) {
  if (input.projectId == null) return null;
  return (await requireProject(viewer, tx, input.projectId, 'EDITOR', ['input', 'projectId'])).id;
}

async function checkGuardrails(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  { guardrails }: ScenarioInput,
  projectId: string | null,
) {
  const owner = { path: ['input', 'guardrails'], isShared: true, projectId };
  return [...(await checkClassifiers(viewer, tx, guardrails ?? [], owner))];
}

/** The columns of an orchestration. One statement if it names a classifier, whose row it locks. */
async function checkOrchestration(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  { orchestration }: ScenarioInput,
  projectId: string | null,
) {
  const { mode = 'OFF', classifierAgentId: named = null, threshold, instructions = null } = orchestration ?? {};
  const path = ['input', 'orchestration', 'classifierAgentId'];
  const classifierAgentId = named === null ? null : parseId('Agent', named, path);
  if (classifierAgentId !== null)
    await lockClassifiers(viewer, tx, [{ agentId: classifierAgentId, path }], { isShared: true, projectId });
  return writeOrchestration({ mode, classifierAgentId, threshold: threshold ?? defaultThreshold, instructions });
}

/** Locks the row until the transaction ends. */
async function lockScenario(viewer: Viewer, tx: Prisma.TransactionClient, scenarioId: string): Promise<void> {
  const locked = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM scenarios WHERE id = ${scenarioId}::uuid AND tenant_id = ${viewer.tenantId} FOR UPDATE`;
  if (locked.length === 0) throw await explainMissingScenario(viewer, tx, scenarioId);
}
