import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { parseInput } from '../api/input.ts';
import { requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { ConfigurationCache } from '../database/configuration-cache.ts';
import { Prisma, type Scenario } from '../generated/prisma/client.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import { checkMembers } from './check-members.ts';
import { type ScenarioInput, scenarioInput } from './input.ts';
import { explainMissingScenario, type ScenarioQuery } from './read.ts';
import { replaceGraph } from './write-graph.ts';

/** What it takes to keep scenarios. */
export interface ScenarioDependencies {
  readonly db: Database;
  readonly config: ConfigurationCache;
  readonly operationLimit: RateLimit;
}

/**
 * Makes a scenario of the tenant. Admins only.
 * @param input ScenarioInput
 * @throws {BadUserInputError} naming the field, and the handoff where the graph is wrong; nothing is written then
 * @throws {ConflictError} when the tenant, or its project, has a scenario of that key already
 * @throws {NotFoundError | ForbiddenError} for an agent; {@link ForbiddenError} also for who is no admin;
 *   {@link RateLimitedError}
 */
export async function createScenario(
  viewer: Viewer,
  deps: ScenarioDependencies,
  input: unknown,
  query: ScenarioQuery = {},
): Promise<Scenario> {
  requireAdmin(viewer, 'change scenarios');
  await deps.operationLimit.take(viewer);
  const given = parseInput(scenarioInput, input, ['input']);
  return write(viewer, deps, given, async (tx) => {
    const graph = await checkMembers(viewer, tx, given);
    const { tenantId } = viewer;
    const { id } = await tx.scenario.create({ data: { ...columnsOf(given), tenantId }, select: { id: true } });
    await replaceGraph(tx, tenantId, id, graph);
    return tx.scenario.findUniqueOrThrow({ where: { id, tenantId }, ...query });
  });
}

/**
 * Puts the input in the place of a scenario: what is absent in it goes back to its default. Its version grows by one.
 * Turns that are running keep the version that they began with; queued ones and conversations take the new one. Two
 * updates at once are done one after the other. Admins only.
 * @param id the public id
 * @param input ScenarioInput
 * @throws as createScenario does; {@link NotFoundError} and {@link ForbiddenError} also for the scenario
 */
export async function updateScenario(
  viewer: Viewer,
  deps: ScenarioDependencies,
  id: string,
  input: unknown,
  query: ScenarioQuery = {},
): Promise<Scenario> {
  requireAdmin(viewer, 'change scenarios');
  await deps.operationLimit.take(viewer);
  const row = parseId('Scenario', id, ['id']);
  const given = parseInput(scenarioInput, input, ['input']);
  return write(viewer, deps, given, async (tx) => {
    await lockScenario(viewer, tx, row);
    const graph = await checkMembers(viewer, tx, given);
    const { tenantId } = viewer;
    await replaceGraph(tx, tenantId, row, graph);
    return tx.scenario.update({
      where: { id: row, tenantId },
      data: { ...columnsOf(given), version: { increment: 1 } },
      ...query,
    });
  });
}

/**
 * Deletes a scenario that no conversation uses. Admins only.
 * @param id the public id
 * @returns the public id
 * @throws {ConflictError} when conversations use it: switch it off instead
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the id; {@link RateLimitedError}
 */
export async function deleteScenario(viewer: Viewer, deps: ScenarioDependencies, id: string): Promise<string> {
  requireAdmin(viewer, 'change scenarios');
  await deps.operationLimit.take(viewer);
  const row = parseId('Scenario', id, ['id']);
  const { tenantId } = viewer;
  await deps.db.$transaction(async (tx) => {
    // New conversations wait for this lock, so that none comes between the count and the end.
    await lockScenario(viewer, tx, row);
    const users = await tx.conversation.count({ where: { tenantId, scenarioId: row } });
    if (users > 0) {
      throw new ConflictError(
        `${users === 1 ? 'One conversation uses' : `${users.toLocaleString('en-US')} conversations use`} the scenario. ` +
          'Switch it off (isActive: false): they go on, and no new ones begin with it.',
      );
    }
    await tx.scenario.delete({ where: { id: row, tenantId } });
  });
  deps.config.drop(tenantId);
  return formatId('Scenario', row);
}

/** Writes in one transaction, and then forgets what was remembered of the tenant. */
async function write(
  viewer: Viewer,
  deps: ScenarioDependencies,
  { key, projectId = null }: ScenarioInput,
  work: (tx: Prisma.TransactionClient) => Promise<Scenario>,
): Promise<Scenario> {
  try {
    const scenario = await deps.db.$transaction(work);
    deps.config.drop(viewer.tenantId);
    return scenario;
  } catch (error) {
    if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2002') throw error;
    const where = projectId === null ? '' : ` in the project ${JSON.stringify(projectId)}`;
    throw new ConflictError(`There is a scenario with the key ${JSON.stringify(key)}${where} already.`);
  }
}

function columnsOf(given: ScenarioInput) {
  const { key, name, description = null, projectId = null } = given;
  const guardrails = (given.guardrails ?? {}) as Prisma.InputJsonObject;
  return { key, name, description, projectId, guardrails, isActive: given.isActive ?? true };
}

/** Holds the row until the transaction ends. */
async function lockScenario(viewer: Viewer, tx: Prisma.TransactionClient, row: string): Promise<void> {
  const locked = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM scenarios WHERE id = ${row}::uuid AND tenant_id = ${viewer.tenantId} FOR UPDATE`;
  if (locked.length === 0) throw await explainMissingScenario(viewer, tx, row);
}
