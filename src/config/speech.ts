import type { Variables } from './variables.ts';

/** The speech provider of agents that have none of their own. */
export interface SpeechEnv {
  readonly provider: string;
  readonly apiUrl: string | null;
  readonly apiKey: string | null;
  readonly model: string | null;
  readonly voice: string | null;
  readonly sampleRate: number | null;
}

/** The transcription provider of agents that have none of their own. */
export interface TranscriptionEnv {
  readonly provider: string;
  readonly apiUrl: string | null;
  readonly apiKey: string | null;
  readonly model: string | null;
  readonly path: string | null;
  readonly language: string | null;
}

/** Any of the TTS_ variables makes a provider; the key alone means OpenAI. */
export function readSpeech(read: Variables): SpeechEnv | null {
  const { TTS_PROVIDER: provider, TTS_API_URL: apiUrl, TTS_API_KEY: apiKey, TTS_MODEL: model } = read;
  const { TTS_VOICE: voice, TTS_SAMPLE_RATE: sampleRate } = read;
  if ([provider, apiUrl, apiKey, model, voice, sampleRate].every((value) => value === undefined)) return null;
  return {
    provider: provider ?? (apiUrl === undefined ? 'openai' : 'custom'),
    apiUrl: apiUrl ?? null,
    apiKey: apiKey ?? null,
    model: model ?? null,
    voice: voice ?? null,
    sampleRate: sampleRate ?? null,
  };
}

/** Any of the STT_ variables makes a provider; the key alone means OpenAI. */
export function readTranscription(read: Variables): TranscriptionEnv | null {
  const { STT_PROVIDER: provider, STT_API_URL: apiUrl, STT_API_KEY: apiKey, STT_MODEL: model } = read;
  const { STT_PATH: path, STT_LANGUAGE: language } = read;
  if ([provider, apiUrl, apiKey, model, path, language].every((value) => value === undefined)) return null;
  return {
    provider: provider ?? (apiUrl === undefined ? 'openai' : 'custom'),
    apiUrl: apiUrl ?? null,
    apiKey: apiKey ?? null,
    model: model ?? null,
    path: path ?? null,
    language: language ?? null,
  };
}
