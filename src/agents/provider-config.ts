import { z } from 'zod';

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

/** Which model answers for an agent, and where it is reached. */
export const llmConfig = z.object({
  provider: z.string(),
  model: z.string(),
  apiUrl: optionalText,
  api: z.enum(['RESPONSES', 'CHAT_COMPLETIONS']),
  completionsPath: optionalText,
  apiKeyHint: optionalText,
  keyDropped,
  options,
});
export type LlmConfig = z.output<typeof llmConfig>;

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
