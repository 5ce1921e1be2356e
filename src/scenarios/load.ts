import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { ConfigurationCache } from '../database/configuration-cache.ts';
import { type Guardrail, readGuardrails } from '../guardrails/config.ts';
import { type Orchestration, readOrchestration } from './orchestration.ts';

/** A scenario as turns use it. Agents are row ids. */
export interface ScenarioGraph {
  readonly id: string;
  readonly version: number;
  /** The row id of its project; null: all projects can use it. */
  readonly projectId: string | null;
  readonly rootAgentId: string | null;
  /** The guardrails of all members. */
  readonly guardrails: readonly Guardrail[];
  /** How the agent that answers is chosen. */
  readonly orchestration: Orchestration;
  readonly members: ReadonlyMap<string, { readonly handoffs: readonly GraphEdge[] }>;
}

/** A handoff that a scenario allows. */
export interface GraphEdge {
  readonly toAgentId: string;
  /** When to hand off, for the model. */
  readonly description: string | null;
}

/**
 * Loads a scenario of the viewer's tenant by its row id, from the cache; one statement if it is not cached.
 * @returns null: it does not exist
 */
export function loadScenarioGraph(
  viewer: Viewer,
  db: Db,
  config: ConfigurationCache,
  id: string,
): Promise<ScenarioGraph | null> {
  const { tenantId } = viewer;
  return config.get(tenantId, `scenario:${id}`, async () => {
    const row = await db.scenario.findFirst({
      where: { tenantId, id },
      include: {
        agents: {
          orderBy: [{ isRoot: 'desc' }, { position: 'asc' }],
          include: { handoffs: { orderBy: { position: 'asc' } } },
        },
      },
    });
    if (row === null) return null;
    return {
      id: row.id,
      version: row.version,
      projectId: row.projectId,
      guardrails: readGuardrails(row.guardrails),
      orchestration: readOrchestration(row),
      rootAgentId: row.agents.find((member) => member.isRoot)?.agentId ?? null,
      members: new Map(
        row.agents.map(({ agentId, handoffs }) => [
          agentId,
          { handoffs: handoffs.map(({ toAgentId, description }) => ({ toAgentId, description })) },
        ]),
      ),
    };
  });
}
