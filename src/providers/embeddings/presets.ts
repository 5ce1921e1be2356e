import { openaiUrl } from '../../config/variables.ts';
import { locateAzure } from '../llm/azure.ts';
import { trimBase } from '../llm/base-url.ts';
import { splitUrl } from '../llm/presets.ts';

/** How to reach an embedding model. */
export interface EmbeddingEndpoint {
  /** Base URL with the version, e.g. https://api.openai.com/v1 */
  readonly apiUrl: string;
  /** Empty: none is sent. */
  readonly apiKey: string;
  readonly model: string;
  /** The numbers that each vector is asked to have; null: as many as the model gives by itself. */
  readonly dimensions: number | null;
  /** The path under `apiUrl`. */
  readonly path: string;
  /** Added to the URL, e.g. Azure's api-version. */
  readonly query: Readonly<Record<string, string>>;
  readonly keyStyle: 'bearer' | 'api-key';
  /** Whether a user wrote the address: requests then go through the address guard. */
  readonly guarded: boolean;
}

/**
 * The embedding providers that knowledge bases can have, by name, and where they are; null: the base has to say it. `custom` is
 * everything else that has the embeddings endpoint of OpenAI; `demo` is the model of the environment, whatever that is.
 */
const embeddingPresets: Readonly<Record<string, string | null>> = {
  openai: openaiUrl,
  'azure-openai': null,
  ollama: 'http://localhost:11434/v1',
  vllm: null,
  openrouter: 'https://openrouter.ai/api/v1',
  custom: null,
  demo: null,
};

/** The names of the providers that bases can have. */
export const embeddingProviders = Object.keys(embeddingPresets);

/** What a base says of its embedding model, as far as it matters for the way there. */
interface EmbeddingChoice {
  readonly provider: string;
  readonly apiUrl: string | null;
  readonly model: string;
  readonly dimensions: number | null;
}

/**
 * The endpoint of a choice, without a key; null: neither the choice nor the preset of its provider says where it is.
 * @throws {TypeError} if apiUrl is not a URL
 */
export function locateEmbedding({ provider, apiUrl, model, dimensions }: EmbeddingChoice): EmbeddingEndpoint | null {
  const given = apiUrl ?? embeddingPresets[provider] ?? null;
  if (given === null) return null;
  const { base, query } = splitUrl(given);
  const common = { apiKey: '', model, dimensions, guarded: true } as const;
  const path = '/embeddings';
  if (provider !== 'azure-openai') {
    return { ...common, apiUrl: trimBase(base).replace(/\/embeddings$/, ''), path, query, keyStyle: 'bearer' };
  }
  const azure = locateAzure({ base, query, options: {}, path: null }, path);
  const named = azure.path?.replace('{model}', encodeURIComponent(model)) ?? path;
  return { ...common, apiUrl: azure.apiUrl, path: named, query: azure.query, keyStyle: 'api-key' };
}
