import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { parseInput } from '../api/input.ts';
import { requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import { type ConfigurationStore, changeConfiguration } from '../database/change-configuration.ts';
import type { Prisma, Scenario } from '../generated/prisma/client.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import { type ScenarioInput, scenarioInput, versionNumber } from './input.ts';
import type { ScenarioQuery } from './read.ts';
import { toInput } from './snapshot.ts';
import { insertScenario, lockScenario, replaceScenario } from './store.ts';
import { readVersionSnapshot } from './versions.ts';

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
  const create = (tx: Prisma.TransactionClient) => insertScenario(viewer, tx, parsed, query);
  return changeConfiguration(viewer, deps, create, { taken: describeTakenKey(parsed) });
}

/**
 * Replaces a scenario: absent fields go back to their defaults. Its version grows by one. Running turns keep the version
 * with which they started; queued turns and conversations use the new one. Concurrent updates run one after another.
 * Admins only.
 * @param args.id the public id
 * @param args.input ScenarioInput
 * @param args.expectedVersion the version that the scenario has; absent: whatever there is
 * @throws as `createScenario` does; {@link NotFoundError} and {@link ForbiddenError} also for the scenario;
 *   {@link ConflictError} also if the scenario does not have the expected version
 */
export async function updateScenario(
  viewer: Viewer,
  deps: ScenarioDependencies,
  args: { readonly id: string; readonly input: unknown; readonly expectedVersion?: number | null | undefined },
  query: ScenarioQuery = {},
): Promise<Scenario> {
  await deps.operationLimit.take(viewer);
  const scenarioId = parseId('Scenario', args.id, ['id']);
  const parsed = parseInput(scenarioInput, args.input, ['input']);
  const expected = parseInput(versionNumber.nullish(), args.expectedVersion, ['expectedVersion']) ?? null;
  requireAdmin(viewer, 'change scenarios');
  const update = async (tx: Prisma.TransactionClient) => {
    assertVersion(await lockScenario(viewer, tx, scenarioId), expected);
    return replaceScenario(viewer, tx, scenarioId, parsed, null, query);
  };
  return changeConfiguration(viewer, deps, update, { taken: describeTakenKey(parsed) });
}

/**
 * Makes an earlier version of a scenario its next one: all of its content, checked against the agents that exist now. Admins
 * only.
 * @param args.id the public id
 * @param args.version the version to restore, one of those that are kept
 * @param args.expectedVersion the version that the scenario has
 * @throws as `updateScenario` does, naming the fields of the ScenarioInput that the version amounts to;
 *   {@link NotFoundError} also for the version; {@link ConflictError} also if the scenario does not have the expected version
 */
export async function restoreScenarioVersion(
  viewer: Viewer,
  deps: ScenarioDependencies,
  args: { readonly id: string; readonly version: number; readonly expectedVersion: number },
  query: ScenarioQuery = {},
): Promise<Scenario> {
  await deps.operationLimit.take(viewer);
  const scenarioId = parseId('Scenario', args.id, ['id']);
  const version = parseInput(versionNumber, args.version, ['version']);
  const expected = parseInput(versionNumber, args.expectedVersion, ['expectedVersion']);
  requireAdmin(viewer, 'change scenarios');
  const restore = async (tx: Prisma.TransactionClient) => {
    assertVersion(await lockScenario(viewer, tx, scenarioId), expected);
    const input = toInput(await readVersionSnapshot(viewer, tx, scenarioId, version));
    return replaceScenario(viewer, tx, scenarioId, input, version, query);
  };
  const taken = 'There is another scenario with the key that the version has. Change the key of that one first.';
  return changeConfiguration(viewer, deps, restore, { taken });
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

/** @param expected null: any */
function assertVersion(present: number, expected: number | null): void {
  if (expected === null || present === expected) return;
  throw new ConflictError(
    `The scenario was expected to have version ${expected}, and it has version ${present}. Read it again.`,
  );
}

function describeTakenKey({ key, projectId = null }: ScenarioInput): string {
  const project = projectId === null ? '' : ` in the project ${JSON.stringify(projectId)}`;
  return `There is already a scenario with the key ${JSON.stringify(key)}${project}.`;
}
