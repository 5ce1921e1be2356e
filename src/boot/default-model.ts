import type { LlmConfig } from '../agents/providers/config.ts';
import type { ProviderDefaults } from '../agents/providers/defaults.ts';
import { type ModelOrigin, readSttDefault, readTtsDefault } from '../agents/providers/speech-defaults.ts';
import { nameLlmProvider } from '../agents/providers/validate.ts';
import type { Env } from '../config/env.ts';
import { demoModelName, startDemoModel } from '../demo/demo.ts';
import { demoEmbeddingModel } from '../demo/embeddings.ts';
import type { ModelEndpoint, ModelPort } from '../engine/ports.ts';
import { demoName, type EmbeddingDefault } from '../knowledge/vectors/embedding-config.ts';
import type { AddressGuard } from '../outbound/address-guard.ts';
import { createOpenAiEmbeddings, type EmbeddingPort } from '../providers/embeddings/embed.ts';
import { type EmbeddingEndpoint, locateEmbedding } from '../providers/embeddings/presets.ts';
import { findContextTokens } from '../providers/llm/context-windows.ts';
import { createOpenAiModerations, type ModerationPort } from '../providers/llm/moderation.ts';
import { createOpenAiModel } from '../providers/llm/openai.ts';

/** The model of agents that have none of their own. */
export interface DefaultModel {
  readonly model: ModelPort;
  /** The Moderations API of its provider, and of those of agents. */
  readonly moderations: ModerationPort;
  /** The embeddings endpoint of its provider, and of those of knowledge bases. */
  readonly embeddings: EmbeddingPort;
  /** The model of knowledge bases that have none of their own; null: none. */
  readonly embeddingDefault: EmbeddingDefault | null;
  /** Its endpoint. The graph shows it without its address, which is for the operator only. */
  readonly defaults: ProviderDefaults;
  readonly description: string;
}

/** Opens the model provider of the environment, or the demo model if there is none; it is closed with `opening`. */
export async function openModel(env: Env, guard: AddressGuard, opening: AsyncDisposableStack): Promise<DefaultModel> {
  const model = createOpenAiModel({
    guard,
    timeoutMs: 120_000,
    firstByteTimeoutMs: env.firstByteTimeoutSeconds * 1_000,
  });
  const moderations = createOpenAiModerations({ guard, timeoutMs: 30_000 });
  const embeddings = createOpenAiEmbeddings({ guard, timeoutMs: 60_000 });
  if (env.openai) {
    const { baseUrl, apiKey } = env.openai;
    const { host } = new URL(baseUrl);
    // The openai client needs a key, even for servers that need none.
    const endpoint = {
      api: env.modelApi,
      apiUrl: baseUrl,
      apiKey: apiKey ?? 'none',
      model: env.model,
      ...findWindow(env.model),
    };
    const speech = readSpeechDefaults(env, { apiUrl: baseUrl, apiKey: apiKey ?? '', isDemo: false });
    const defaults = { llm: { endpoint, config: describeEndpoint(nameLlmProvider(baseUrl), endpoint) }, ...speech };
    const embeddingDefault = openEmbedding(baseUrl, { ...env.embedding, apiKey: apiKey ?? '' });
    const description = `${env.model} at ${host}`;
    return { model, moderations, embeddings, embeddingDefault, defaults, description };
  }
  const demo = await startDemoModel();
  opening.defer(() => demo.close());
  const endpoint = { api: env.modelApi, apiUrl: demo.url, apiKey: 'demo', model: demoModelName };
  const description = 'scripted demo model (set OPENAI_API_KEY or OPENAI_BASE_URL for a real one)';
  const speech = readSpeechDefaults(env, { apiUrl: demo.url, apiKey: '', isDemo: true });
  const defaults = { llm: { endpoint, config: describeEndpoint('demo', endpoint) }, ...speech };
  const { model: embeddingModel, dimensions } = env.embedding;
  const embedding = { model: embeddingModel ?? demoEmbeddingModel, dimensions, apiKey: '' };
  const embeddingDefault = openEmbedding(demo.url, embedding, demoName);
  return { model, moderations, embeddings, embeddingDefault, defaults, description };
}

/** @param name what it is called while its vectors are kept, if its address changes */
function openEmbedding(
  apiUrl: string,
  { model, dimensions, apiKey }: Env['embedding'] & Pick<EmbeddingEndpoint, 'apiKey'>,
  name = apiUrl,
): EmbeddingDefault | null {
  if (model === null) return null;
  const located = locateEmbedding({ provider: 'custom', apiUrl, model, dimensions });
  return located && { name, endpoint: { ...located, apiKey, guarded: false } };
}

function readSpeechDefaults(env: Env, model: ModelOrigin) {
  return { tts: readTtsDefault(env.tts, model), stt: readSttDefault(env.stt, model) };
}

function findWindow(model: string): Pick<ModelEndpoint, 'contextTokens'> {
  const contextTokens = findContextTokens(model);
  return contextTokens === null ? {} : { contextTokens };
}

function describeEndpoint(provider: string, { model, api }: ModelEndpoint): LlmConfig {
  return {
    provider,
    model,
    api,
    apiUrl: null,
    completionsPath: null,
    contextTokens: null,
    apiKeyHint: null,
    options: null,
  };
}
