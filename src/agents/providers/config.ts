import { z } from 'zod';
import { type LlmPreset, llmPresets } from '../../providers/llm/presets.ts';

const optionalText = z
  .string()
  .nullish()
  .transform((value) => value ?? null);
/** Whether its key was dropped because it moved to another host, and it was given none since. */
const keyDropped = z.boolean().optional();
const options = z
  .json()
  .nullish()
  .transform((value) => value ?? null);

/** Which model answers for an agent, and where it is reached. A row without an API has that of its provider. */
export const llmConfig = z
  .object({
    provider: z.string(),
    model: z.string(),
    apiUrl: optionalText,
    api: z.enum(['RESPONSES', 'CHAT_COMPLETIONS']).nullish(),
    completionsPath: optionalText,
    apiKeyHint: optionalText,
    keyDropped,
    options,
  })
  .transform((config) => ({ ...config, api: config.api ?? usualApi(config.provider) }));
export type LlmConfig = z.output<typeof llmConfig>;

function usualApi(provider: string): LlmPreset['api'] {
  return (Object.hasOwn(llmPresets, provider) ? llmPresets[provider]?.api : undefined) ?? 'CHAT_COMPLETIONS';
}

/** What the graph shows of an agent's model where its row, written by hand, holds no configuration. */
export const unreadableLlm: LlmConfig = {
  provider: 'unreadable',
  model: '',
  apiUrl: null,
  api: 'CHAT_COMPLETIONS',
  completionsPath: null,
  apiKeyHint: null,
  options: null,
};

/** What speaks for an agent. */
export const ttsConfig = z.object({
  provider: z.string(),
  model: optionalText,
  voice: optionalText,
  apiUrl: optionalText,
  sampleRate: z
    .int()
    .nullish()
    .transform((value) => value ?? null),
  apiKeyHint: optionalText,
  keyDropped,
  options,
});
export type TtsConfig = z.output<typeof ttsConfig>;

/** What listens for an agent. */
export const sttConfig = z.object({
  provider: z.string(),
  model: optionalText,
  apiUrl: optionalText,
  path: optionalText,
  language: optionalText,
  apiKeyHint: optionalText,
  keyDropped,
  options,
});
export type SttConfig = z.output<typeof sttConfig>;
