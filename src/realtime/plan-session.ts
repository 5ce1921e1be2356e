import { type ResolvedAgent, requireLlm, resolveAgents } from '../agents/resolve.ts';
import { ConflictError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import { listFunctions } from '../engine/functions.ts';
import { type PlannedAgent, writeInstructions } from '../engine/plan.ts';
import type { ModelEndpoint, ToolSpec } from '../engine/ports.ts';
import type { RealtimeSession } from '../generated/prisma/client.ts';
import { type Guardrail, readGuardrails } from '../guardrails/config.ts';
import { nameHandoffs } from '../runs/plan/handoff-names.ts';
import { compileTurn } from '../runs/plan/plan-turn.ts';
import { loadScenarioGraph } from '../scenarios/load.ts';
import type { Tool } from '../tools/contract/tool.ts';
import type { RealtimeRuntime } from './runtime.ts';
import { chooseVoice } from './voice.ts';

/** An agent as a realtime session has it. */
export interface RealtimeAgent {
  readonly name: string;
  /** With what is remembered of the viewer, if it has a tool of memories: whoever takes over is told the same as the root. */
  readonly instructions: string;
  /** What it is for; null: nobody has said. */
  readonly handoffDescription: string | null;
  /** Null: the provider's own. */
  readonly voice: string | null;
  readonly tools: readonly Tool[];
  /** The names of the agents that it can hand over to. */
  readonly handoffs: readonly string[];
  /** The name of the function with which others hand over to it. */
  readonly transferTool: string;
}

/** The agents of a session as they are configured now. */
export interface SessionPlan {
  /** The row id of the root agent. */
  readonly rootAgentId: string;
  readonly scenarioVersion: number;
  /** The root first. */
  readonly agents: readonly RealtimeAgent[];
  /** Those of the scenario, then those of the root agent. */
  readonly guardrails: readonly Guardrail[];
  /** The model's provider of the root agent. */
  readonly endpoint: ModelEndpoint;
  /** The realtime model of the root agent. */
  readonly model: string;
  /** What the root agent can call: tools and handoffs. */
  readonly functions: readonly ToolSpec[];
}

/**
 * Compiles the agents of a session, as a turn compiles them: with the viewer's enabled tools and agents, and nothing that is
 * switched off. One statement, and one for each part of the configuration that is not cached.
 * @param from.rootAgentId the row id of the agent that begins; if it cannot, the root of the scenario does
 * @param from.memoriesOf the row id of the project of the conversation, which that of its scenario need not be: its memories are told
 * @throws {ForbiddenError} if the scenario is of a project in which the viewer may not write
 * @throws {ConflictError} if no agent of the scenario can begin, or the provider of the root agent cannot be used
 */
export async function planSession(
  viewer: Viewer,
  { runs, defaults }: RealtimeRuntime,
  from: { readonly scenarioId: string; readonly rootAgentId: string | null; readonly memoriesOf: string | null },
): Promise<SessionPlan> {
  const { tenantId, userId } = viewer;
  const stored = await runs.db.chatSettings.findUnique({
    where: { tenantId_userId: { tenantId, userId } },
    include: { enabledAgents: true },
  });
  // The model of the settings writes; it does not speak.
  const settings = stored && { ...stored, model: null };
  const { scenarioId, memoriesOf } = from;
  const scenario = await loadScenarioGraph(viewer, runs.db, runs.agents.config, scenarioId);
  if (scenario === null) throw new ConflictError('The scenario was deleted meanwhile. Choose another one.');
  const resolved = await resolveAgents(viewer, runs.agents, [...scenario.members.keys()]);
  const isUsable = (id: string | null) => id !== null && resolved.get(id)?.agent.isActive === true;
  const agentId = [from.rootAgentId, scenario.rootAgentId].find(isUsable) ?? null;
  if (agentId === null) throw new ConflictError('The root agent of the scenario is switched off. Choose another one.');
  // The agent is given, so that nothing is read of the conversation: a new one does not exist yet.
  const { projectId } = scenario;
  const active = { activeAgentId: agentId, followsDefault: false };
  const conversation = { id: '', projectId, scenarioId, ...active, user: { settings } };
  const turn = await compileTurn(viewer, runs, conversation, { ...emptyTurn(viewer), agentId }, { memoriesOf });
  const root = resolved.get(turn.startAgentId);
  const plannedRoot = turn.agents.get(turn.startAgentId);
  if (!root || !plannedRoot) throw new ConflictError('The root agent was deleted meanwhile. Choose another one.');

  const names = nameHandoffs(turn.agents.values());
  const rootFirst = [plannedRoot, ...[...turn.agents.values()].filter(({ id }) => id !== plannedRoot.id)];
  return {
    rootAgentId: plannedRoot.id,
    scenarioVersion: scenario.version,
    agents: rootFirst.map((agent) => ({
      name: agent.name,
      instructions: tellMemories(agent),
      handoffDescription: resolved.get(agent.id)?.agent.description ?? null,
      voice: chooseVoice(resolved.get(agent.id), defaults.voice),
      tools: agent.tools.flatMap(({ name }) => turn.tools.get(name) ?? []),
      handoffs: agent.handoffs.flatMap(({ toAgentId }) => turn.agents.get(toAgentId)?.name ?? []),
      transferTool: names.get(agent.id) ?? '',
    })),
    guardrails: [...scenario.guardrails, ...readGuardrails(root.agent.guardrails)],
    endpoint: requireLlm(root),
    model: chooseModel(root, defaults.model),
    functions: listFunctions(plannedRoot),
  };
}

/** As planSession, for a session that was started before. One statement more, where memories are switched on. */
export async function planStarted(
  viewer: Viewer,
  runtime: RealtimeRuntime,
  session: Pick<RealtimeSession, 'scenarioId' | 'rootAgentId' | 'conversationId'>,
): Promise<SessionPlan> {
  const { memory, db } = runtime.runs;
  const { tenantId } = viewer;
  const where = { id: session.conversationId, tenantId };
  const conversation = memory.isOn(tenantId)
    ? await db.conversation.findUnique({ where, select: { projectId: true } })
    : null;
  return planSession(viewer, runtime, { ...session, memoriesOf: conversation?.projectId ?? null });
}

function tellMemories({ instructions, memories }: PlannedAgent): string {
  return writeInstructions({ instructions, ...(memories !== undefined && { memories }) });
}

/** A turn that asks for nothing of its own. */
function emptyTurn({ roles }: Viewer) {
  return {
    onDisconnect: 'CONTINUE' as const,
    model: null,
    temperature: null,
    maxTokens: null,
    roles: [...roles],
  };
}

/** The agent's own model if that one speaks, else the server's. */
function chooseModel({ llm }: ResolvedAgent, usual: string): string {
  return llm !== null && /realtime/i.test(llm.model) ? llm.model : usual;
}
