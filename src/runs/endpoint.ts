import { z } from 'zod';
import type { ModelEndpoint } from '../engine/ports.ts';

/** The part of an agent's LlmProviderConfig that a turn needs. */
const storedLlm = z.looseObject({
  model: z.string(),
  apiUrl: z.string().nullish(),
  api: z.enum(['RESPONSES', 'CHAT_COMPLETIONS']).nullish(),
});

/**
 * Where an agent's model is: its own configuration over that of the environment. The key of the environment goes to
 * the host of the environment and to no other.
 * @throws {z.ZodError} when the row does not hold a configuration
 */
export function resolveEndpoint(llm: unknown, fallback: ModelEndpoint): ModelEndpoint {
  if (llm === null) return fallback;
  const own = storedLlm.parse(llm);
  const apiUrl = own.apiUrl ?? fallback.apiUrl;
  return {
    api: own.api ?? fallback.api,
    apiUrl,
    apiKey: new URL(apiUrl).origin === new URL(fallback.apiUrl).origin ? fallback.apiKey : '',
    model: own.model,
  };
}
