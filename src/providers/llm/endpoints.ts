/** How a provider is sent its key. */
export type KeyStyle = 'bearer' | 'api-key';

/** What reaching any provider takes. */
interface Endpoint {
  /** Base URL, with the version if there is one. */
  readonly apiUrl: string;
  /** The path under `apiUrl`; null: the usual one. */
  readonly path: string | null;
  /** Added to the URL, e.g. Azure's api-version. */
  readonly query: Readonly<Record<string, string>>;
  /** Empty: none is sent. */
  readonly apiKey: string;
  readonly keyStyle: KeyStyle;
  /** What else is sent in the request. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Whether a user wrote the address: it is then dialled through the guard (guard.ts). */
  readonly guarded: boolean;
}

/** What makes speech of text: POST <apiUrl>/audio/speech, as OpenAI has it. */
export interface SpeechEndpoint extends Endpoint {
  readonly model: string;
  readonly voice: string | null;
  /** Samples per second; null: the provider's own. */
  readonly sampleRate: number | null;
}

/** What makes text of speech. */
export interface TranscriptionEndpoint extends Endpoint {
  /** `http`: POST <apiUrl>/audio/transcriptions, as OpenAI has it. `socket`: a streaming WebSocket, as local Whisper servers have it. */
  readonly protocol: 'http' | 'socket';
  readonly model: string | null;
  /** BCP 47; null: the provider finds out. */
  readonly language: string | null;
}
