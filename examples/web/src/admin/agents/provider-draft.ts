import type {
  AgentDetailsFragment,
  LlmApi,
  LlmProviderConfigInput,
  SttProviderConfigInput,
  TtsProviderConfigInput,
} from '../generated/graphql.ts';
import { readJson, readNumber, readText, showJson } from '../parts/json.ts';

/** A provider as it stands in its form. The key is what is typed: nobody can read the one that is stored. */
export interface ProviderDraft {
  /** Empty: the agent has none of its own. */
  readonly provider: string;
  readonly model: string;
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly removesKey: boolean;
  readonly options: string;
  readonly api: LlmApi;
  /** Of a model: the path and the window; of speech: the voice and the rate; of transcription: the path and the language. */
  readonly path: string;
  readonly contextTokens: string;
  readonly voice: string;
  readonly sampleRate: string;
  readonly language: string;
}

const empty: ProviderDraft = {
  provider: '',
  model: '',
  apiUrl: '',
  apiKey: '',
  removesKey: false,
  options: '',
  api: 'CHAT_COMPLETIONS',
  path: '',
  contextTokens: '',
  voice: '',
  sampleRate: '',
  language: '',
};

/** The providers of an agent, as their forms begin. */
export function draftProviders(agent: AgentDetailsFragment | null) {
  const { llm, tts, stt } = agent ?? {};
  return {
    llm: llm
      ? {
          ...draft(llm),
          api: llm.api,
          path: llm.completionsPath ?? '',
          contextTokens: String(llm.contextTokens ?? ''),
        }
      : empty,
    tts: tts ? { ...draft(tts), voice: tts.voice ?? '', sampleRate: String(tts.sampleRate ?? '') } : empty,
    stt: stt ? { ...draft(stt), path: stt.path ?? '', language: stt.language ?? '' } : empty,
  } satisfies Readonly<Record<string, ProviderDraft>>;
}

interface Stored {
  readonly provider: string;
  readonly model?: string | null;
  readonly apiUrl?: string | null;
  readonly options?: unknown;
}

function draft({ provider, model, apiUrl, options }: Stored): ProviderDraft {
  return { ...empty, provider, model: model ?? '', apiUrl: apiUrl ?? '', options: showJson(options) };
}

type Drafts = Readonly<Record<'llm' | 'tts' | 'stt', ProviderDraft>>;

/** The providers of an input: those that were changed only, because others may be the server's own. Null: back to that. */
export function readProviders(drafts: Drafts, before: Drafts) {
  const isChanged = (kind: keyof Drafts) => JSON.stringify(drafts[kind]) !== JSON.stringify(before[kind]);
  return {
    ...(isChanged('llm') && { llm: readLlm(drafts.llm) }),
    ...(isChanged('tts') && { tts: readTts(drafts.tts) }),
    ...(isChanged('stt') && { stt: readStt(drafts.stt) }),
  };
}

function readLlm(form: ProviderDraft): LlmProviderConfigInput | null {
  if (form.provider === '') return null;
  return {
    ...readShared(form),
    model: form.model.trim(),
    api: form.api,
    completionsPath: readText(form.path),
    contextTokens: readNumber(form.contextTokens),
  };
}

function readTts(form: ProviderDraft): TtsProviderConfigInput | null {
  if (form.provider === '') return null;
  const { model, voice, sampleRate } = form;
  return {
    ...readShared(form),
    model: readText(model),
    voice: readText(voice),
    sampleRate: readNumber(sampleRate),
  };
}

function readStt(form: ProviderDraft): SttProviderConfigInput | null {
  if (form.provider === '') return null;
  const { model, path, language } = form;
  return { ...readShared(form), model: readText(model), path: readText(path), language: readText(language) };
}

/** Without a key in the input, the stored one stays; an empty one removes it. */
function readShared({ provider, apiUrl, apiKey, removesKey, options }: ProviderDraft) {
  const key = removesKey ? '' : readText(apiKey);
  return { provider, apiUrl: readText(apiUrl), options: readJson(options), ...(key !== null && { apiKey: key }) };
}
