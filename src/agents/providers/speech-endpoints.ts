import type { SpeechEndpoint, TranscriptionEndpoint } from '../../providers/llm/endpoints.ts';
import { addressSpeech, sttPresets, ttsPresets } from '../../providers/speech/presets.ts';
import { sttConfig, ttsConfig } from './config.ts';
import type { ProviderKey } from './endpoints.ts';

/**
 * What speaks for an agent: its own configuration over what is known of its provider, or else that of the environment.
 * A key goes to the origin that it was given for and to no other. That of the environment goes to the environment's own
 * address and path: another path on the same host may be another's, so it is dialled through the guard like any other.
 * @param tts the column of the agent; null: it has none of its own
 * @param key its own key, if it has one
 * @param fallback that of the environment; null: there is none
 * @returns null: it does not speak
 * @throws {z.ZodError} when the row does not hold a configuration
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
  const model = own.model ?? preset?.model ?? fallback?.model ?? '';
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
 * What listens for an agent, as `resolveTts` has it. An address with the scheme of a WebSocket is of a streaming
 * provider, whatever its name.
 * @returns null: it does not listen
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
  const model = own.model ?? preset?.model ?? fallback?.model ?? '';
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

/** Where a provider without an address is: at that of the environment. The demo is there only where it is the demo's. */
function findFallbackUrl(
  provider: string,
  model: string | undefined,
  fallback: { readonly apiUrl: string; readonly model: string | null } | null,
): string | null {
  if (fallback === null) return null;
  return provider !== 'demo' || fallback.model === model ? fallback.apiUrl : null;
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
