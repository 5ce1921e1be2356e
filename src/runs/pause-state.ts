import { z } from 'zod';
import type { PausedTurn } from '../engine/paused-turn.ts';
import type { PlannedAgent } from '../engine/plan.ts';
import type { ModelEndpoint } from '../engine/ports.ts';
import { cleanJson } from '../engine/tool-result.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import { jsonInput } from './json.ts';

const names = z.array(z.string()).readonly();
const record = z.record(z.string(), z.unknown());

const api = z.enum(['RESPONSES', 'CHAT_COMPLETIONS']);

/** The model provider of an agent. That of the environment is the operator's: where it is now, the run goes on. */
const endpoint = z.discriminatedUnion('of', [
  z.object({
    of: z.literal('ENVIRONMENT'),
    /** Null: what the environment says. */
    api: api.nullable(),
    model: z.string().nullable(),
    options: record.nullable(),
  }),
  // Loose: what an endpoint may come to have beside this is kept as it is.
  z.looseObject({
    of: z.literal('AGENT'),
    api,
    apiUrl: z.string(),
    model: z.string(),
    path: z.exactOptional(z.string()),
    query: z.exactOptional(z.record(z.string(), z.string())),
    keyStyle: z.exactOptional(z.enum(['bearer', 'api-key'])),
    options: z.exactOptional(record),
    guarded: z.exactOptional(z.boolean()),
  }),
]);
type FrozenEndpoint = z.output<typeof endpoint>;

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
  endpoint,
  temperature: z.number(),
  maxTokens: z.number(),
  tools: z.array(tool).readonly(),
  handoffs: z.array(z.object({ toolName: z.string(), toAgentId: z.string(), description: z.string() })).readonly(),
});

const calls = z.array(z.object({ id: z.string(), name: z.string(), arguments: z.string() })).readonly();
const historyItem = z.discriminatedUnion('role', [
  z.object({ role: z.literal('user'), content: z.string() }),
  z.object({ role: z.literal('system'), content: z.string() }),
  z.object({ role: z.literal('assistant'), content: z.string(), calls }),
  z.object({ role: z.literal('tool'), callId: z.string(), output: z.string() }),
]);

const paused = z.object({
  agentId: z.string(),
  step: z.int(),
  history: z.array(historyItem).readonly(),
  content: z.string(),
  calls,
  outputs: z.array(z.tuple([z.string(), z.string()]).readonly()).readonly(),
  usedCallIds: names,
  elapsedMs: z.number(),
});

const pauseState = z.object({ agents: z.array(agent).readonly(), paused });

/** What a run that waits goes on from: its agents as they were when it began, without keys, and where it stands. */
export type PauseState = z.output<typeof pauseState>;

/**
 * The state of a run that waits, for its row. No key is in it: when the run goes on, they are looked up again.
 * @param environment the model provider of agents that have none of their own
 */
export function writePauseState(
  agents: ReadonlyMap<string, PlannedAgent>,
  turn: PausedTurn,
  environment: ModelEndpoint,
): Prisma.InputJsonValue {
  const frozen = [...agents.values()].map(({ endpoint, ...agent }) => ({
    ...agent,
    endpoint: freezeEndpoint(endpoint, environment),
  }));
  const state: PauseState = { agents: frozen, paused: turn };
  return jsonInput.parse(cleanJson(JSON.stringify(state)));
}

function freezeEndpoint({ apiKey: _key, ...endpoint }: ModelEndpoint, environment: ModelEndpoint): FrozenEndpoint {
  if (!isOfEnvironment(endpoint)) return { of: 'AGENT', ...endpoint };
  const { api, model, options } = endpoint;
  return {
    of: 'ENVIRONMENT',
    api: api === environment.api ? null : api,
    model: model === environment.model ? null : model,
    options: options ? { ...options } : null,
  };
}

/**
 * An endpoint with its key, which goes to the address that it was given for and to no other.
 * @param own that of the agent as it is now; undefined: the agent is gone
 * @param environment the model provider of agents that have none of their own
 */
export function thawEndpoint(
  frozen: FrozenEndpoint,
  own: ModelEndpoint | undefined,
  environment: ModelEndpoint,
): ModelEndpoint {
  if (frozen.of === 'ENVIRONMENT') {
    const { apiKey, keyStyle } = own && isOfEnvironment(own) ? own : environment;
    return {
      ...environment,
      apiKey,
      ...(keyStyle === undefined ? {} : { keyStyle }),
      api: frozen.api ?? environment.api,
      model: frozen.model ?? environment.model,
      ...(frozen.options === null ? {} : { options: frozen.options }),
    };
  }
  const { of: _of, ...endpoint } = frozen;
  const same = own && !isOfEnvironment(own) && new URL(own.apiUrl).origin === new URL(endpoint.apiUrl).origin;
  return { ...endpoint, apiKey: same ? own.apiKey : '' };
}

/** Whether it is where the environment says, also where the agent has a model or a key of its own there. */
function isOfEnvironment({ guarded }: Pick<ModelEndpoint, 'guarded'>): boolean {
  return guarded !== true;
}

/**
 * The state out of its row.
 * @throws {z.ZodError} when that does not hold one
 */
export function readPauseState(stored: unknown): PauseState {
  return pauseState.parse(stored);
}
