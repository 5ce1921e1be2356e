import { APIConnectionError, APIConnectionTimeoutError, APIError } from 'openai';
import { z } from 'zod';
import { type Failure, ModelError } from '../engine/ports.ts';

/** Characters of what the provider said that are kept for the log. */
const maxCauseLength = 500;

/** What providers call a refusal by policy. Azure, OpenAI and the Responses API each have their own. */
const refusalCodes: ReadonlySet<unknown> = new Set([
  'content_filter',
  'content_policy_violation',
  'responsible_ai_policy_violation',
  'moderation_blocked',
  'cyber_policy_violation',
]);

const refused: Failure = { code: 'MODEL_REFUSED', message: 'The model refused to answer this.', retryable: false };
const timedOut: Failure = { code: 'MODEL_TIMEOUT', message: 'The model took too long to answer.', retryable: true };

/** The model said no, or a filter of its provider did. */
export function refusal(): ModelError {
  return new ModelError(refused);
}

/** Nothing came for longer than is waited. */
export function timeout(): ModelError {
  return new ModelError(timedOut);
}

/** The stream ended, cleanly or not, before the answer did. */
export function brokenOff(cause?: unknown): ModelError {
  return modelError('The answer of the model broke off before its end.', true, cause);
}

/** The answer is not what the API promises. */
export function malformedAnswer(cause?: unknown): ModelError {
  return modelError('The model provider sent an answer that cannot be read.', true, cause);
}

/** The answer is larger than one step may be. */
export function oversizedAnswer(): ModelError {
  return modelError('The answer of the model is too large.', false);
}

/**
 * The failure that a request ended with, before any answer. What the provider said goes, without the API key and
 * cut short, into `cause`: it is for the log and never for the user.
 */
export function failureOfRequest(error: unknown, apiKey: string): ModelError {
  // What guards the dialling may refuse in its own words.
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof ModelError) return at;
  }
  const cause = describeCause(error, apiKey);
  if (error instanceof APIConnectionTimeoutError) return new ModelError(timedOut, { cause });
  if (error instanceof APIConnectionError) {
    return modelError('The model provider could not be reached.', true, cause);
  }
  if (error instanceof APIError && typeof error.status === 'number') {
    const retryAfterMs = readRetryAfter(error.headers);
    return new ModelError(failureOfStatus(error.status, error.code, error.param), { cause, retryAfterMs });
  }
  return modelError('The request to the model provider could not be made: check its API URL and key.', false, cause);
}

/** The pause that a provider asks for, in milliseconds: `retry-after-ms`, or Retry-After (RFC 9110, section 10.2.3). */
function readRetryAfter(headers: Headers | undefined): number | null {
  const exact = Number(headers?.get('retry-after-ms') ?? Number.NaN);
  if (Number.isFinite(exact)) return Math.max(0, exact);
  const written = headers?.get('retry-after') ?? null;
  if (written === null) return null;
  const seconds = Number(written);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(written) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

/** The failure that a connection ended with in the middle of an answer. */
export function failureOfConnection(error: unknown, apiKey: string): ModelError {
  const code = error instanceof Error && error.cause instanceof Error && 'code' in error.cause && error.cause.code;
  const cause = describeCause(error, apiKey);
  if (code === 'UND_ERR_BODY_TIMEOUT') return new ModelError(timedOut, { cause });
  return brokenOff(cause);
}

const reportedError = z.object({
  code: z.union([z.string(), z.number()]).nullish().catch(null),
  type: z.string().nullish().catch(null),
  param: z.string().nullish().catch(null),
  status: z.number().nullish().catch(null),
  message: z.string().nullish().catch(null),
});

/** The failure that a provider reported within its answer: the value of `error`, or an event that is an error. */
export function failureOfReport(value: unknown, apiKey: string): ModelError {
  const report = reportedError.safeParse(value).data;
  const cause = describeCause(new Error(report?.message ?? JSON.stringify(value) ?? ''), apiKey);
  const code = report?.code ?? null;
  const status =
    report?.status ?? (typeof code === 'number' ? code : (statusOfWord(code) ?? statusOfWord(report?.type)));
  return new ModelError(failureOfStatus(status ?? 500, code, report?.param), { cause });
}

/** The status that would have gone with a code or type, had the error come before the answer. */
function statusOfWord(word: unknown): number | undefined {
  if (typeof word !== 'string' || word === '') return undefined;
  if (/rate_limit|insufficient_quota|too_many|overloaded/u.test(word)) return 429;
  if (/timeout/u.test(word)) return 408;
  if (/server|internal|unavailable/u.test(word)) return 500;
  if (/authentication|api_key/u.test(word)) return 401;
  if (/permission/u.test(word)) return 403;
  if (/not_found/u.test(word)) return 404;
  if (/invalid|unsupported|context_length/u.test(word)) return 400;
  return undefined;
}

function failureOfStatus(status: number, code: unknown, param: unknown): Failure {
  if (refusalCodes.has(code)) return refused;
  if (code === 'insufficient_quota') {
    return { code: 'RATE_LIMITED', message: 'The quota at the model provider is used up.', retryable: false };
  }
  if (status === 429) {
    return { code: 'RATE_LIMITED', message: 'The model provider is busy: try again in a moment.', retryable: true };
  }
  if (status === 408 || status === 504) return timedOut;
  const retryable = status === 409 || status === 425 || status >= 500;
  return { code: 'MODEL_ERROR', message: messageOfStatus(status, code, param), retryable };
}

function messageOfStatus(status: number, code: unknown, param: unknown): string {
  if (code === 'context_length_exceeded' || status === 413) return 'The conversation is too long for the model.';
  if (param === 'temperature') return 'The model does not accept this temperature.';
  if (status === 401) return 'The model provider does not accept the API key.';
  if (status === 402) return 'The account at the model provider has to be paid first.';
  if (status === 403) return 'The API key may not use this model.';
  if (status === 404) return 'The model provider knows no such model or address: check the model and its API URL.';
  if (status >= 300 && status < 400) return 'The model provider redirects to another address: check its API URL.';
  if (status >= 500) return `The model provider failed (status ${status}).`;
  return `The model provider rejected the request (status ${status}): check the model and its settings.`;
}

function modelError(message: string, retryable: boolean, cause?: unknown): ModelError {
  return new ModelError({ code: 'MODEL_ERROR', message, retryable }, cause === undefined ? {} : { cause });
}

/** What an error says, in few words and without the API key, which providers and URL parsers like to repeat. */
function describeCause(error: unknown, apiKey: string): Error {
  const parts: string[] = [];
  for (let at = error; at instanceof Error && parts.length < 3; at = at.cause) parts.push(`${at.name}: ${at.message}`);
  const text = parts.length === 0 ? String(error) : parts.join('; ');
  const masked = apiKey === '' ? text : text.replaceAll(apiKey, '[key]');
  return new Error(masked.slice(0, maxCauseLength).toWellFormed());
}
