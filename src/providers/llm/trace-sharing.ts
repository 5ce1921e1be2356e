import type { ModelEndpoint } from '../../engine/ports.ts';
import type { AddressGuard } from '../../outbound/address-guard.ts';

/** Providers that serve everybody: they have no part in the operator's traces. */
const publicHosts =
  /(^|\.)(openai\.com|azure\.com|groq\.com|openrouter\.ai|anthropic\.com|googleapis\.com|amazonaws\.com|mistral\.ai|deepseek\.com|x\.ai|perplexity\.ai|together\.ai|together\.xyz|fireworks\.ai|cohere\.com|cohere\.ai)$/;

/**
 * Whether a provider may know to which trace and to which request a call belongs: the operator's own servers may, and
 * those that MODEL_ALLOWED_HOSTS lists. Addresses that users wrote could tell from it which calls belong together.
 */
export function mayShareTrace(
  { apiUrl, guarded = false }: Pick<ModelEndpoint, 'apiUrl' | 'guarded'>,
  guard: Pick<AddressGuard, 'isListed'>,
): boolean {
  const url = URL.parse(apiUrl);
  if (url === null) return false;
  return guard.isListed(url) || (!guarded && !publicHosts.test(url.hostname));
}
