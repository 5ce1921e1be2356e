import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { EmbeddingEndpoint } from '../../providers/embeddings/presets.ts';
import { locateEmbedding } from '../../providers/embeddings/presets.ts';
import type { KeyRing } from '../../secrets/key-ring.ts';
import { openSecret, type StoredSecret } from '../../secrets/stored-secrets.ts';

/** The name under which the key of a base is stored. */
export const embeddingSecretName = 'embedding';

/** What the demo model is called while its vectors are kept. */
export const demoName = 'demo';

/** The embedding model of the environment, which bases without one of their own use. */
export interface EmbeddingDefault {
  readonly endpoint: EmbeddingEndpoint;
  /** What tells it apart from other models for as long as its vectors are kept: the address of the demo changes. */
  readonly name: string;
}

/** The column of a base that holds its embedding provider: everything but the key. */
export const embeddingConfig = z.object({
  provider: z.string(),
  apiUrl: z.string().nullable().default(null),
  model: z.string(),
  dimensions: z.int().nullable().default(null),
  apiKeyHint: z.string().nullable().default(null),
});
export type EmbeddingConfig = z.output<typeof embeddingConfig>;

/** A model that embeds the texts of bases and the searches in them. */
export interface EmbeddingModel {
  readonly endpoint: EmbeddingEndpoint;
  /** Equal if vectors can be compared: the same model at the same address, with the same number of dimensions. */
  readonly key: string;
}

/**
 * Where the embedding model of a base is, without the base's own key. The key of the environment is for the environment's
 * model alone, unless that is the demo, which costs nothing.
 * @param column its `embedding`
 * @returns null: its texts are not embedded
 */
export function locateModel(fallback: EmbeddingDefault | null, column: unknown): EmbeddingModel | null {
  if (column === null) return fallback && nameModel(fallback.name, fallback.endpoint);
  const { data: config } = embeddingConfig.safeParse(column);
  if (config === undefined) return null;
  if (config.provider !== 'demo') {
    const located = locateEmbedding(config);
    return located && nameModel(located.apiUrl, located);
  }
  if (fallback === null || !mayUseModel(fallback, config.model)) return null;
  const { model, dimensions } = config;
  const changed = { model, dimensions: dimensions ?? fallback.endpoint.dimensions };
  return nameModel(fallback.name, { ...fallback.endpoint, ...changed });
}

/** Whether a base may have the address of the environment embed its texts with a model. */
export function mayUseModel({ name, endpoint }: EmbeddingDefault, model: string): boolean {
  return name === demoName || model === endpoint.model;
}

/**
 * The embedding model of a base, with its key.
 * @param column its `embedding`
 * @param secrets its keys
 * @returns null: its texts are not embedded
 * @throws {SecretUnreadableError} if its key cannot be decrypted
 */
export async function resolveEmbedding(
  keys: KeyRing,
  fallback: EmbeddingDefault | null,
  { column, secrets }: { readonly column: unknown; readonly secrets: readonly StoredSecret[] },
): Promise<EmbeddingModel | null> {
  const model = locateModel(fallback, column);
  if (model === null || !model.endpoint.guarded) return model;
  const { origin } = new URL(model.endpoint.apiUrl);
  const secret = secrets.find((row) => row.name === embeddingSecretName && row.origin === origin);
  const apiKey = secret === undefined ? '' : await openSecret(keys, secret);
  return { ...model, endpoint: { ...model.endpoint, apiKey } };
}

function nameModel(name: string, endpoint: EmbeddingEndpoint): EmbeddingModel {
  const parts = JSON.stringify([name, endpoint.model, endpoint.dimensions]);
  return { endpoint, key: createHash('sha256').update(parts).digest('hex').slice(0, 32) };
}
