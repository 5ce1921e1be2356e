import { z } from 'zod';
import type { BadUserInputError } from '../../api/errors.ts';
import { badInput, type InputPath, integer, json, modelName, text } from '../../api/input.ts';
import { llmNeedsApiUrl, llmPresets, reservedLlmOptions } from '../../providers/llm/presets.ts';
import { requestUrl } from '../../providers/llm/request-url.ts';
import { speechNeedsApiUrl, sttPresets, ttsPresets } from '../../providers/speech/presets.ts';
import { speechUrl, transcriptionUrl } from '../../providers/speech/request.ts';
import type { ProviderRules } from './defaults.ts';
import { resolveLlm } from './endpoints.ts';
import { findOperatorKeyProblem } from './operator-key.ts';
import { resolveStt, resolveTts } from './speech-endpoints.ts';
import { findOptionProblem, findUrlProblem } from './validate.ts';

/** The kinds of providers that an agent has. Their keys are stored under these names. */
export const providerKinds = ['llm', 'tts', 'stt'] as const;
export type ProviderKind = (typeof providerKinds)[number];

/** A checked provider that is to be stored. */
export interface ProviderDraft {
  /** The value of the column: everything except the key. */
  readonly config: Readonly<Record<string, Json>>;
  /** The only origin that its key is sent to. */
  readonly origin: string;
  /** Empty: the stored key is to be removed. Null: no key was given. */
  readonly apiKey: string | null;
  /** The error unless the agent has a key of its own: it asks for what the operator's key may not be used for. */
  readonly operatorKeyProblem: BadUserInputError | null;
}

/** The checked providers of an input. Absent: the provider stays; null: it is removed. */
export type ProviderDrafts = { readonly [Kind in ProviderKind]?: ProviderDraft | null };

type Json = z.output<ReturnType<typeof z.json>>;

/** The maximum length of `options` as JSON, in characters. */
const maxOptionsLength = 16_384;
const maxKeyLength = 4_096;
/** Samples per second of the demo voice, at most: so its longest speech fits into a clip. */
const maxDemoSampleRate = 24_000;

/** The key of a provider. */
export const apiKey = z
  .string({ error: 'must be a string' })
  .regex(/^[\x21-\x7e]*$/, 'must hold visible ASCII characters only, as headers can carry them')
  .max(maxKeyLength, `must be at most ${maxKeyLength.toLocaleString('en-US')} characters long`);
const path = text(1, 1_024).refine(
  (value) => /^\/[\w.~!$&'()*+,;=:@%/-]*$/.test(value) && !/(^|\/)\.{1,2}(\/|$)|^\/\/|%2e|%2f|%5c/i.test(value),
  'must be a path like /v2/chat/completions, without a query and without .. in it',
);
const options = json(maxOptionsLength)
  .refine(
    (value) => typeof value === 'object' && !Array.isArray(value),
    'must be a JSON object, e.g. {"reasoning_effort": "low"}',
  )
  .pipe(z.record(z.string(), z.json()));

/** Azure puts it into the URL. */
const azureVersion = z
  .string()
  .regex(/^[\w.-]{1,64}$/)
  .nullish();

const shared = {
  provider: z.string({ error: 'must be a string' }),
  apiUrl: text(1, 2_048).nullish(),
  apiKey: apiKey.nullish(),
  options: options.nullish(),
};

/** The fields of CreateAgentInput and UpdateAgentInput that hold providers. */
export const providerInputs = {
  llm: z
    .strictObject({
      ...shared,
      model: modelName,
      api: z.enum(['RESPONSES', 'CHAT_COMPLETIONS']).nullish(),
      completionsPath: path.nullish(),
      contextTokens: integer(1_024, 10_000_000).nullish(),
    })
    .nullish(),
  tts: z
    .strictObject({
      ...shared,
      model: modelName.nullish(),
      voice: text(1, 200).nullish(),
      sampleRate: integer(8_000, 192_000).nullish(),
    })
    .nullish(),
  stt: z
    .strictObject({
      ...shared,
      model: modelName.nullish(),
      path: path.nullish(),
      language: z
        .string({ error: 'must be a string' })
        .regex(/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$/, 'must be a BCP 47 tag like en or pt-BR')
        .nullish(),
    })
    .nullish(),
};
/** The parsed provider fields of an input. */
export type ProviderInputs = z.output<z.ZodObject<typeof providerInputs>>;

/**
 * Checks providers against their presets, and their addresses against the address guard.
 * @throws {BadUserInputError} naming the field: an unknown provider; a missing, malformed or forbidden address; options
 *   that hold a key or a field that the server sets
 */
export function checkProviders(deps: ProviderRules, { llm, tts, stt }: ProviderInputs): ProviderDrafts {
  return {
    ...(llm !== undefined && { llm: llm && checkLlm(deps, llm) }),
    ...(tts !== undefined && { tts: tts && checkTts(deps, tts) }),
    ...(stt !== undefined && { stt: stt && checkStt(deps, stt) }),
  };
}

/** A stored configuration always says which API it uses: if none is given, the usual one of the provider. */
function checkLlm(deps: ProviderRules, input: NonNullable<ProviderInputs['llm']>): ProviderDraft {
  const { endpoint } = deps.defaults.llm;
  const known = Object.hasOwn(llmPresets, input.provider) ? llmPresets[input.provider] : undefined;
  const preset = input.provider === 'demo' ? endpoint : known;
  const llm = { ...input, api: input.api ?? preset?.api ?? 'CHAT_COMPLETIONS' };
  return check(deps, 'llm', llm, () => {
    const resolved = resolveLlm(llm, null, endpoint);
    return { ...resolved, url: requestUrl(resolved) };
  });
}

function checkTts(deps: ProviderRules, tts: NonNullable<ProviderInputs['tts']>): ProviderDraft {
  return check(deps, 'tts', tts, () => {
    const resolved = resolveTts(tts, null, deps.defaults.tts?.endpoint ?? null);
    return resolved && { ...resolved, url: speechUrl(resolved) };
  });
}

function checkStt(deps: ProviderRules, stt: NonNullable<ProviderInputs['stt']>): ProviderDraft {
  return check(deps, 'stt', stt, () => {
    const resolved = resolveStt(stt, null, deps.defaults.stt?.endpoint ?? null);
    return resolved && { ...resolved, url: transcriptionUrl(resolved) };
  });
}

const rules = {
  llm: { presets: llmPresets, needsApiUrl: llmNeedsApiUrl, reserved: reservedLlmOptions },
  tts: { presets: ttsPresets, needsApiUrl: speechNeedsApiUrl, reserved: new Set(['model', 'voice', 'input']) },
  stt: { presets: sttPresets, needsApiUrl: speechNeedsApiUrl, reserved: new Set(['model', 'file', 'language', 'uid']) },
} as const;

/** What the inputs of all kinds of providers have in common. */
interface ProviderInput {
  readonly provider: string;
  readonly apiUrl?: string | null | undefined;
  readonly apiKey?: string | null | undefined;
  readonly options?: Readonly<Record<string, Json>> | null | undefined;
  readonly [field: string]: Json | undefined;
}

/** A provider without a key of its own, resolved. */
interface ResolvedProvider {
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly model: string | null;
  readonly guarded?: boolean;
  /** What is requested, in full. */
  readonly url: string;
}

function check(
  deps: ProviderRules,
  kind: ProviderKind,
  input: ProviderInput,
  resolve: () => ResolvedProvider | null,
): ProviderDraft {
  const at: InputPath = ['input', kind];
  const { presets, needsApiUrl, reserved } = rules[kind];
  const { apiKey = null, provider, ...config } = input;
  if (!Object.hasOwn(presets, provider)) {
    throw badInput([...at, 'provider'], `must be one of ${Object.keys(presets).join(', ')}`);
  }
  const apiUrl = input.apiUrl ?? null;
  if (apiUrl === null && needsApiUrl.has(provider)) {
    throw badInput([...at, 'apiUrl'], `is missing: the provider ${provider} has no default address`);
  }
  const wrongUrl = apiUrl === null ? null : findUrlProblem(apiUrl, schemesOf(kind, provider));
  if (wrongUrl !== null) throw badInput([...at, 'apiUrl'], wrongUrl);
  if (kind === 'tts' && provider === 'demo' && Number(input.sampleRate) > maxDemoSampleRate) {
    throw badInput([...at, 'sampleRate'], `must be at most ${maxDemoSampleRate} for the demo voice`);
  }
  const wrongOption = findOptionProblem(input.options ?? {}, reserved);
  if (wrongOption !== null) throw badInput([...at, 'options', ...wrongOption.path], wrongOption.message);
  if (provider === 'azure-openai' && !azureVersion.safeParse(input.options?.apiVersion).success) {
    throw badInput([...at, 'options', 'apiVersion'], 'must be a version of the Azure API, for example "2024-10-21"');
  }
  const endpoint = resolve();
  if (endpoint === null)
    throw badInput([...at, 'apiUrl'], `is missing: this server has no ${provider} provider of its own`);
  const refusal = endpoint.guarded === true ? deps.guard.explainRefusal(endpoint.url) : null;
  if (refusal !== null) throw badInput([...at, apiUrl === null ? 'provider' : 'apiUrl'], refusal);
  const fields = Object.entries(config).map(([name, value]) => [name, value ?? null]);
  return {
    config: { provider, ...Object.fromEntries(fields) },
    origin: new URL(endpoint.apiUrl).origin,
    apiKey,
    operatorKeyProblem: findOperatorKeyProblem(deps, kind, endpoint, input.options ?? {}),
  };
}

/** Streaming transcription uses a WebSocket; known providers without it allow HTTP only. */
function schemesOf(kind: ProviderKind, provider: string): readonly string[] {
  const sockets = kind === 'stt' && (provider === 'custom' || provider === 'whisper-live');
  return sockets ? ['https:', 'http:', 'wss:', 'ws:'] : ['https:', 'http:'];
}
