import type DataLoader from 'dataloader';
import { findDefaultAgent } from '../../agents/resolve.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Agent } from '../../generated/prisma/client.ts';
import type { RunRuntime } from '../runtime.ts';

/** The fields of a conversation that decide which agent answers next. */
export interface ActiveAgentChoice {
  readonly id: string;
  readonly scenarioId: string | null;
  readonly activeAgentId: string | null;
  readonly followsDefault: boolean;
  readonly activeAgent: Pick<Agent, 'isActive' | 'deletedAt'> | null;
}

/**
 * The agents that answer next in conversations, as the next turn would choose them (plan-turn.ts): the active agent if it
 * is active and still in the scenario; else the scenario's root if it is active, else nobody. Without a scenario, the
 * default agent is the last choice.
 * One statement for all conversations with a scenario; the default agent is cached.
 * @returns row ids in the order of the conversations; null: nobody
 */
export async function findActiveAgents(
  viewer: Viewer,
  runtime: RunRuntime,
  conversations: readonly ActiveAgentChoice[],
): Promise<(string | null)[]> {
  const placed = conversations.flatMap(({ scenarioId, activeAgentId }) =>
    scenarioId === null ? [] : [{ scenarioId, activeAgentId }],
  );
  const asked = placed.flatMap(({ activeAgentId }) => activeAgentId ?? []);
  const members =
    placed.length === 0
      ? []
      : await runtime.db.scenarioAgent.findMany({
          where: {
            tenantId: viewer.tenantId,
            scenarioId: { in: [...new Set(placed.map(({ scenarioId }) => scenarioId))] },
            OR: [{ isRoot: true }, { agentId: { in: [...new Set(asked)] } }],
            agent: { isActive: true, deletedAt: null },
          },
          select: { scenarioId: true, agentId: true, isRoot: true },
        });
  const usable = new Set(members.map(({ scenarioId, agentId }) => `${scenarioId}:${agentId}`));
  const roots = new Map(members.flatMap(({ scenarioId, agentId, isRoot }) => (isRoot ? [[scenarioId, agentId]] : [])));
  return Promise.all(
    conversations.map(({ scenarioId, activeAgentId, followsDefault, activeAgent }) => {
      if (scenarioId !== null) {
        if (activeAgentId !== null && usable.has(`${scenarioId}:${activeAgentId}`)) return activeAgentId;
        return roots.get(scenarioId) ?? null;
      }
      if (!followsDefault && activeAgent?.isActive && activeAgent.deletedAt === null) return activeAgentId;
      return findDefaultAgent(viewer, runtime.agents);
    }),
  );
}

/** The agent that answers next in a conversation; null: nobody. Batched over the conversations of an operation. */
export async function readActiveAgent(
  conversation: ActiveAgentChoice,
  loaders: {
    readonly activeAgents: DataLoader<ActiveAgentChoice, string | null, string>;
    readonly agents: DataLoader<string, Agent | null>;
  },
): Promise<Agent | null> {
  const id = await loaders.activeAgents.load(conversation);
  return id === null ? null : loaders.agents.load(id);
}
