import { z } from 'zod';
import type { ModelEndpoint } from '../engine/ports.ts';

const record = z.record(z.string(), z.unknown());

const api = z.enum(['RESPONSES', 'CHAT_COMPLETIONS']);

/** The model provider of an agent. The environment's provider is the operator's: the run continues with its current address. */
export const frozenEndpoint = z.discriminatedUnion('of', [
  z.object({
    of: z.literal('ENVIRONMENT'),
    /** Null: the environment's. */
    api: api.nullable(),
    model: z.string().nullable(),
    options: record.nullable(),
    /** Whether its key was the agent's own. Not set in states of earlier versions. */
    ownKey: z.exactOptional(z.boolean()),
  }),
  // Loose: fields that later versions add to an endpoint are stored as they are.
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
export type FrozenEndpoint = z.output<typeof frozenEndpoint>;

/** An endpoint without its key. @param environment the model provider of agents without a provider of their own */
export function freezeEndpoint({ apiKey, ...endpoint }: ModelEndpoint, environment: ModelEndpoint): FrozenEndpoint {
  if (!isOfEnvironment(endpoint)) return { of: 'AGENT', ...endpoint };
  const { api, model, options } = endpoint;
  return {
    of: 'ENVIRONMENT',
    api: api === environment.api ? null : api,
    model: model === environment.model ? null : model,
    options: options ? { ...options } : null,
    // An agent whose own key equals the environment's continues with that key.
    ownKey: apiKey !== environment.apiKey,
  };
}

/**
 * An endpoint with its key, which is sent only to the address that it was set for.
 * @param own the agent's current endpoint; undefined: the agent is gone
 * @param environment the model provider of agents without a provider of their own
 */
export function thawEndpoint(
  frozen: FrozenEndpoint,
  own: ModelEndpoint | undefined,
  environment: ModelEndpoint,
): ModelEndpoint {
  if (frozen.of === 'ENVIRONMENT') {
    const { apiKey, keyStyle } = own && isOfEnvironment(own) ? own : environment;
    // A run that used the agent's own key must never fall back to the environment's: without a key, the provider refuses.
    const isLost = frozen.ownKey === true && apiKey === environment.apiKey;
    return {
      ...environment,
      apiKey: isLost ? '' : apiKey,
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

/** Whether its address is the environment's, even if the agent has its own model or key there. */
function isOfEnvironment({ guarded }: Pick<ModelEndpoint, 'guarded'>): boolean {
  return guarded !== true;
}
