import type { SpeechEndpoint, TranscriptionEndpoint } from '../../providers/llm/endpoints.ts';
import { addressSpeech, sttPresets, ttsPresets } from '../../providers/speech/presets.ts';
import { sttConfig, ttsConfig } from './config.ts';
import type { ProviderKey } from './operator-key.ts';

/**
 * The text-to-speech endpoint of an agent: its own configuration over its provider's preset, else the environment's. A key
 * is sent only to the origin that it was given for. The environment's key is sent only to the environment's own address
 * and path: another path on the same host may belong to somebody else, so it is guarded like any address.
 * @param tts the column of the agent; null: it has no provider of its own
 * @param key its own key; null: it has none
 * @param fallback the environment's provider; null: there is none
 * @returns null: the agent does not speak
 * @throws {z.ZodError} if the column does not hold a configuration
 */
export function resolveTts(
  tts: unknown,
  key: ProviderKey | null,
  fallback: SpeechEndpoint | null,
): SpeechEndpoint | null {
  if (tts === null) return fallback;
  const own = ttsConfig.parse(tts);
  const preset = ttsPresets[own.provider];
  const apiUrl = own.apiUrl ?? preset?.apiUrl ?? findFallbackUrl(own.provider, preset?.model, fallback);
  if (apiUrl === null) return null;
  const model = own.model ?? chooseModel(apiUrl, preset?.model, key, fallback);
  const options = readOptions(own.options);
  const address = addressSpeech(own.provider, 'speech', { apiUrl, model, path: null, options });
  if (address === null) return null;
  return {
    ...address,
    ...chooseKey(address, key, fallback),
    keyStyle: preset?.keyStyle ?? 'bearer',
    model,
    voice: own.voice ?? preset?.voice ?? null,
    sampleRate: own.sampleRate,
  };
}

/**
 * The speech-to-text endpoint of an agent, as `resolveTts` finds that for speech. An address with a WebSocket scheme is
 * that of a streaming provider, whatever the provider's name.
 * @returns null: the agent does not listen
 */
export function resolveStt(
  stt: unknown,
  key: ProviderKey | null,
  fallback: TranscriptionEndpoint | null,
): TranscriptionEndpoint | null {
  if (stt === null) return fallback;
  const own = sttConfig.parse(stt);
  const preset = sttPresets[own.provider];
  const apiUrl = own.apiUrl ?? preset?.apiUrl ?? findFallbackUrl(own.provider, preset?.model, fallback);
  if (apiUrl === null) return null;
  const model = own.model ?? chooseModel(apiUrl, preset?.model, key, fallback);
  const options = readOptions(own.options);
  const address = addressSpeech(own.provider, 'transcriptions', { apiUrl, model, path: own.path, options });
  if (address === null) return null;
  return {
    ...address,
    ...chooseKey(address, key, fallback),
    keyStyle: preset?.keyStyle ?? 'bearer',
    protocol: /^wss?:/i.test(apiUrl) ? 'socket' : (preset?.protocol ?? 'http'),
    model,
    language: own.language,
  };
}

/** The environment's address for a provider without one. For the demo provider only if the environment uses the demo. */
function findFallbackUrl(
  provider: string,
  model: string | undefined,
  fallback: { readonly apiUrl: string; readonly model: string | null } | null,
): string | null {
  if (fallback === null) return null;
  return provider !== 'demo' || fallback.model === model ? fallback.apiUrl : null;
}

/** The model of a provider that names none: with the environment's key, the environment's; else the provider's usual one. */
function chooseModel(
  apiUrl: string,
  usual: string | undefined,
  key: ProviderKey | null,
  fallback: { readonly apiUrl: string; readonly model: string | null } | null,
): string {
  const { href, origin } = new URL(apiUrl);
  const isEnvironments = fallback !== null && href === new URL(fallback.apiUrl).href && key?.origin !== origin;
  return (isEnvironments ? fallback.model : null) ?? usual ?? fallback?.model ?? '';
}

function chooseKey(
  { apiUrl, path }: { readonly apiUrl: string; readonly path: string | null },
  key: ProviderKey | null,
  fallback: { readonly apiUrl: string; readonly path: string | null; readonly apiKey: string } | null,
): { readonly apiKey: string; readonly guarded: boolean } {
  const url = new URL(apiUrl);
  const isFallback = fallback !== null && url.href === new URL(fallback.apiUrl).href && path === fallback.path;
  const apiKey = key?.origin === url.origin ? key.value : isFallback ? fallback.apiKey : '';
  return { apiKey, guarded: !isFallback };
}

function readOptions(options: unknown): Readonly<Record<string, unknown>> {
  return typeof options === 'object' && options !== null && !Array.isArray(options) ? { ...options } : {};
}
