import type { LlmConfig } from './agents/provider-config.ts';
import { demoModelName, startDemoModel } from './demo/demo.ts';
import type { ModelEndpoint, ModelPort } from './engine/ports.ts';
import type { Env } from './env.ts';
import { createOpenAiModel } from './providers/openai.ts';

/** What answers for agents that have no model of their own. */
export interface DefaultModel {
  readonly model: ModelPort;
  readonly endpoint: ModelEndpoint;
  /** As the graph shows it: without the address, which is the operator's business. */
  readonly llm: LlmConfig;
  readonly description: string;
}

/** The model provider of the environment, or the demo model where there is none; it is closed with `opening`. */
export async function openModel(env: Env, opening: AsyncDisposableStack): Promise<DefaultModel> {
  const model = createOpenAiModel();
  if (env.openai) {
    const { baseUrl, apiKey } = env.openai;
    const { host } = new URL(baseUrl);
    // Servers that ask for no key still get one: the openai client insists.
    const endpoint = { api: env.modelApi, apiUrl: baseUrl, apiKey: apiKey ?? 'none', model: env.model };
    return { model, endpoint, llm: describeEndpoint(host, endpoint), description: `${env.model} at ${host}` };
  }
  const demo = await startDemoModel();
  opening.defer(() => demo.close());
  const endpoint = { api: env.modelApi, apiUrl: demo.url, apiKey: 'demo', model: demoModelName };
  const description = 'the demo model, which follows a script (set OPENAI_API_KEY or OPENAI_BASE_URL for a real one)';
  return { model, endpoint, llm: describeEndpoint('demo', endpoint), description };
}

function describeEndpoint(provider: string, { model, api }: ModelEndpoint): LlmConfig {
  return { provider, model, api, apiUrl: null, completionsPath: null, apiKeyHint: null, options: null };
}
