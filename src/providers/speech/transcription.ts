import { z } from 'zod';
import type { ProviderError } from '../../api/errors.ts';
import { cleanText } from '../../engine/text.ts';
import { readResponse } from '../../outbound/read-response.ts';
import type { TranscriptionEndpoint } from '../llm/endpoints.ts';
import { describeCause } from '../llm/failures.ts';
import type { AudioType } from './audio-type.ts';
import { badSpeechAnswer, failureOfSpeechConnection, failureOfSpeechStatus, speechTimeout } from './failures.ts';
import { keyHeaders, transcriptionUrl } from './request.ts';

/** What bounds a transcription. */
export interface TranscriptionLimits {
  /** How long it may take altogether, in milliseconds; a streaming provider gets the length of the audio on top. */
  readonly totalMs: number;
  /**
   * How long a streaming provider may say nothing new before that counts as all, in milliseconds; it gets the length of
   * the sound that it has said nothing of on top, up to half of `totalMs`.
   */
  readonly quietMs: number;
  /** The longest text, in bytes of the answer. */
  readonly maxBytes: number;
}

/** What was said. */
export interface Transcription {
  readonly text: string;
  /** As the provider calls it, mostly BCP 47; null: it did not say. */
  readonly language: string | null;
  /** How long the audio is; null: the provider did not say. */
  readonly durationMs: number | null;
}

/** What a provider calls a language; what is no well-formed text is no name of one. */
export const languageName = z
  .string()
  .max(100)
  .refine((name) => name.isWellFormed() && !name.includes('\u0000'));

const answered = z.object({
  text: z.string(),
  language: languageName.nullish().catch(null),
  // OpenAI writes it as a number, others as a text.
  duration: z.coerce.number().min(0).max(1_000_000).nullish().catch(null),
});

/** The statuses by which a provider says that it does not know a parameter. */
const unknownParameter: ReadonlySet<number> = new Set([400, 415, 422]);

/**
 * Has audio written down: POST <apiUrl>/audio/transcriptions, as OpenAI has it. It asks for the language and the duration
 * as well, and again without them where the provider refuses that: newer models of OpenAI give the text alone.
 *
 * @param audio the file; the provider is told its type by a name that is made here
 * @throws {ProviderError} when the provider refuses, cannot be reached, takes too long or answers something else
 */
export async function transcribeByHttp(
  endpoint: TranscriptionEndpoint,
  audio: { readonly data: Uint8Array; readonly type: AudioType },
  options: { readonly dial: typeof fetch; readonly limits: TranscriptionLimits; readonly signal: AbortSignal },
): Promise<Transcription> {
  const { limits } = options;
  const late = AbortSignal.timeout(limits.totalMs);
  const signal = AbortSignal.any([options.signal, late]);
  const deadline = performance.now() + limits.totalMs;
  let begun = false;
  const ask = async (format: 'verbose_json' | 'json') => {
    const { contentType, body } = await writeForm(endpoint, audio, format);
    const response = await options.dial(transcriptionUrl(endpoint), {
      method: 'POST',
      headers: { ...keyHeaders(endpoint), 'content-type': contentType, accept: 'application/json' },
      body,
      signal,
    });
    begun = true;
    const timeoutMs = Math.max(1, deadline - performance.now());
    return { status: response.status, ...(await readResponse(response, { maxBytes: limits.maxBytes, timeoutMs })) };
  };
  try {
    let answer = await ask('verbose_json');
    if (unknownParameter.has(answer.status)) {
      begun = false;
      answer = await ask('json');
    }
    const { status, bytes, cut } = answer;
    if (status < 200 || status > 299) {
      throw failureOfSpeechStatus('transcription', status, describeCause(bytes.toString('utf8'), endpoint.apiKey));
    }
    if (cut !== null) throw failureOfCut(late.aborted ? 'late' : cut);
    return readTranscription(bytes.toString('utf8'));
  } catch (error) {
    throw failureOfSpeechConnection('transcription', error, { late: late.aborted, begun, apiKey: endpoint.apiKey });
  }
}

function failureOfCut(cut: 'large' | 'late' | 'broken'): ProviderError {
  if (cut === 'late') return speechTimeout('transcription');
  return badSpeechAnswer(
    'transcription',
    cut === 'large' ? 'sent an answer that is too large.' : 'broke off its answer.',
  );
}

async function writeForm(
  { options, model, language }: TranscriptionEndpoint,
  { data, type }: { readonly data: Uint8Array; readonly type: AudioType },
  format: string,
) {
  const fields: Record<string, unknown> = { ...options, response_format: format };
  if (model !== null && model !== '') fields.model = model;
  // Whisper's languages are the first part of a BCP 47 tag.
  if (language !== null) fields.language = language.split('-', 1)[0];
  const values = Object.entries(fields).filter(([name]) => /^[\w[\]-]{1,64}$/.test(name) && name !== 'file');
  const form = new FormData();
  form.append('file', new Blob([Buffer.from(data)], { type: type.mediaType }), `audio.${type.extension}`);
  for (const [name, value] of values) form.append(name, typeof value === 'string' ? value : JSON.stringify(value));
  const request = new Response(form);
  return { contentType: request.headers.get('content-type') ?? '', body: await request.bytes() };
}

function readTranscription(body: string): Transcription {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw badSpeechAnswer('transcription', 'sent an answer that cannot be read.');
  }
  const read = answered.safeParse(json);
  if (!read.success) throw badSpeechAnswer('transcription', 'sent an answer that has no text.');
  const { text, language, duration } = read.data;
  return {
    text: cleanText(text.trim()),
    language: language ? toLanguageTag(language) : null,
    durationMs: typeof duration === 'number' ? Math.round(duration * 1_000) : null,
  };
}

let tagsByName: ReadonlyMap<string, string> | undefined;

/** OpenAI calls languages by their English names: "english" becomes "en". Anything else stays as it is. */
export function toLanguageTag(language: string): string {
  if (tagsByName === undefined) {
    const names = new Intl.DisplayNames('en', { type: 'language', fallback: 'none' });
    const letters = [...'abcdefghijklmnopqrstuvwxyz'];
    const pairs = letters.flatMap((first) => letters.map((second) => first + second));
    // Some languages have an old tag as well.
    const tags = pairs.filter((tag) => Intl.getCanonicalLocales(tag)[0] === tag && names.of(tag) !== undefined);
    tagsByName = new Map(tags.map((tag) => [(names.of(tag) ?? '').toLowerCase(), tag]));
  }
  return tagsByName.get(language.toLowerCase()) ?? language;
}
