import { z } from 'zod';
import { isRecord, parseJson } from '../../engine/json.ts';
import type { ModelEndpoint, ToolSpec } from '../../engine/ports.ts';
import { readResponse } from '../../outbound/read-response.ts';
import { describeCause } from '../llm/failures.ts';
import { writeFunction } from '../llm/functions.ts';
import { badSpeechAnswer, failureOfSpeechConnection, failureOfSpeechStatus, speechTimeout } from './failures.ts';
import { addressOf, keyHeaders } from './request.ts';

/** What a realtime session is bound to when its secret is minted. The browser cannot read it out of the secret. */
export interface RealtimeSessionSpec {
  readonly model: string;
  readonly instructions: string;
  /** Null: the provider's own. */
  readonly voice: string | null;
  /** The model that writes down what the user says; null: nothing is written down. */
  readonly transcriptionModel: string | null;
  readonly tools: readonly ToolSpec[];
}

/** A secret that a browser may hold. */
export interface ClientSecret {
  readonly value: string;
  /** When it can no longer be used to begin a call. */
  readonly expiresAt: Date;
}

/** How a secret is minted. */
export interface MintOptions {
  /** How long the secret can be used to begin a call, in seconds: 10 to 7,200. */
  readonly ttlSeconds: number;
  /** How to dial: guarded where the endpoint is. */
  readonly dial: typeof fetch;
  /** How long the provider may take altogether, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The answer repeats the session, with its instructions and tools. */
const maxAnswerBytes = 8_000_000;
const errorLimits = { maxBytes: 8_192, timeoutMs: 3_000 } as const;
/** No secret lasts longer: two hours and the difference between two clocks. */
const maxLifeMs = 3 * 3_600_000;
/** Secrets of this API begin with it; a provider's real keys do not. */
const secretForm = /^ek_[\x21-\x7e]{1,4000}$/;

const answer = z.object({
  value: z.string().regex(secretForm),
  /** Seconds since 1970. */
  expires_at: z.int().min(1).max(100_000_000_000),
  session: z.looseObject({ type: z.literal('realtime') }),
});

/**
 * Mints an ephemeral client secret for a realtime session: POST <apiUrl>/realtime/client_secrets, as OpenAI has it.
 * @param endpoint the address and the key of an agent's model provider
 * @throws {ProviderError} if the provider refuses, cannot be reached, takes too long, or returns something else than a fresh
 *   secret, such as the key itself. Nothing of its answer is in the error if it could hold a secret
 */
export async function mintClientSecret(
  endpoint: ModelEndpoint,
  spec: RealtimeSessionSpec,
  { ttlSeconds, dial, timeoutMs, signal }: MintOptions,
): Promise<ClientSecret> {
  const { apiUrl, apiKey, query = {}, keyStyle = 'bearer' } = endpoint;
  const late = AbortSignal.timeout(timeoutMs);
  let begun = false;
  try {
    const response = await dial(addressOf({ apiUrl, path: null, query }, '/realtime/client_secrets'), {
      method: 'POST',
      headers: { ...keyHeaders({ apiKey, keyStyle }), 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({
        expires_after: { anchor: 'created_at', seconds: ttlSeconds },
        session: writeSession(spec, endpoint),
      }),
      signal: AbortSignal.any([signal, late]),
    });
    begun = true;
    if (!response.ok) {
      const said = (await readResponse(response, errorLimits)).bytes.toString('utf8');
      throw failureOfSpeechStatus('realtime', response.status, describeCause(maskSecrets(said), apiKey));
    }
    const { bytes, cut } = await readResponse(response, { maxBytes: maxAnswerBytes, timeoutMs });
    if (cut === 'late' || late.aborted) throw speechTimeout('realtime');
    if (cut !== null) throw badSpeechAnswer('realtime', 'broke off its answer.');
    return readSecret(bytes.toString('utf8'), apiKey);
  } catch (error) {
    throw failureOfSpeechConnection('realtime', error, { late: late.aborted, begun, apiKey });
  }
}

function writeSession(spec: RealtimeSessionSpec, endpoint: ModelEndpoint): Record<string, unknown> {
  const { model, instructions, voice, transcriptionModel } = spec;
  const input = transcriptionModel === null ? {} : { input: { transcription: { model: transcriptionModel } } };
  const output = voice === null ? {} : { output: { voice } };
  const tools = spec.tools.map((tool) => ({ type: 'function', ...writeFunction(tool, endpoint) }));
  return { type: 'realtime', model, instructions, audio: { ...input, ...output }, tools };
}

function readSecret(text: string, apiKey: string): ClientSecret {
  const answered = parseJson(text);
  // A server that is only a proxy may return what it was sent. Nothing but the value leaves this function.
  const value = isRecord(answered) ? answered.value : null;
  if (typeof value === 'string' && holdsKey(value, apiKey)) {
    throw badSpeechAnswer('realtime', 'returned the API key itself.');
  }
  const read = answer.safeParse(answered);
  if (!read.success) throw badSpeechAnswer('realtime', 'sent something that is no client secret.');
  const expiresAt = new Date(read.data.expires_at * 1_000);
  const leftMs = expiresAt.getTime() - Date.now();
  if (leftMs <= 0) throw badSpeechAnswer('realtime', 'sent a client secret that has expired.');
  if (leftMs > maxLifeMs) throw badSpeechAnswer('realtime', 'sent a client secret that does not expire soon.');
  return { value: read.data.value, expiresAt };
}

/** Keys that are very short, such as the demo's, may stand in anything. */
function holdsKey(value: string, apiKey: string): boolean {
  return apiKey !== '' && (value === apiKey || (apiKey.length >= 8 && value.includes(apiKey)));
}

function maskSecrets(text: string): string {
  return text.replaceAll(/\bek_[\x21-\x7e]+/g, '[secret]');
}
