import { openaiUrl } from '../../config/variables.ts';
import { locateAzure, putModelInPath } from '../llm/azure.ts';
import type { KeyStyle } from '../llm/endpoints.ts';
import { splitUrl } from '../llm/presets.ts';

/** What is known of a provider by its name. */
interface Preset {
  /** Null: an agent has to say where it is. */
  readonly apiUrl: string | null;
  /** Where an agent names none. */
  readonly model: string;
  readonly keyStyle: KeyStyle;
}

/** What is known of a text-to-speech provider. */
export interface TtsPreset extends Preset {
  readonly voice: string | null;
}

/** What is known of a speech-to-text provider. */
export interface SttPreset extends Preset {
  /** `socket`: audio goes in and text comes out over a WebSocket, as WhisperLive has it. */
  readonly protocol: 'http' | 'socket';
}

const groqUrl = 'https://api.groq.com/openai/v1';

/** The text-to-speech providers that agents can have, by name. `demo` is the server's own, and needs no address. */
export const ttsPresets: Readonly<Record<string, TtsPreset>> = {
  openai: { apiUrl: openaiUrl, model: 'gpt-4o-mini-tts', voice: 'alloy', keyStyle: 'bearer' },
  'azure-openai': { apiUrl: null, model: 'tts', voice: 'alloy', keyStyle: 'api-key' },
  groq: { apiUrl: groqUrl, model: 'canopylabs/orpheus-v1-english', voice: 'autumn', keyStyle: 'bearer' },
  custom: { apiUrl: null, model: 'tts-1', voice: null, keyStyle: 'bearer' },
  demo: { apiUrl: null, model: 'switchboard-demo', voice: 'tones', keyStyle: 'bearer' },
};

/** The speech-to-text providers that agents can have, by name. `demo` is the server's own, and needs no address. */
export const sttPresets: Readonly<Record<string, SttPreset>> = {
  openai: { apiUrl: openaiUrl, model: 'whisper-1', keyStyle: 'bearer', protocol: 'http' },
  'azure-openai': { apiUrl: null, model: 'whisper', keyStyle: 'api-key', protocol: 'http' },
  groq: { apiUrl: groqUrl, model: 'whisper-large-v3-turbo', keyStyle: 'bearer', protocol: 'http' },
  custom: { apiUrl: null, model: 'whisper-1', keyStyle: 'bearer', protocol: 'http' },
  'whisper-live': { apiUrl: null, model: 'small', keyStyle: 'bearer', protocol: 'socket' },
  demo: { apiUrl: null, model: 'switchboard-demo', keyStyle: 'bearer', protocol: 'http' },
};

/** The providers whose address an agent has to give. */
export const speechNeedsApiUrl: ReadonlySet<string> = new Set(['azure-openai', 'custom', 'whisper-live']);

/** What it takes to address a request. */
export interface Addressing {
  readonly apiUrl: string;
  readonly path: string | null;
  readonly query: Readonly<Record<string, string>>;
  /** The options without those that are about the address. */
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * Where a request goes at a provider: Azure's addresses are read as those of models are.
 * @returns null: the name of the model cannot stand in the path where it has to
 */
export function addressSpeech(
  provider: string,
  what: 'speech' | 'transcriptions',
  from: {
    readonly apiUrl: string;
    readonly model: string;
    readonly path: string | null;
    readonly options: Readonly<Record<string, unknown>>;
  },
): Addressing | null {
  const { apiUrl, model, path, options } = from;
  if (provider !== 'azure-openai') return { apiUrl, path, query: {}, options };
  const located = locateAzure({ ...splitUrl(apiUrl), path, options }, `/audio/${what}`);
  if (located.path === null) return located;
  const filled = putModelInPath(located.path, model);
  return filled === null ? null : { ...located, path: filled };
}
