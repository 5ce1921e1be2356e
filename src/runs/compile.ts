import { visibleAgents } from '../access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { StoredRoutingDecision } from '../conversations/routing-decision.ts';
import type { Db } from '../db.ts';
import type { PlannedAgent, PlannedHandoff } from '../engine/plan.ts';
import type { ModelEndpoint } from '../engine/ports.ts';
import { BadUserInputError, ConflictError } from '../errors.ts';
import type { Agent, Prisma } from '../generated/prisma/client.ts';
import { describeTools } from '../tools/registry.ts';
import { resolveEndpoint } from './endpoint.ts';
import type { StoredTurn } from './input.ts';

/** What a turn is compiled from, in one statement. */
export const conversationForTurn = {
  scenario: { include: { agents: { include: { agent: true, handoffs: true } } } },
  activeAgent: true,
  user: { select: { settings: { include: { enabledAgents: true } } } },
} satisfies Prisma.ConversationInclude;

export type ConversationForTurn = Prisma.ConversationGetPayload<{ include: typeof conversationForTurn }>;

/** The rows that a turn needs, frozen: edits do not reach a turn that is running. */
export interface CompiledTurn {
  readonly agents: ReadonlyMap<string, PlannedAgent>;
  readonly startAgentId: string;
  readonly routing: StoredRoutingDecision;
}

/**
 * Freezes the agents of a turn: who has the floor, who can be handed to, with which model, tools and settings.
 * Reads no more than that, but the agent that was asked for or the default one where there is no scenario.
 *
 * @throws {BadUserInputError} when the agent that was asked for cannot have the floor
 * @throws {ConflictError} when there is no agent that could answer
 */
export async function compileTurn(
  viewer: Viewer,
  db: Db,
  conversation: ConversationForTurn,
  stored: StoredTurn,
  fallback: ModelEndpoint,
): Promise<CompiledTurn> {
  const { settings } = conversation.user;
  const members = conversation.scenario?.agents ?? [];
  const usable = new Map<string, Agent>(
    members.map(({ agent }) => [agent.id, agent] as const).filter(([, agent]) => agent.isActive && !agent.deletedAt),
  );
  const root = members.find((member) => member.isRoot)?.agent ?? null;
  const floor = await chooseFloor(viewer, db, conversation, stored, usable, root);
  usable.set(floor.agent.id, floor.agent);

  const enabled = new Set(settings?.enabledAgents.map((entry) => entry.agentId) ?? []);
  const reachable = (id: string) => usable.has(id) && (enabled.size === 0 || enabled.has(id));
  const enabledTools = new Set(settings?.enabledTools ?? []);

  const agents = new Map<string, PlannedAgent>();
  for (const agent of usable.values()) {
    const edges = members.find((member) => member.agentId === agent.id)?.handoffs ?? [];
    const endpoint = resolveEndpoint(agent.llm, fallback);
    const model = stored.model ?? settings?.model ?? endpoint.model;
    agents.set(agent.id, {
      id: agent.id,
      name: agent.name,
      instructions: agent.instructions,
      endpoint: { ...endpoint, model },
      temperature: stored.temperature ?? settings?.temperature ?? 0.7,
      maxTokens: stored.maxTokens ?? settings?.maxTokens ?? 2_000,
      tools: describeTools(agent.toolNames).filter((tool) => enabledTools.size === 0 || enabledTools.has(tool.name)),
      handoffs: planHandoffs(
        edges.filter((edge) => reachable(edge.toAgentId)).sort((a, b) => a.position - b.position),
        usable,
      ),
    });
  }

  const start = agents.get(floor.agent.id);
  if (!start) throw new Error('The agent with the floor is not in its own plan.');
  return {
    agents,
    startAgentId: start.id,
    routing: {
      rootAgentId: root?.id ?? start.id,
      selectedAgentIds: [start.id],
      selectedTools: start.tools.map((tool) => tool.name),
      confidence: 1,
      reasoning: floor.reasoning,
      alternatives: start.handoffs.flatMap((handoff) => usable.get(handoff.toAgentId)?.name ?? []),
    },
  };
}

/** The name of the transfer tool to an agent: `transfer_to_` and its name in snake case. */
export function handoffToolName(agentName: string): string {
  const slug = agentName
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
  // Providers allow 64 characters in the name of a function.
  return `transfer_to_${slug || 'agent'}`.slice(0, 60);
}

function planHandoffs(
  edges: readonly { toAgentId: string; description: string | null }[],
  agents: ReadonlyMap<string, Agent>,
): PlannedHandoff[] {
  const taken = new Set<string>();
  return edges.flatMap((edge) => {
    const to = agents.get(edge.toAgentId);
    if (!to) return [];
    const name = handoffToolName(to.name);
    let toolName = name;
    for (let n = 2; taken.has(toolName); n++) toolName = `${name}_${n}`;
    taken.add(toolName);
    const purpose = edge.description ?? to.description;
    const description = `Hands the conversation over to ${to.name}.${purpose ? ` ${purpose}` : ''}`;
    return [{ toolName, toAgentId: to.id, description }];
  });
}

interface Floor {
  readonly agent: Agent;
  readonly reasoning: string;
}

async function chooseFloor(
  viewer: Viewer,
  db: Db,
  conversation: ConversationForTurn,
  stored: StoredTurn,
  members: ReadonlyMap<string, Agent>,
  root: Agent | null,
): Promise<Floor> {
  if (stored.agentId !== null) {
    const asked =
      members.get(stored.agentId) ??
      (conversation.scenarioId === null
        ? await db.agent.findFirst({ where: { ...visibleAgents(viewer), id: stored.agentId, isActive: true } })
        : null);
    if (!asked) {
      const where =
        conversation.scenarioId === null
          ? 'an active agent of yours'
          : "an active agent of the conversation's scenario";
      throw new BadUserInputError(`input.agentId is not ${where}.`, ['input', 'agentId']);
    }
    return { agent: asked, reasoning: 'The request gave the floor to this agent.' };
  }
  const current = conversation.activeAgent;
  if (current?.isActive && !current.deletedAt && (conversation.scenarioId === null || members.has(current.id))) {
    return { agent: current, reasoning: 'The agent had the floor already.' };
  }
  if (root && members.has(root.id)) return { agent: root, reasoning: 'The root of the scenario begins.' };
  const fallback = await db.agent.findFirst({
    where: { ...visibleAgents(viewer), isActive: true, isDefault: true },
    // The viewer's own default before the tenant's: nulls come last in ascending order.
    orderBy: { ownerId: { sort: 'asc', nulls: 'last' } },
  });
  if (!fallback) throw new ConflictError('There is no active agent that could answer.');
  return { agent: fallback, reasoning: 'The default agent answers where nothing else was chosen.' };
}
