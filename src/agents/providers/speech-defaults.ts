import { EnvironmentError, type SpeechEnv, type TranscriptionEnv } from '../../config/env.ts';
import { sttPresets, ttsPresets } from '../../providers/speech/presets.ts';
import type { ProviderDefaults } from '../dependencies.ts';
import { sttConfig, ttsConfig } from './config.ts';
import { resolveStt, resolveTts } from './speech-endpoints.ts';

/** Where the environment's model is: its key serves for speech at the same origin, and the demo model speaks as well. */
export interface ModelOrigin {
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly isDemo: boolean;
}

/**
 * What speaks for agents that have nothing of their own: the TTS_ variables, or the demo model where it answers.
 * @returns null: they do not speak
 * @throws {EnvironmentError} when the variables do not say where it is
 */
export function readTtsDefault(env: SpeechEnv | null, model: ModelOrigin): ProviderDefaults['tts'] {
  const given = env ?? (model.isDemo ? speechOfDemo : null);
  if (given === null) return null;
  const { apiUrl, key } = locate('TTS', given, ttsPresets[given.provider]?.apiUrl ?? null, model);
  const { provider, voice, sampleRate } = given;
  const config = ttsConfig.parse({ provider, model: given.model, voice, sampleRate, apiUrl });
  const endpoint = resolveTts(config, key, null);
  if (endpoint === null) return null;
  // The graph shows no addresses of the operator's.
  const shown = { ...config, model: endpoint.model, voice: endpoint.voice, apiUrl: null };
  return { endpoint: { ...endpoint, guarded: false }, config: shown };
}

/** What listens for agents that have nothing of their own, as `readTtsDefault` has it. */
export function readSttDefault(env: TranscriptionEnv | null, model: ModelOrigin): ProviderDefaults['stt'] {
  const given = env ?? (model.isDemo ? transcriptionOfDemo : null);
  if (given === null) return null;
  const { apiUrl, key } = locate('STT', given, sttPresets[given.provider]?.apiUrl ?? null, model);
  const { provider, path, language } = given;
  const config = sttConfig.parse({ provider, model: given.model, path, language, apiUrl });
  const endpoint = resolveStt(config, key, null);
  if (endpoint === null) return null;
  const shown = { ...config, model: endpoint.model, path: null, apiUrl: null };
  return { endpoint: { ...endpoint, guarded: false }, config: shown };
}

const nothing = { apiUrl: null, apiKey: null, model: null };
const speechOfDemo: SpeechEnv = { ...nothing, provider: 'demo', voice: null, sampleRate: null };
const transcriptionOfDemo: TranscriptionEnv = { ...nothing, provider: 'demo', path: null, language: null };

/** The variables of speech (TTS) or transcription (STT) do not say where it is. */
export function cannotBeReached(prefix: 'TTS' | 'STT', provider: string): EnvironmentError {
  const known = Object.keys(prefix === 'TTS' ? ttsPresets : sttPresets).join(', ');
  return new EnvironmentError([
    `${prefix}_API_URL is missing: where ${provider} is, is not known (${prefix}_PROVIDER can be ${known})`,
  ]);
}

function locate(
  prefix: 'TTS' | 'STT',
  given: { readonly provider: string; readonly apiUrl: string | null; readonly apiKey: string | null },
  usualUrl: string | null,
  model: ModelOrigin,
) {
  const demoUrl = given.provider === 'demo' && model.isDemo ? model.apiUrl : null;
  const apiUrl = given.apiUrl ?? usualUrl ?? demoUrl;
  if (apiUrl === null) throw cannotBeReached(prefix, given.provider);
  const { origin } = new URL(apiUrl);
  const shared = !model.isDemo && origin === new URL(model.apiUrl).origin ? model.apiKey : null;
  const value = given.apiKey ?? shared;
  return { apiUrl, key: value === null ? null : { origin, value } };
}
