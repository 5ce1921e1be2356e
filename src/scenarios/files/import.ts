import { isDeepStrictEqual } from 'node:util';
import { type AgentImport, importAgents, importGuardrails } from '../../agents/import.ts';
import type { ProviderRules } from '../../agents/providers/defaults.ts';
import { checkProviders } from '../../agents/providers/input.ts';
import { BadUserInputError } from '../../api/errors.ts';
import type { Database } from '../../database/client.ts';
import { isUniqueViolation } from '../../database/errors.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import { renameClassifiers } from '../../guardrails/input.ts';
import { findProjectOfTenant } from '../../projects/access.ts';
import { byServer, keepPresentVersion, keepVersions } from '../keep-versions.ts';
import { nameOrchestration, readOrchestration, writeOrchestration } from '../orchestration.ts';
import { replaceGraph, type StoredGraph } from '../write-graph.ts';
import { type ScenarioFile, ScenarioFileError } from './format.ts';

/** What importing scenario files needs. */
export interface ImportDependencies extends ProviderRules {
  readonly db: Database;
}

/** What an import did with something that a file describes. */
type Change = 'created' | 'updated' | 'unchanged';

/** What an import did, or would do. */
export interface ImportReport {
  readonly file: ScenarioFile;
  readonly agents: readonly AgentImport[];
  readonly scenario: { readonly change: Change; readonly version: number };
}

/**
 * Checks the providers of the agents of a file, which depends on the environment.
 * @param options.withoutKeys whether the agents have no keys of their own yet, as in a new tenant: then the operator's key
 *   must do for them
 * @throws {ScenarioFileError} naming the agent and the field
 */
export function checkFileProviders(
  deps: ProviderRules,
  file: ScenarioFile,
  options: { readonly withoutKeys?: boolean } = {},
): void {
  for (const [index, { llm }] of file.content.agents.entries()) {
    try {
      const checked = checkProviders(deps, { llm });
      if (options.withoutKeys && checked.llm?.operatorKeyProblem) throw checked.llm.operatorKeyProblem;
    } catch (error) {
      if (!(error instanceof BadUserInputError)) throw error;
      throw new ScenarioFileError(file.path, [error.message.replace(/^input\./, `agents.${index}.`)]);
    }
  }
}

/**
 * Creates or changes a tenant's shared agents, by name, and its scenarios, by project and key, so that they are as files
 * describe them; others stay as they are. All files are imported in one transaction, which locks the tenant's row: imports
 * and seeds of a tenant run one after another. The tenant is created if it does not exist. The caller drops the cached
 * configuration of the tenant if it has one.
 * @param options.dryRun whether to roll back at the end
 * @param options.mark whether to store the files’ checksums in the scenarios, and to skip files that were loaded before:
 *   later edits then stay
 * @param options.onMissingProject is called, once or again, for a file that names a project that the tenant does not have: it
 *   is skipped. Absent: it fails
 * @returns a report for each file that was not skipped
 * @throws {ScenarioFileError} as `checkFileProviders` does; for a project that the tenant does not have; and if an agent without a key of its own asks for what the
 *   operator's key may not be used for; nothing is written then
 */
export async function importScenarios(
  deps: ImportDependencies,
  tenantId: string,
  files: readonly ScenarioFile[],
  options: {
    readonly dryRun?: boolean;
    readonly mark?: boolean;
    readonly onMissingProject?: (file: ScenarioFile) => void;
  } = {},
): Promise<ImportReport[]> {
  for (const file of files) checkFileProviders(deps, file);
  for (let attempt = 1; ; attempt += 1) {
    const reports: ImportReport[] = [];
    try {
      await deps.db.$transaction(async (tx) => {
        await tx.tenant.createMany({ data: [{ id: tenantId }], skipDuplicates: true });
        await tx.$queryRaw`SELECT 1 FROM tenants WHERE id = ${tenantId} FOR NO KEY UPDATE`;
        for (const file of files) {
          const projectId = await findProject(tx, tenantId, file);
          if (projectId === undefined && options.onMissingProject) options.onMissingProject(file);
          else if (projectId === undefined) throw missingProject(tenantId, file);
          const report =
            projectId === undefined
              ? null
              : await importScenario(tx, deps, tenantId, { file, projectId }, options.mark ?? false);
          if (report) reports.push(report);
        }
        if (options.dryRun) throw new DryRunEnd();
      });
      return reports;
    } catch (error) {
      if (error instanceof DryRunEnd) return reports;
      // Mutations do not lock the tenant's row: one may have created an agent or a scenario of the name just now.
      if (attempt < maxAttempts && isUniqueViolation(error)) continue;
      throw error;
    }
  }
}

const maxAttempts = 3;

/** Rolls back the transaction of a dry run. */
class DryRunEnd extends Error {}

/** @returns the row id of the project of a file; null: it names none; undefined: the tenant does not have it */
async function findProject(tx: Prisma.TransactionClient, tenantId: string, { content }: ScenarioFile) {
  const { projectId: named } = content.scenario;
  return named === undefined ? null : (await findProjectOfTenant(tx, tenantId, named))?.id;
}

function missingProject(tenantId: string, { path, content }: ScenarioFile): ScenarioFileError {
  const named = `${JSON.stringify(content.scenario.projectId)} in the tenant ${JSON.stringify(tenantId)}`;
  return new ScenarioFileError(path, [`scenario.projectId: there is no project ${named}: create it first`]);
}

async function importScenario(
  tx: Prisma.TransactionClient,
  deps: ImportDependencies,
  tenantId: string,
  { file, projectId }: { readonly file: ScenarioFile; readonly projectId: string | null },
  mark: boolean,
): Promise<ImportReport | null> {
  // Found by the checksum alone, as ScenarioFolder.loadAll does: a renamed scenario still belongs to the file.
  const loadedBefore = mark && (await tx.scenario.findFirst({ where: { tenantId, loadedWith: file.checksum } }));
  if (loadedBefore) return null;
  const { scenario, agents } = file.content;
  const { key } = scenario;
  // Locked, so that it is not deleted or changed meanwhile.
  await tx.$queryRaw`
    SELECT 1 FROM scenarios WHERE tenant_id = ${tenantId} AND key = ${key}
      AND project_id IS NOT DISTINCT FROM ${projectId}::uuid FOR UPDATE`;
  const present = await tx.scenario.findFirst({
    where: { tenantId, key, projectId },
    include: { agents: { orderBy: { position: 'asc' }, include: { handoffs: { orderBy: { position: 'asc' } } } } },
  });
  const { ids, changes } = await importAgents(tx, deps, tenantId, agents).catch((error: unknown) => {
    throw error instanceof BadUserInputError ? new ScenarioFileError(file.path, [error.message]) : error;
  });

  const idOf = (name: string) => {
    const id = ids.get(name);
    if (id === undefined) throw new Error(`The agent ${JSON.stringify(name)} was not imported.`);
    return id;
  };
  const guarded = agents.flatMap(({ name, guardrails }) =>
    guardrails === undefined ? [] : [{ name, id: idOf(name), guardrails: renameClassifiers(guardrails, idOf) }],
  );
  const changedNames = await importGuardrails(tx, tenantId, guarded);
  const agentChanges = changes.map((agent) =>
    agent.change === 'unchanged' && changedNames.has(agent.name) ? { ...agent, change: 'updated' as const } : agent,
  );
  const graph: StoredGraph = {
    rootAgentId: idOf(scenario.root),
    members: agents.map(({ name, handoffs }) => ({
      agentId: idOf(name),
      handoffs: handoffs.map(({ to, description = null }) => ({ toAgentId: idOf(to), description })),
    })),
  };
  const { name, description = null, isActive } = scenario;
  const guardrails = [...renameClassifiers(scenario.guardrails, idOf)];
  const orchestration = writeOrchestration(nameOrchestration(scenario.orchestration, idOf));
  const columns = { name, description, isActive, guardrails, ...orchestration };
  const loaded = mark ? { loadedWith: file.checksum } : {};
  if (present === null) {
    const { id } = await tx.scenario.create({ data: { ...columns, ...loaded, tenantId, key, projectId } });
    await replaceGraph(tx, tenantId, id, graph);
    await keepVersions(tx, tenantId, [id], byServer);
    return { file, agents: agentChanges, scenario: { change: 'created', version: 1 } };
  }
  const { id } = present;
  const stored = {
    name: present.name,
    description: present.description,
    isActive: present.isActive,
    ...writeOrchestration(readOrchestration(present)),
  };
  const isSame =
    isDeepStrictEqual({ ...stored, guardrails: present.guardrails }, columns) &&
    isDeepStrictEqual(graphOf(present.agents), graph);
  if (isSame) {
    if (mark) await tx.scenario.update({ where: { id, tenantId }, data: loaded });
    return { file, agents: agentChanges, scenario: { change: 'unchanged', version: present.version } };
  }
  await keepPresentVersion(tx, tenantId, id);
  const data = { ...columns, ...loaded, unreadGuardrails: Prisma.DbNull, version: { increment: 1 } };
  const { version } = await tx.scenario.update({ where: { id, tenantId }, data });
  await replaceGraph(tx, tenantId, id, graph);
  await keepVersions(tx, tenantId, [id], byServer);
  return { file, agents: agentChanges, scenario: { change: 'updated', version } };
}

function graphOf(
  members: readonly {
    readonly agentId: string;
    readonly isRoot: boolean;
    readonly handoffs: readonly { readonly toAgentId: string; readonly description: string | null }[];
  }[],
): StoredGraph {
  return {
    rootAgentId: members.find(({ isRoot }) => isRoot)?.agentId ?? '',
    members: members.map(({ agentId, handoffs }) => ({
      agentId,
      handoffs: handoffs.map(({ toAgentId, description }) => ({ toAgentId, description })),
    })),
  };
}
