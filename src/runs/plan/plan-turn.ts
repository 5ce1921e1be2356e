import { readOutputSchema } from '../../agents/output-schema.ts';
import { planGuards } from '../../agents/plan-guards.ts';
import { findDefaultAgent, type ResolvedAgent, requireLlm, resolveAgents } from '../../agents/resolve.ts';
import { isInProject } from '../../agents/visible.ts';
import { BadUserInputError, ConflictError } from '../../api/errors.ts';
import { badInput } from '../../api/input.ts';
import { belongsTo } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { resolveReferences } from '../../context/tool-references.ts';
import { defaultSettings } from '../../conversations/settings.ts';
import type { PlannedAgent, PlannedHandoff, PlannedTool } from '../../engine/plan.ts';
import type { ModelEndpoint } from '../../engine/ports.ts';
import type { ChatSettings, Conversation, Prisma } from '../../generated/prisma/client.ts';
import { readGuardrails } from '../../guardrails/config.ts';
import { requireProjectCached } from '../../projects/access.ts';
import { findContextTokens } from '../../providers/llm/context-windows.ts';
import { type GivenSettings, overrideSettings } from '../../providers/llm/turn-settings.ts';
import { type GraphEdge, loadScenarioGraph, type ScenarioGraph } from '../../scenarios/load.ts';
import type { Tool } from '../../tools/contract/tool.ts';
import type { StoredTurn } from '../input.ts';
import type { CompiledTurn } from '../planned-turn.ts';
import type { RunRuntime } from '../runtime.ts';
import { giveContext } from './give-context.ts';
import { nameHandoffs } from './handoff-names.ts';
import { planChoice } from './plan-choice.ts';
import { tellAgentsOfBases } from './tell-bases.ts';
import { isOffered, tellAgentsOfMemories } from './tell-memories.ts';

/** Tools and handoffs that a model can be offered in one request, at OpenAI, Azure and Groq. */
const maxFunctions = 128;

/** What a turn is compiled from, in addition to the cached configuration of the tenant; in one statement. */
export const conversationForTurn = {
  user: { select: { settings: { include: { enabledAgents: true } } } },
} satisfies Prisma.ConversationInclude;

/** The settings of a viewer, as far as a turn is compiled from them. */
interface TurnSettings extends Pick<ChatSettings, 'model' | 'temperature' | 'maxTokens' | 'enabledTools'> {
  readonly enabledAgents: readonly { readonly agentId: string }[];
}

export interface ConversationForTurn
  extends Pick<Conversation, 'id' | 'projectId' | 'scenarioId' | 'activeAgentId' | 'followsDefault'> {
  /** Null: the defaults. */
  readonly user: { readonly settings: TurnSettings | null };
}

/**
 * Freezes the agents of a turn: the active agent, the agents that it can hand off to, and their models, tools and
 * settings. Everything but the conversation is read from the cache if it is there.
 *
 * @param options.hasWaited whether it comes out of the queue: its context snapshot may have expired meanwhile
 * @param options.memoriesOf the row id of the project whose memories agents are told; null: of none. Default: that of the conversation
 * @throws {BadUserInputError} when the agent that was asked for cannot be the active agent
 * @throws {NotFoundError} {@link ForbiddenError} for the context snapshot, and for the project of the conversation
 * @throws {ConflictError} when the project is archived, no agent can answer, or the stored model configuration of the agent is invalid
 */
export async function compileTurn(
  viewer: Viewer,
  runtime: RunRuntime,
  conversation: ConversationForTurn,
  stored: StoredTurn,
  {
    hasWaited = false,
    memoriesOf = conversation.projectId,
  }: { readonly hasWaited?: boolean; readonly memoriesOf?: string | null } = {},
): Promise<CompiledTurn> {
  const { settings } = conversation.user;
  const { projectId } = conversation;
  if (projectId !== null) await requireProjectCached(viewer, runtime.agents, projectId, 'EDITOR');
  const scenario = conversation.scenarioId
    ? await loadScenarioGraph(viewer, runtime.db, runtime.agents.config, conversation.scenarioId)
    : null;
  if (scenario && !isInProject(scenario, projectId))
    throw new ConflictError('The scenario of the conversation is for another project now: choose another scenario.');
  const members = await resolveAgents(viewer, runtime.agents, [...(scenario?.members.keys() ?? [])]);
  const active = new Map([...members].filter(([, { agent }]) => agent.isActive));
  const choice = await chooseActiveAgent(viewer, runtime, conversation, stored, scenario, active);
  requireLlm(choice.resolved);
  assertModelAllowed(choice.resolved, stored.model, settings?.model ?? null);
  // An agent whose provider cannot be resolved cannot be handed off to.
  const usable = new Map([...active].filter(([, { llm }]) => llm !== null));
  usable.set(choice.resolved.agent.id, choice.resolved);

  const enabled = new Set(settings?.enabledAgents.map((entry) => entry.agentId) ?? []);
  const reachable = (id: string) => usable.has(id) && (enabled.size === 0 || enabled.has(id));
  const enabledTools = new Set(settings?.enabledTools ?? []);
  const named = [...usable.values()].flatMap(({ agent }) => agent.toolNames);
  const tools = new Map((await runtime.tools.findTools(viewer, [...new Set(named)])).map((tool) => [tool.name, tool]));

  const handoffNames = nameHandoffs([...usable.values()].map(({ agent }) => agent));
  const explicit = findExplicitSettings(stored, settings);
  const agents = new Map<string, PlannedAgent>();
  for (const resolved of usable.values()) {
    const { agent } = resolved;
    const llm = requireLlm(resolved);
    const edges = scenario?.members.get(agent.id)?.handoffs ?? [];
    const chosen = stored.model ?? settings?.model ?? null;
    // The active agent was checked before; an agent that it hands off to keeps its own model.
    const model = chosen !== null && isModelAllowed(resolved, chosen) ? chosen : llm.model;
    const handoffs = planHandoffs(
      edges.filter((edge) => reachable(edge.toAgentId)),
      usable,
      handoffNames,
    );
    const own = agent.toolNames
      .flatMap((name) => tools.get(name) ?? [])
      .filter((tool) => isOffered(viewer, runtime, tool) && (enabledTools.size === 0 || enabledTools.has(tool.name)));
    const offered = own.slice(0, Math.max(0, maxFunctions - handoffs.length));
    if (offered.length < own.length) {
      const leftOut = own.length - offered.length;
      runtime.logger.warn(
        { agentId: agent.id, leftOut },
        'left out tools of an agent: a model can be offered no more functions',
      );
    }
    const outputSchema = readOutputSchema(agent.outputSchema);
    agents.set(agent.id, {
      id: agent.id,
      name: agent.name,
      instructions: agent.instructions,
      endpoint: {
        ...withModel(llm, model),
        ...(llm.options && { options: overrideSettings(llm.options, explicit) }),
      },
      temperature: explicit.temperature,
      maxTokens: explicit.maxTokens,
      tools: offered.map(planTool),
      handoffs,
      ...(outputSchema && { outputSchema }),
    });
  }

  await tellAgentsOfBases(viewer, runtime, agents, projectId);
  await tellAgentsOfMemories(viewer, runtime, agents, memoriesOf);

  // Those of the scenario come first: all its agents have them.
  const guardrails = [...usable.values()].map(({ agent }) => {
    return [agent.id, [...(scenario?.guardrails ?? []), ...readGuardrails(agent.guardrails)]] as const;
  });
  const start = agents.get(choice.resolved.agent.id);
  if (!start) throw new Error('The active agent is missing in its own plan.');
  const candidates = [...usable.values()].flatMap(({ agent }) => {
    const { id, name, description } = agent;
    return id === start.id || reachable(id) ? [{ id, name, description }] : [];
  });
  const orchestrated =
    scenario && stored.agentId === null
      ? await planChoice(viewer, runtime, conversation.id, { scenario, candidates, fallbackAgentId: start.id, members })
      : null;
  const classifier = orchestrated?.resolved ?? null;
  if (classifier !== null && !usable.has(classifier.agent.id)) {
    const list = [...(scenario?.guardrails ?? []), ...readGuardrails(classifier.agent.guardrails)];
    guardrails.push([classifier.agent.id, list]);
    usable.set(classifier.agent.id, classifier);
  }
  const guards = await planGuards(viewer, runtime.agents, new Map(guardrails), usable);
  // If a classifier chooses who begins, it may be any of them.
  const mayBegin = orchestrated ? [...agents.values()] : [start];
  const references = await giveContext(viewer, runtime.db, agents, {
    snapshotId: stored.contextSnapshotId,
    mayBegin,
    hasWaited,
  });
  return {
    agents,
    orchestration: orchestrated?.planned ?? null,
    guards,
    tools: resolveReferences(tools, references),
    ...(references && { references }),
    startAgentId: start.id,
    scenario: scenario && { id: scenario.id, version: scenario.version },
    routing: {
      rootAgentId: scenario?.rootAgentId ?? start.id,
      selectedAgentIds: [start.id],
      selectedTools: start.tools.map((tool) => tool.name),
      confidence: 1,
      reasoning: choice.reasoning,
      alternatives: start.handoffs.flatMap((handoff) => usable.get(handoff.toAgentId)?.agent.name ?? []),
    },
  };
}

function isModelAllowed({ allowedModels }: ResolvedAgent, model: string): boolean {
  return allowedModels === null || allowedModels.has(model);
}

/**
 * @param ofTurn the model that the turn asks for; null: none
 * @param ofSettings the model of the viewer's settings, if the turn asks for none; null: none
 * @throws {BadUserInputError} {@link ConflictError} when the agent uses the operator's key, which may not be used for it
 */
function assertModelAllowed(resolved: ResolvedAgent, ofTurn: string | null, ofSettings: string | null): void {
  const model = ofTurn ?? ofSettings;
  if (model === null || isModelAllowed(resolved, model)) return;
  const allowed = [...(resolved.allowedModels ?? [])].join(', ');
  const why = `must be one of ${allowed}: the agent uses the key of this server`;
  if (ofTurn !== null) throw badInput(['input', 'model'], why);
  throw new ConflictError(
    `The model ${JSON.stringify(model)} of your settings ${why}. Choose another with updateChatSettings.`,
  );
}

/**
 * The settings that override the agent's own `options`: those of the turn, else those of the viewer's chatSettings that
 * differ from the defaults. The columns have defaults and cannot be null, so a default counts as not set.
 */
function findExplicitSettings(stored: StoredTurn, settings: TurnSettings | null): GivenSettings {
  const changed = (name: 'temperature' | 'maxTokens') => {
    const value = settings?.[name] ?? defaultSettings[name];
    return value === defaultSettings[name] ? null : value;
  };
  return {
    temperature: stored.temperature ?? changed('temperature'),
    maxTokens: stored.maxTokens ?? changed('maxTokens'),
  };
}

/** An endpoint with the model of a turn, whose context window may be another. */
function withModel(endpoint: ModelEndpoint, model: string): ModelEndpoint {
  if (model === endpoint.model) return endpoint;
  const { contextTokens: _other, ...rest } = endpoint;
  const contextTokens = findContextTokens(model);
  return { ...rest, model, ...(contextTokens === null ? {} : { contextTokens }) };
}

/** A tool as a plan has it. */
export function planTool(tool: Tool): PlannedTool {
  const { name, description, parameters, timeoutMs, maxResultLength, requiresApproval } = tool;
  return { name, description, parameters, timeoutMs, maxResultLength, requiresApproval };
}

function planHandoffs(
  edges: readonly GraphEdge[],
  agents: ReadonlyMap<string, ResolvedAgent>,
  names: ReadonlyMap<string, string>,
): PlannedHandoff[] {
  return edges.flatMap((edge) => {
    const to = agents.get(edge.toAgentId)?.agent;
    const toolName = names.get(edge.toAgentId);
    if (!to || toolName === undefined) return [];
    const purpose = edge.description ?? to.description;
    const description = `Hands the conversation over to ${to.name}.${purpose ? ` ${purpose}` : ''}`;
    return [{ toolName, toAgentId: to.id, description }];
  });
}

interface AgentChoice {
  readonly resolved: ResolvedAgent;
  readonly reasoning: string;
}

async function chooseActiveAgent(
  viewer: Viewer,
  runtime: RunRuntime,
  conversation: ConversationForTurn,
  stored: StoredTurn,
  scenario: ScenarioGraph | null,
  members: ReadonlyMap<string, ResolvedAgent>,
): Promise<AgentChoice> {
  const findUsable = async (id: string | null) => {
    if (id === null) return null;
    const resolved = members.get(id) ?? (await resolveAgents(viewer, runtime.agents, [id])).get(id);
    if (!resolved?.agent.isActive || !isInProject(resolved.agent, conversation.projectId)) return null;
    const { tenantId, ownerId } = resolved.agent;
    return belongsTo(viewer, { tenantId, userId: ownerId }) ? resolved : null;
  };
  if (stored.agentId !== null) {
    const asked = scenario ? members.get(stored.agentId) : await findUsable(stored.agentId);
    if (!asked) {
      const where = scenario ? "an active agent of the conversation's scenario" : 'an active agent of yours';
      throw new BadUserInputError(`input.agentId is not ${where}.`, ['input', 'agentId']);
    }
    return { resolved: asked, reasoning: 'The request names this agent.' };
  }
  const { activeAgentId, followsDefault } = conversation;
  const current = scenario
    ? activeAgentId === null
      ? null
      : members.get(activeAgentId)
    : followsDefault
      ? null
      : await findUsable(activeAgentId);
  if (current) return { resolved: current, reasoning: 'The agent was already the active agent.' };
  const root = scenario?.rootAgentId ? members.get(scenario.rootAgentId) : null;
  if (root) return { resolved: root, reasoning: 'The root of the scenario begins.' };
  if (scenario) {
    throw new ConflictError(
      "The root agent of the conversation's scenario is switched off. Name another member with agentId, or ask an admin to switch it on.",
    );
  }
  const fallback = await findUsable(await findDefaultAgent(viewer, runtime.agents));
  if (fallback)
    return {
      resolved: fallback,
      reasoning: 'The default agent answers: the conversation has neither a scenario nor an agent.',
    };
  throw new ConflictError('There is no active agent that could answer.');
}
