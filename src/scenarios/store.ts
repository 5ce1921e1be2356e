import { checkClassifiers, lockClassifiers } from '../agents/classifiers.ts';
import { parseId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import { Prisma, type Scenario } from '../generated/prisma/client.ts';
import { requireProject } from '../projects/access.ts';
import { checkMembers } from './check-members.ts';
import type { ScenarioInput } from './input.ts';
import { keepPresentVersion, keepVersions } from './keep-versions.ts';
import { defaultThreshold, writeOrchestration } from './orchestration.ts';
import { explainMissingScenario, type ScenarioQuery } from './read.ts';
import { replaceGraph } from './write-graph.ts';

/**
 * Checks a new scenario and stores it with its first version.
 * @throws {BadUserInputError} naming the field; {@link NotFoundError} and {@link ForbiddenError} for an agent and the project
 */
export async function insertScenario(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  input: ScenarioInput,
  query: ScenarioQuery,
): Promise<Scenario> {
  const { tenantId } = viewer;
  const { graph, columns } = await checkScenario(viewer, tx, input);
  const { id } = await tx.scenario.create({ data: { ...columns, tenantId }, select: { id: true } });
  await replaceGraph(tx, tenantId, id, graph);
  await keepVersions(tx, tenantId, [id], { userId: viewer.userId, restoredFrom: null });
  return tx.scenario.findUniqueOrThrow({ where: { id, tenantId }, ...query });
}

/**
 * Checks the new content of a scenario, and stores it as its next version.
 * @param tx a transaction that has locked the scenario's row
 * @param scenarioId the row id
 * @param restoredFrom the version that has the content; null: none
 * @throws as {@link insertScenario}
 */
export async function replaceScenario(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  scenarioId: string,
  input: ScenarioInput,
  restoredFrom: number | null,
  query: ScenarioQuery,
): Promise<Scenario> {
  const { tenantId } = viewer;
  const { graph, columns } = await checkScenario(viewer, tx, input);
  await keepPresentVersion(tx, tenantId, scenarioId);
  await replaceGraph(tx, tenantId, scenarioId, graph);
  const scenario = await tx.scenario.update({
    where: { id: scenarioId, tenantId },
    data: { ...columns, unreadGuardrails: Prisma.DbNull, version: { increment: 1 } },
    ...query,
  });
  await keepVersions(tx, tenantId, [scenarioId], { userId: viewer.userId, restoredFrom });
  return scenario;
}

/**
 * Locks the row of a scenario until the transaction ends.
 * @param scenarioId the row id
 * @returns its version
 * @throws {NotFoundError} {@link ForbiddenError}
 */
export async function lockScenario(viewer: Viewer, tx: Prisma.TransactionClient, scenarioId: string): Promise<number> {
  const [locked] = await tx.$queryRaw<{ version: number }[]>`
    SELECT version FROM scenarios WHERE id = ${scenarioId}::uuid AND tenant_id = ${viewer.tenantId} FOR UPDATE`;
  if (locked === undefined) throw await explainMissingScenario(viewer, tx, scenarioId);
  return locked.version;
}

/** Locks the agents that a scenario names, and checks them and the project. */
async function checkScenario(viewer: Viewer, tx: Prisma.TransactionClient, input: ScenarioInput) {
  const { key, name, description = null } = input;
  const projectId = await findProjectId(viewer, tx, input);
  const graph = await checkMembers(viewer, tx, input, projectId);
  const guardrails = await checkGuardrails(viewer, tx, input, projectId);
  const orchestration = await checkOrchestration(viewer, tx, input, projectId);
  const isActive = input.isActive ?? true;
  return { graph, columns: { key, name, description, isActive, ...orchestration, guardrails, projectId } };
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
