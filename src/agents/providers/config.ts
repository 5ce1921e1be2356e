import { z } from 'zod';
import { type LlmPreset, llmPresets } from '../../providers/llm/presets.ts';

const optionalText = z
  .string()
  .nullish()
  .transform((value) => value ?? null);
/** Whether its key was dropped because apiUrl moved to another host, and no new key was set since. */
const keyDropped = z.boolean().optional();
const options = z
  .json()
  .nullish()
  .transform((value) => value ?? null);

/** The model of an agent and its address. A row without an API uses the usual one of its provider. */
export const llmConfig = z
  .object({
    provider: z.string(),
    model: z.string(),
    apiUrl: optionalText,
    api: z.enum(['RESPONSES', 'CHAT_COMPLETIONS']).nullish(),
    completionsPath: optionalText,
    contextTokens: z
      .int()
      .nullish()
      .transform((value) => value ?? null),
    apiKeyHint: optionalText,
    keyDropped,
    options,
  })
  .transform((config) => ({ ...config, api: config.api ?? defaultApi(config.provider) }));
export type LlmConfig = z.output<typeof llmConfig>;

function defaultApi(provider: string): LlmPreset['api'] {
  return (Object.hasOwn(llmPresets, provider) ? llmPresets[provider]?.api : undefined) ?? 'CHAT_COMPLETIONS';
}

/** What the graph shows as an agent's model if its row, written by hand, holds no valid configuration. */
export const unreadableLlm: LlmConfig = {
  provider: 'unreadable',
  model: '',
  apiUrl: null,
  api: 'CHAT_COMPLETIONS',
  completionsPath: null,
  contextTokens: null,
  apiKeyHint: null,
  options: null,
};

/** The text-to-speech provider of an agent. */
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

/** The speech-to-text provider of an agent. */
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
