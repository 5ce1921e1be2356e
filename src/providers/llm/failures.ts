import { APIConnectionError, APIConnectionTimeoutError, APIError } from 'openai';
import { z } from 'zod';
import { ModelError, type ModelProblem } from '../../engine/ports.ts';
import { AddressRefusedError } from '../../outbound/guard.ts';
import { failureOfStatus, refused, timedOut } from './status.ts';

/** Characters of what the provider said that are kept for the log. */
const maxCauseLength = 500;

/** The model said no, or a filter of its provider did. */
export function refusal(): ModelError {
  return new ModelError(refused, { problem: 'REFUSED' });
}

/** Nothing came for longer than is waited. */
export function timeout(): ModelError {
  return new ModelError(timedOut, { problem: 'TIMEOUT' });
}

/** The stream ended, cleanly or not, before the answer did. */
export function brokenOff(cause?: unknown): ModelError {
  return modelError('The answer of the model broke off before its end.', true, 'BAD_ANSWER', cause);
}

/** The answer is not what the API promises. */
export function malformedAnswer(cause?: unknown): ModelError {
  return modelError('The model provider sent an answer that cannot be read.', true, 'BAD_ANSWER', cause);
}

/** The path to the model would lead elsewhere with this name in it. */
export function unusableModelName(): ModelError {
  return modelError('The model cannot be named . or .. at this provider.', false, 'UNKNOWN_MODEL');
}

/** The answer is larger than one step may be. */
export function oversizedAnswer(): ModelError {
  return modelError('The answer of the model is too large.', false, 'BAD_ANSWER');
}

/**
 * The failure that a request ended with, before any answer. What the provider said goes, without the API key and
 * cut short, into `cause`: it is for the log and never for the user.
 */
export function failureOfRequest(error: unknown, apiKey: string): ModelError {
  // What guards the dialling may refuse in its own words.
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof ModelError) return at;
    if (at instanceof AddressRefusedError) return refusedAddress(at);
  }
  const cause = describeCause(error, apiKey);
  if (error instanceof APIConnectionTimeoutError) return new ModelError(timedOut, { problem: 'TIMEOUT', cause });
  if (error instanceof APIConnectionError) {
    return modelError('The model provider could not be reached.', true, 'UNREACHABLE', cause);
  }
  if (error instanceof APIError && typeof error.status === 'number') {
    const retryAfterMs = readRetryAfter(error.headers);
    const { code, param } = error;
    const message = error.message.slice(0, maxCauseLength);
    const { failure, problem } = failureOfStatus(error.status, {
      code,
      param,
      message,
      isReport: isReport(error.error),
    });
    return new ModelError(failure, { problem, cause, retryAfterMs });
  }
  const message = 'The request to the model provider could not be made: check its API URL and key.';
  return modelError(message, false, 'OTHER', cause);
}

function refusedAddress({ why }: AddressRefusedError): ModelError {
  return modelError(`The address of the model provider is not allowed: it ${why}.`, false, 'ADDRESS_NOT_ALLOWED');
}

/** Ollama and others write an error as a string. */
function isReport(value: unknown): boolean {
  return typeof value === 'string' ? value !== '' : typeof value === 'object' && value !== null;
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
  return brokenOff(describeCause(error, apiKey));
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
  const report = reportedError.safeParse(typeof value === 'string' ? { message: value } : value).data;
  const cause = describeCause(new Error(report?.message ?? JSON.stringify(value) ?? ''), apiKey);
  const code = report?.code ?? null;
  const status =
    report?.status ?? (typeof code === 'number' ? code : (statusOfWord(code) ?? statusOfWord(report?.type)));
  const told = {
    code,
    param: report?.param,
    message: (report?.message ?? '').slice(0, maxCauseLength),
    isReport: true,
  };
  const { failure, problem } = failureOfStatus(status ?? 500, told);
  return new ModelError(failure, { problem, cause });
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

function modelError(message: string, retryable: boolean, problem: ModelProblem, cause?: unknown): ModelError {
  return new ModelError(
    { code: 'MODEL_ERROR', message, retryable },
    { problem, ...(cause === undefined ? {} : { cause }) },
  );
}

/** What an error says, in few words and without the API key, which providers and URL parsers like to repeat. */
export function describeCause(error: unknown, apiKey: string): Error {
  const parts: string[] = [];
  for (let at = error; at instanceof Error && parts.length < 3; at = at.cause) parts.push(`${at.name}: ${at.message}`);
  const text = parts.length === 0 ? String(error) : parts.join('; ');
  const masked = apiKey === '' ? text : text.replaceAll(apiKey, '[key]');
  return new Error(masked.slice(0, maxCauseLength).toWellFormed());
}
