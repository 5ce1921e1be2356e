import { EnvironmentError } from '../../config/env.ts';
import type { SpeechEnv, TranscriptionEnv } from '../../config/speech.ts';
import { sttPresets, ttsPresets } from '../../providers/speech/presets.ts';
import { sttConfig, ttsConfig } from './config.ts';
import type { ProviderDefaults } from './defaults.ts';
import { resolveStt, resolveTts } from './speech-endpoints.ts';

/** The address of the environment's model: its key is used for speech at the same origin; the demo model also speaks. */
export interface ModelOrigin {
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly isDemo: boolean;
}

/**
 * The text-to-speech provider of agents without one: that of the TTS_ variables, else the demo model if it is in use.
 * @returns null: such agents do not speak
 * @throws {EnvironmentError} if the variables do not say where the provider is
 */
export function readTtsDefault(env: SpeechEnv | null, model: ModelOrigin): ProviderDefaults['tts'] {
  const settings = env ?? (model.isDemo ? speechOfDemo : null);
  if (settings === null) return null;
  const { apiUrl, key } = locate('TTS', settings, ttsPresets[settings.provider]?.apiUrl ?? null, model);
  const { provider, voice, sampleRate } = settings;
  const config = ttsConfig.parse({ provider, model: settings.model, voice, sampleRate, apiUrl });
  const endpoint = resolveTts(config, key, null);
  if (endpoint === null) return null;
  // The graph does not show the operator's addresses.
  const shown = { ...config, model: endpoint.model, voice: endpoint.voice, apiUrl: null };
  return { endpoint: { ...endpoint, guarded: false }, config: shown };
}

/** The speech-to-text provider of agents without one, as `readTtsDefault` does for text to speech. */
export function readSttDefault(env: TranscriptionEnv | null, model: ModelOrigin): ProviderDefaults['stt'] {
  const settings = env ?? (model.isDemo ? transcriptionOfDemo : null);
  if (settings === null) return null;
  const { apiUrl, key } = locate('STT', settings, sttPresets[settings.provider]?.apiUrl ?? null, model);
  const { provider, path, language } = settings;
  const config = sttConfig.parse({ provider, model: settings.model, path, language, apiUrl });
  const endpoint = resolveStt(config, key, null);
  if (endpoint === null) return null;
  const shown = { ...config, model: endpoint.model, path: null, apiUrl: null };
  return { endpoint: { ...endpoint, guarded: false }, config: shown };
}

const nothing = { apiUrl: null, apiKey: null, model: null };
const speechOfDemo: SpeechEnv = { ...nothing, provider: 'demo', voice: null, sampleRate: null };
const transcriptionOfDemo: TranscriptionEnv = { ...nothing, provider: 'demo', path: null, language: null };

/** The error for variables of speech (TTS) or transcription (STT) that do not say where the provider is. */
export function speechUrlMissing(prefix: 'TTS' | 'STT', provider: string): EnvironmentError {
  const known = Object.keys(prefix === 'TTS' ? ttsPresets : sttPresets).join(', ');
  return new EnvironmentError([
    `${prefix}_API_URL is missing: the provider ${provider} has no default address (${prefix}_PROVIDER can be ${known})`,
  ]);
}

function locate(
  prefix: 'TTS' | 'STT',
  settings: { readonly provider: string; readonly apiUrl: string | null; readonly apiKey: string | null },
  presetUrl: string | null,
  model: ModelOrigin,
) {
  const demoUrl = settings.provider === 'demo' && model.isDemo ? model.apiUrl : null;
  const apiUrl = settings.apiUrl ?? presetUrl ?? demoUrl;
  if (apiUrl === null) throw speechUrlMissing(prefix, settings.provider);
  const { origin } = new URL(apiUrl);
  const shared = !model.isDemo && origin === new URL(model.apiUrl).origin ? model.apiKey : null;
  const value = settings.apiKey ?? shared;
  return { apiUrl, key: value === null ? null : { origin, value } };
}
