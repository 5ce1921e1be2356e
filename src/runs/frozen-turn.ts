import { z } from 'zod';
import type { PausedTurn } from '../engine/paused-turn.ts';
import type { PlannedAgent } from '../engine/plan.ts';
import type { ModelEndpoint } from '../engine/ports.ts';
import { cleanJson } from '../engine/tool-result.ts';
import { type Guardrail, storedGuardrails } from '../guardrails/config.ts';
import type { FrozenOrchestration } from '../orchestration/plan-turn.ts';
import type { PlannedOrchestration } from '../orchestration/planned.ts';
import { orchestrationModes } from '../scenarios/orchestration.ts';
import { type FrozenEndpoint, freezeEndpoint, frozenEndpoint } from './frozen-endpoint.ts';
import type { PlannedTurn } from './planned-turn.ts';

const names = z.array(z.string()).readonly();
const record = z.record(z.string(), z.unknown());

const tool = z.object({
  name: z.string(),
  description: z.string(),
  parameters: record,
  timeoutMs: z.number(),
  maxResultLength: z.number(),
  requiresApproval: z.boolean(),
});

const agent = z.object({
  id: z.string(),
  name: z.string(),
  instructions: z.string(),
  endpoint: frozenEndpoint,
  temperature: z.number().nullable(),
  maxTokens: z.number().nullable(),
  /** By name; in states of earlier versions, the whole tool. */
  tools: z.array(z.union([z.string(), tool])).readonly(),
  /** Not set in states of earlier versions. */
  toolNotes: z.exactOptional(z.record(z.string(), z.string())),
  handoffs: z.array(z.object({ toolName: z.string(), toAgentId: z.string(), description: z.string() })).readonly(),
  /** Not set in states of earlier versions. */
  outputSchema: z.exactOptional(record),
});

/** What the turn gives its agents beside their instructions, once for all of them. Not set: nothing. */
const context = z.exactOptional(
  z.object({ text: z.string(), agentIds: names, references: z.record(z.string(), z.string()) }),
);

/** What its agents remember of the user, once for all of them. Not set: nothing. */
const memories = z.exactOptional(z.object({ text: z.string(), agentIds: names }));

const calls = z.array(z.object({ id: z.string(), name: z.string(), arguments: z.string() })).readonly();
const providerState = z.object({ agentId: z.string(), endpoint: z.string(), data: z.unknown() });
/** Images by the ids of their files: their rows never change. */
const attached = z.object({
  text: z.string(),
  images: z.array(z.object({ id: z.string(), name: z.string(), tokens: z.number() })).readonly(),
});
const historyItem = z.discriminatedUnion('role', [
  z.object({
    role: z.literal('user'),
    content: z.string(),
    attached: z.exactOptional(attached),
    isSteered: z.exactOptional(z.literal(true)),
  }),
  z.object({ role: z.literal('system'), content: z.string() }),
  z.object({
    role: z.literal('assistant'),
    content: z.string(),
    calls,
    state: z.exactOptional(providerState),
  }),
  z.object({ role: z.literal('tool'), callId: z.string(), output: z.string() }),
]);

const paused = z.object({
  agentId: z.string(),
  step: z.int(),
  history: z.array(historyItem).readonly(),
  content: z.string(),
  calls,
  state: z.exactOptional(providerState.nullable()),
  outputs: z.array(z.tuple([z.string(), z.string()]).readonly()).readonly(),
  usedCallIds: names,
  elapsedMs: z.number(),
});

const pauseState = z.object({
  agents: z.array(agent).readonly(),
  /** Each tool of the agents, once. */
  tools: z.array(tool).readonly().default([]),
  /** By name, the hashes of the tools of the waiting calls at the time when a person was asked. */
  definitions: z.record(z.string(), z.string()).default({}),
  /** By the id of their agent. Not set in states of earlier versions. */
  guardrails: z.record(z.string(), storedGuardrails).default({}),
  context,
  memories,
  paused,
});

const orchestration = z.object({
  scenarioId: z.string(),
  config: z.object({
    mode: z.enum(orchestrationModes),
    classifierAgentId: z.string().nullable(),
    threshold: z.number(),
    instructions: z.string().nullable(),
  }),
  candidates: z.array(z.object({ id: z.string(), name: z.string(), description: z.string().nullable() })).readonly(),
  rootAgentId: z.string().nullable(),
  fallbackAgentId: z.string(),
});

const runPlan = z.object({
  agents: z.array(agent).readonly(),
  tools: z.array(tool).readonly(),
  /** By name, the hashes of the tools. */
  definitions: z.record(z.string(), z.string()),
  /** By the id of their agent. Not set in plans of earlier versions. */
  guardrails: z.record(z.string(), storedGuardrails).default({}),
  context,
  memories,
  /** Not set if the agent that begins was chosen when the plan was written, and in plans of earlier versions. */
  orchestration: z.exactOptional(orchestration),
});

/** An agent of a run, as it was when the run began, without its key. */
interface FrozenAgent extends Omit<PlannedAgent, 'endpoint'> {
  readonly endpoint: FrozenEndpoint;
}

/** The plan of a run that has begun. */
export interface FrozenPlan {
  readonly agents: readonly FrozenAgent[];
  /** By name, the hashes (Tool.hashDefinition) of the tools when the run began. */
  readonly definitions: ReadonlyMap<string, string>;
  /** The references of its context snapshot, and their ids; unset: none. */
  readonly references?: Readonly<Record<string, string>>;
  /** The guardrails of the agents that have any, by row id, as they were when the run began. */
  readonly guardrails: ReadonlyMap<string, readonly Guardrail[]>;
}

/** The plan of a run as it is stored when it begins. */
export interface StoredPlan extends FrozenPlan {
  /** How the agent that begins is chosen; null: it was chosen when the plan was written. */
  readonly orchestration: FrozenOrchestration | null;
}

/** What a waiting run continues from. */
export interface PauseState extends FrozenPlan {
  /** By name, the hashes of the tools of the waiting calls when a person was asked; if known. */
  readonly definitions: ReadonlyMap<string, string>;
  readonly paused: PausedTurn;
}

type TurnToFreeze = Pick<PlannedTurn, 'agents' | 'tools' | 'guards' | 'references'>;

/**
 * The state of a waiting run, as JSON for its row. It holds no keys: they are looked up again when the run continues.
 * @param waiting the calls that a person has to decide on
 * @param environment the model provider of agents without a provider of their own
 */
export function writePauseState(
  { tools, ...turn }: TurnToFreeze,
  waiting: readonly { readonly name: string }[],
  paused: PausedTurn,
  environment: ModelEndpoint,
): string {
  const definitions = waiting.flatMap(({ name }) => {
    const hash = tools.get(name)?.hashDefinition();
    return hash === undefined ? [] : [[name, hash] as const];
  });
  const state: z.input<typeof pauseState> = {
    ...freezeAgents(turn, environment),
    definitions: Object.fromEntries(definitions),
    paused,
  };
  return JSON.stringify(cleanJson(JSON.stringify(state)));
}

/**
 * The plan of a turn that begins, as text for its row. It holds no keys: they are looked up again when another process
 * continues the run.
 * @param environment the model provider of agents without a provider of their own
 */
export function writePlan(
  { tools, orchestration: planned, ...turn }: TurnToFreeze & Pick<PlannedTurn, 'orchestration'>,
  environment: ModelEndpoint,
): string {
  const definitions = [...tools].map(([name, tool]) => [name, tool.hashDefinition()] as const);
  const plan: z.input<typeof runPlan> = {
    ...freezeAgents(turn, environment),
    definitions: Object.fromEntries(definitions),
    ...(planned && { orchestration: freezeOrchestration(planned) }),
  };
  return JSON.stringify(plan);
}

function freezeOrchestration({ classifier: _, ...frozen }: PlannedOrchestration): FrozenOrchestration {
  return frozen;
}

function freezeAgents({ agents, guards, references = {} }: Omit<TurnToFreeze, 'tools'>, environment: ModelEndpoint) {
  // A name belongs to one tool only, whichever agents have it.
  const planned = new Map([...agents.values()].flatMap((agent) => agent.tools.map((tool) => [tool.name, tool])));
  const informed = [...agents.values()].filter((agent) => agent.context !== undefined);
  const text = informed[0]?.context;
  const remembering = [...agents.values()].filter((agent) => agent.memories !== undefined);
  const remembered = remembering[0]?.memories;
  return {
    ...(remembered === undefined ? {} : { memories: { text: remembered, agentIds: remembering.map(({ id }) => id) } }),
    ...(text === undefined ? {} : { context: { text, references, agentIds: informed.map(({ id }) => id) } }),
    agents: [...agents.values()].map(({ context: _context, memories: _memories, ...agent }) => ({
      ...agent,
      endpoint: freezeEndpoint(agent.endpoint, environment),
      tools: agent.tools.map(({ name }) => name),
    })),
    tools: [...planned.values()],
    guardrails: Object.fromEntries([...guards].map(([agentId, list]) => [agentId, list.map(({ config }) => config)])),
  };
}

/**
 * Reads the state from its row.
 * @throws {z.ZodError} when the value is not a state
 */
export function readPauseState(stored: unknown): PauseState {
  const { paused, ...plan } = pauseState.parse(stored);
  return { ...thawAgents(plan), paused };
}

/**
 * Reads a plan from its row.
 * @throws {z.ZodError} {@link SyntaxError} when the text is not a plan
 */
export function readPlan(stored: string): StoredPlan {
  const plan = runPlan.parse(JSON.parse(stored));
  return { ...thawAgents(plan), orchestration: plan.orchestration ?? null };
}

function thawAgents({
  agents,
  tools,
  definitions,
  guardrails,
  context,
  memories,
}: z.output<typeof runPlan>): FrozenPlan {
  const named = new Map(tools.map((tool) => [tool.name, tool]));
  return {
    agents: agents.map((agent) => ({
      ...agent,
      ...(context?.agentIds.includes(agent.id) && { context: context.text }),
      ...(memories?.agentIds.includes(agent.id) && { memories: memories.text }),
      tools: agent.tools.flatMap((tool) => (typeof tool === 'string' ? (named.get(tool) ?? []) : tool)),
    })),
    definitions: new Map(Object.entries(definitions)),
    ...(context && { references: context.references }),
    guardrails: new Map(Object.entries(guardrails)),
  };
}
