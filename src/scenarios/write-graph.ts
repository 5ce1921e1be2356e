import type { Prisma } from '../generated/prisma/client.ts';

/** A graph to store: agents are row ids, in the order in which they are shown. It was checked before. */
export interface StoredGraph {
  readonly rootAgentId: string;
  readonly members: readonly {
    readonly agentId: string;
    readonly handoffs: readonly { readonly toAgentId: string; readonly description: string | null }[];
  }[];
}

/**
 * Puts a graph in the place of the one that a scenario had. Three statements, however large it is: rows come as one JSON
 * value, because a statement has room for 32,767 parameters only.
 * @param tx the transaction that holds the scenario’s row
 */
export async function replaceGraph(
  tx: Prisma.TransactionClient,
  tenantId: string,
  scenarioId: string,
  graph: StoredGraph,
): Promise<void> {
  const members = graph.members.map(({ agentId }, position) => ({
    agent_id: agentId,
    is_root: agentId === graph.rootAgentId,
    position,
  }));
  const edges = graph.members.flatMap(({ agentId, handoffs }) =>
    handoffs.map(({ toAgentId, description }, position) => ({
      from_agent_id: agentId,
      to_agent_id: toAgentId,
      description,
      position,
    })),
  );
  // Their edges go with them.
  await tx.scenarioAgent.deleteMany({ where: { tenantId, scenarioId } });
  await tx.$executeRaw`
    INSERT INTO scenario_agents (tenant_id, scenario_id, agent_id, is_root, position)
    SELECT ${tenantId}, ${scenarioId}::uuid, agent_id, is_root, position
    FROM jsonb_to_recordset(${JSON.stringify(members)}::jsonb) AS row(agent_id uuid, is_root boolean, position integer)`;
  await tx.$executeRaw`
    INSERT INTO handoff_edges (scenario_id, from_agent_id, to_agent_id, description, position)
    SELECT ${scenarioId}::uuid, from_agent_id, to_agent_id, description, position
    FROM jsonb_to_recordset(${JSON.stringify(edges)}::jsonb)
      AS row(from_agent_id uuid, to_agent_id uuid, description text, position integer)`;
}
