import type { ModelEndpoint } from '../../engine/ports.ts';
import { locateLlm, splitUrl } from '../../providers/llm/presets.ts';
import { llmConfig } from './config.ts';

/** A key that an agent has for a provider. */
export interface ProviderKey {
  /** The only origin that it may be sent to. */
  readonly origin: string;
  readonly value: string;
}

/**
 * Where an agent's model is: its own configuration and its provider's preset, over that of the environment. A key goes
 * to the origin that it was given for and to no other. That of the environment goes to the environment's own address:
 * another path on the same host may be another's, or no model at all, so it is dialled through the guard like any other.
 * @param llm the column of the agent; null: it has none of its own
 * @param key its own key, if it has one
 * @throws {z.ZodError} when the row does not hold a configuration
 * @throws {TypeError} when its address is no URL
 */
export function resolveLlm(llm: unknown, key: ProviderKey | null, fallback: ModelEndpoint): ModelEndpoint {
  if (llm === null) return fallback;
  const own = llmConfig.parse(llm);
  const located = locateLlm(own) ?? locateLlm({ ...own, provider: 'custom', apiUrl: fallback.apiUrl });
  if (located === null) return fallback;
  const { path, ...address } = located;
  const { base } = splitUrl(fallback.apiUrl);
  const isFallback = address.apiUrl === base && path === null;
  const { origin } = new URL(address.apiUrl);
  const endpoint = {
    api: own.api,
    ...address,
    ...(path === null ? {} : { path }),
    model: own.model,
    apiKey: key?.origin === origin ? key.value : '',
    guarded: !isFallback,
  };
  // Who has a key of their own for this address does not spend the environment's, also where theirs cannot be read.
  if (!isFallback || key?.origin === origin) return endpoint;
  const { apiKey, keyStyle = 'bearer' } = fallback;
  return { ...endpoint, apiKey, keyStyle, query: { ...fallback.query, ...address.query } };
}
