import type { ModelEndpoint } from '../../engine/ports.ts';
import { findContextTokens } from '../../providers/llm/context-windows.ts';
import { locateLlm, splitUrl } from '../../providers/llm/presets.ts';
import { llmConfig } from './config.ts';
import type { ProviderKey } from './operator-key.ts';

/**
 * The model endpoint of an agent: its own configuration over its provider's preset over the environment's model. A key is
 * sent only to the origin that it was given for. The environment's key is sent only to the environment's own address:
 * another path on the same host may belong to somebody else or may not be a model, so it is guarded like any address.
 * @param llm the column of the agent; null: it has no provider of its own
 * @param key its own key; null: it has none
 * @throws {z.ZodError} if the column does not hold a configuration
 * @throws {TypeError} if its address is not a URL
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
  const contextTokens = own.contextTokens ?? findContextTokens(own.model);
  const endpoint = {
    api: own.api,
    ...address,
    ...(path === null ? {} : { path }),
    model: own.model,
    apiKey: key?.origin === origin ? key.value : '',
    guarded: !isFallback,
    ...(contextTokens === null ? {} : { contextTokens }),
  };
  // An agent with its own key for this address never uses the environment's, even if its own cannot be decrypted.
  if (!isFallback || key?.origin === origin) return endpoint;
  const { apiKey, keyStyle = 'bearer' } = fallback;
  return { ...endpoint, apiKey, keyStyle, query: { ...fallback.query, ...address.query } };
}
