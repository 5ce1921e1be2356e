import type { LlmConfig } from '../agents/providers/config.ts';
import type { ProviderDefaults } from '../agents/providers/defaults.ts';
import { type ModelOrigin, readSttDefault, readTtsDefault } from '../agents/providers/speech-defaults.ts';
import { nameLlmProvider } from '../agents/providers/validate.ts';
import type { Env } from '../config/env.ts';
import { demoModelName, startDemoModel } from '../demo/demo.ts';
import type { ModelEndpoint, ModelPort } from '../engine/ports.ts';
import type { AddressGuard } from '../outbound/address-guard.ts';
import { findContextTokens } from '../providers/llm/context-windows.ts';
import { createOpenAiModerations, type ModerationPort } from '../providers/llm/moderation.ts';
import { createOpenAiModel } from '../providers/llm/openai.ts';

/** The model of agents that have none of their own. */
export interface DefaultModel {
  readonly model: ModelPort;
  /** The Moderations API of its provider, and of those of agents. */
  readonly moderations: ModerationPort;
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
    return { model, moderations, defaults, description: `${env.model} at ${host}` };
  }
  const demo = await startDemoModel();
  opening.defer(() => demo.close());
  const endpoint = { api: env.modelApi, apiUrl: demo.url, apiKey: 'demo', model: demoModelName };
  const description = 'scripted demo model (set OPENAI_API_KEY or OPENAI_BASE_URL for a real one)';
  const speech = readSpeechDefaults(env, { apiUrl: demo.url, apiKey: '', isDemo: true });
  const defaults = { llm: { endpoint, config: describeEndpoint('demo', endpoint) }, ...speech };
  return { model, moderations, defaults, description };
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
