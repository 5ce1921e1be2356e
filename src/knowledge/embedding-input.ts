import { z } from 'zod';
import { apiKey } from '../agents/providers/input.ts';
import { findUrlProblem } from '../agents/providers/validate.ts';
import { badInput, integer, modelName, text } from '../api/input.ts';
import type { AddressGuard } from '../outbound/address-guard.ts';
import { embeddingProviders, locateEmbedding } from '../providers/embeddings/presets.ts';
import { maxDimensions } from '../providers/embeddings/read-vectors.ts';
import { type EmbeddingConfig, type EmbeddingDefault, mayUseModel } from './vectors/embedding-config.ts';

/** EmbeddingProviderConfigInput. */
export const embeddingInput = z.strictObject({
  provider: z
    .string({ error: 'must be a string' })
    .refine((name) => embeddingProviders.includes(name), `must be one of ${embeddingProviders.join(', ')}`),
  apiUrl: text(1, 2_048).nullish(),
  apiKey: apiKey.nullish(),
  model: modelName,
  dimensions: integer(1, maxDimensions).nullish(),
});

/** A checked embedding provider that is to be stored. */
export interface EmbeddingDraft {
  readonly config: Omit<EmbeddingConfig, 'apiKeyHint'>;
  /** The only origin that its key is sent to. Empty: it has no key. */
  readonly origin: string;
  /** Empty: the stored key is to be removed. Null: no key was given. */
  readonly apiKey: string | null;
}

/**
 * Checks an embedding provider, and its address against the address guard.
 * @throws {BadUserInputError} naming the field: a missing, malformed or forbidden address; a model, address or key that the
 *   provider of the environment cannot be given
 */
export function checkEmbedding(
  { guard, embeddingDefault }: { readonly guard: AddressGuard; readonly embeddingDefault: EmbeddingDefault | null },
  input: z.output<typeof embeddingInput>,
): EmbeddingDraft {
  const { provider, model, apiUrl = null, dimensions = null, apiKey: key = null } = input;
  const config = { provider, model, apiUrl, dimensions };
  const refuse = (field: keyof typeof input, what: string) => badInput(['input', 'embedding', field], what);
  if (provider === 'demo') {
    if (apiUrl !== null) throw refuse('apiUrl', 'must be omitted: the provider demo is that of this server');
    if (key) throw refuse('apiKey', 'must be omitted: the provider demo has the key of this server');
    if (embeddingDefault === null) throw refuse('provider', 'cannot be demo: this server has no embedding model');
    if (!mayUseModel(embeddingDefault, model)) {
      throw refuse('model', `must be ${embeddingDefault.endpoint.model} with the key of this server`);
    }
    return { config, origin: '', apiKey: key };
  }
  const wrongUrl = apiUrl === null ? null : findUrlProblem(apiUrl, ['https:', 'http:']);
  if (wrongUrl !== null) throw refuse('apiUrl', wrongUrl);
  const endpoint = locateEmbedding(config);
  if (endpoint === null) throw refuse('apiUrl', `is missing: the provider ${provider} has no default address`);
  const refusal = guard.explainRefusal(`${endpoint.apiUrl}${endpoint.path}`);
  if (refusal !== null) throw refuse(apiUrl === null ? 'provider' : 'apiUrl', refusal);
  return { config, origin: new URL(endpoint.apiUrl).origin, apiKey: key };
}
