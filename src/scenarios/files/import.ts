import { isDeepStrictEqual } from 'node:util';
import { checkProviders, type ProviderRules } from '../../agents/providers/input.ts';
import { BadUserInputError } from '../../api/errors.ts';
import type { Database } from '../../database/client.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import { replaceGraph, type StoredGraph } from '../write-graph.ts';
import { type ScenarioFile, ScenarioFileError } from './format.ts';
import { type AgentChange, importAgents } from './import-agents.ts';

/** What it takes to bring files into the database. */
export interface ImportDependencies extends ProviderRules {
  readonly db: Database;
}

/** What became of something that a file holds. */
export type Change = 'created' | 'updated' | 'unchanged';

/** What an import has done, or would do. */
export interface ImportReport {
  readonly file: ScenarioFile;
  readonly agents: readonly AgentChange[];
  readonly scenario: { readonly change: Change; readonly version: number };
}

/**
 * Checks what of a file takes the environment to check: the providers of its agents.
 * @throws {ScenarioFileError} naming the agent and the field
 */
export function checkFileProviders(deps: ProviderRules, file: ScenarioFile): void {
  for (const [index, { llm }] of file.content.agents.entries()) {
    try {
      checkProviders(deps, { llm });
    } catch (error) {
      if (!(error instanceof BadUserInputError)) throw error;
      throw new ScenarioFileError(file.path, [error.message.replace(/^input\./, `agents.${index}.`)]);
    }
  }
}

/**
 * Makes a tenant's shared agents, by name, and its scenarios, by project and key, what files say that they are; others
 * are left alone. All files in one transaction, which holds the tenant's row: imports and seeds of a tenant come one
 * after the other. A tenant that is not there is made.
 * @param options.dryRun whether to do it and take it back
 * @param options.mark whether the scenarios remember the files’ checksums, and files that were loaded before, or were
 *   loaded by somebody else meanwhile, are passed over: edits that came after them stay
 * @returns a report for each file that was not passed over
 * @throws {ScenarioFileError} as `checkFileProviders` does; nothing is written then
 */
export async function importScenarios(
  deps: ImportDependencies,
  tenantId: string,
  files: readonly ScenarioFile[],
  options: { readonly dryRun?: boolean; readonly mark?: boolean } = {},
): Promise<ImportReport[]> {
  for (const file of files) checkFileProviders(deps, file);
  for (let attempt = 1; ; attempt += 1) {
    const reports: ImportReport[] = [];
    try {
      await deps.db.$transaction(async (tx) => {
        await tx.tenant.createMany({ data: [{ id: tenantId }], skipDuplicates: true });
        await tx.$queryRaw`SELECT 1 FROM tenants WHERE id = ${tenantId} FOR NO KEY UPDATE`;
        for (const file of files) {
          const report = await importScenario(tx, deps, tenantId, file, options.mark ?? false);
          if (report) reports.push(report);
        }
        if (options.dryRun) throw new DryRunEnd();
      });
      return reports;
    } catch (error) {
      if (error instanceof DryRunEnd) return reports;
      // A mutation does not hold the tenant's row: it may have made an agent or a scenario of the name at this moment.
      if (attempt < maxAttempts && isTaken(error)) continue;
      throw error;
    }
  }
}

const maxAttempts = 3;

/** Ends the transaction of a dry run, and takes back what it did. */
class DryRunEnd extends Error {}

function isTaken(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';
}

async function importScenario(
  tx: Prisma.TransactionClient,
  deps: ImportDependencies,
  tenantId: string,
  file: ScenarioFile,
  mark: boolean,
): Promise<ImportReport | null> {
  // By the checksum alone, as ScenarioFolder.loadAll looks: a scenario that was renamed is the file's still.
  const loadedBefore = mark && (await tx.scenario.findFirst({ where: { tenantId, loadedWith: file.checksum } }));
  if (loadedBefore) return null;
  const { scenario, agents } = file.content;
  const { key, projectId = null } = scenario;
  // Held from here on, so that nobody deletes or changes it in between.
  await tx.$queryRaw`
    SELECT 1 FROM scenarios WHERE tenant_id = ${tenantId} AND key = ${key}
      AND project_id IS NOT DISTINCT FROM ${projectId} FOR UPDATE`;
  const present = await tx.scenario.findFirst({
    where: { tenantId, key, projectId },
    include: { agents: { orderBy: { position: 'asc' }, include: { handoffs: { orderBy: { position: 'asc' } } } } },
  });
  const { ids, changes } = await importAgents(tx, deps, tenantId, agents);

  const idOf = (name: string) => {
    const id = ids.get(name);
    if (id === undefined) throw new Error(`The agent ${JSON.stringify(name)} was not imported.`);
    return id;
  };
  const graph: StoredGraph = {
    rootAgentId: idOf(scenario.root),
    members: agents.map(({ name, handoffs }) => ({
      agentId: idOf(name),
      handoffs: handoffs.map(({ to, description = null }) => ({ toAgentId: idOf(to), description })),
    })),
  };
  const { name, description = null, isActive } = scenario;
  const guardrails = scenario.guardrails as Prisma.InputJsonObject;
  const columns = { name, description, isActive, guardrails };
  const loaded = mark ? { loadedWith: file.checksum } : {};
  if (present === null) {
    const { id } = await tx.scenario.create({ data: { ...columns, ...loaded, tenantId, key, projectId } });
    await replaceGraph(tx, tenantId, id, graph);
    return { file, agents: changes, scenario: { change: 'created', version: 1 } };
  }
  const { id } = present;
  const stored = { name: present.name, description: present.description, isActive: present.isActive };
  const isSame =
    isDeepStrictEqual({ ...stored, guardrails: present.guardrails }, columns) &&
    isDeepStrictEqual(graphOf(present.agents), graph);
  if (isSame) {
    if (mark) await tx.scenario.update({ where: { id, tenantId }, data: loaded });
    return { file, agents: changes, scenario: { change: 'unchanged', version: present.version } };
  }
  const data = { ...columns, ...loaded, version: { increment: 1 } };
  const { version } = await tx.scenario.update({ where: { id, tenantId }, data });
  await replaceGraph(tx, tenantId, id, graph);
  return { file, agents: changes, scenario: { change: 'updated', version } };
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
