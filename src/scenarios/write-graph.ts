import type { Prisma } from '../generated/prisma/client.ts';
import type { Guardrail } from '../guardrails/config.ts';
import { byServer, keepVersions } from './keep-versions.ts';
import { type Orchestration, writeOrchestration } from './orchestration.ts';

/** A checked graph to store: agents are row ids, in the order in which they are shown. */
export interface StoredGraph {
  readonly rootAgentId: string;
  readonly members: readonly {
    readonly agentId: string;
    readonly handoffs: readonly { readonly toAgentId: string; readonly description: string | null }[];
  }[];
}

/**
 * Replaces the graph of a scenario. Three statements.
 * @param tx a transaction that has locked the scenario’s row
 */
export async function replaceGraph(
  tx: Prisma.TransactionClient,
  tenantId: string,
  scenarioId: string,
  graph: StoredGraph,
): Promise<void> {
  // The foreign key deletes their edges.
  await tx.scenarioAgent.deleteMany({ where: { tenantId, scenarioId } });
  await insertGraphs(tx, tenantId, [{ scenarioId, graph }]);
}

/**
 * Stores the graphs of scenarios that have none. Two statements, whatever their size: the rows are sent as one JSON value,
 * because a statement can have 32,767 parameters only.
 */
async function insertGraphs(
  tx: Prisma.TransactionClient,
  tenantId: string,
  graphs: readonly { readonly scenarioId: string; readonly graph: StoredGraph }[],
): Promise<void> {
  const members = graphs.flatMap(({ scenarioId, graph }) =>
    graph.members.map(({ agentId }, position) => ({
      scenario_id: scenarioId,
      agent_id: agentId,
      is_root: agentId === graph.rootAgentId,
      position,
    })),
  );
  const edges = graphs.flatMap(({ scenarioId, graph }) =>
    graph.members.flatMap(({ agentId, handoffs }) =>
      handoffs.map(({ toAgentId, description }, position) => ({
        scenario_id: scenarioId,
        from_agent_id: agentId,
        to_agent_id: toAgentId,
        description,
        position,
      })),
    ),
  );
  await tx.$executeRaw`
    INSERT INTO scenario_agents (tenant_id, scenario_id, agent_id, is_root, position)
    SELECT ${tenantId}, scenario_id, agent_id, is_root, position
    FROM jsonb_to_recordset(${JSON.stringify(members)}::jsonb)
      AS row(scenario_id uuid, agent_id uuid, is_root boolean, position integer)`;
  await tx.$executeRaw`
    INSERT INTO handoff_edges (scenario_id, from_agent_id, to_agent_id, description, position)
    SELECT scenario_id, from_agent_id, to_agent_id, description, position
    FROM jsonb_to_recordset(${JSON.stringify(edges)}::jsonb)
      AS row(scenario_id uuid, from_agent_id uuid, to_agent_id uuid, description text, position integer)`;
}

/** A checked scenario for all projects, to add with its graph. */
export interface ScenarioDraft {
  readonly key: string;
  readonly name: string;
  readonly description: string | null;
  /** Their classifiers are row ids. */
  readonly guardrails: readonly Guardrail[];
  /** Its classifier is a row id. */
  readonly orchestration: Orchestration;
  readonly graph: StoredGraph;
}

/**
 * Adds those scenarios whose keys the tenant does not have yet, outside projects. Five statements at most.
 * @param tx a transaction that has locked the tenant's row
 */
export async function addMissingScenarios(
  tx: Prisma.TransactionClient,
  tenantId: string,
  scenarios: readonly ScenarioDraft[],
): Promise<void> {
  const present = await tx.scenario.findMany({ where: { tenantId, projectId: null }, select: { key: true } });
  const keys = new Set(present.map(({ key }) => key));
  const missing = scenarios.filter(({ key }) => !keys.has(key));
  if (missing.length === 0) return;
  const start = Date.now();
  const added = await tx.scenario.createManyAndReturn({
    data: missing.map(({ key, name, description, guardrails, orchestration }, index) => ({
      tenantId,
      key,
      name,
      description,
      guardrails: [...guardrails],
      ...writeOrchestration(orchestration),
      // Lists are ordered by age: this keeps the order of the file.
      createdAt: new Date(start + index),
    })),
    select: { id: true, key: true },
  });
  const ids = new Map(added.map(({ key, id }) => [key, id]));
  const graphs = missing.flatMap(({ key, graph }) => {
    const scenarioId = ids.get(key);
    return scenarioId === undefined ? [] : [{ scenarioId, graph }];
  });
  await insertGraphs(tx, tenantId, graphs);
  const scenarioIds = added.map(({ id }) => id);
  await keepVersions(tx, tenantId, scenarioIds, byServer);
}
