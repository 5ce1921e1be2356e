import { APIConnectionError, APIConnectionTimeoutError, APIError } from 'openai';
import { ModelError, type ModelProblem } from '../../engine/ports.ts';
import { AddressRefusedError } from '../../outbound/address-guard.ts';
import { readContextWindow } from './context-overflow.ts';
import { type ProviderErrorBody, readErrorValue } from './error-body.ts';
import { readRetryHeader, readRetryHint } from './retry-after.ts';
import { failureOfStatus, refused, timedOut } from './status.ts';

/** Characters of what the provider said that the log gets. */
const maxCauseLength = 500;

/** The model refused, or a filter of its provider did. */
export function refusal(): ModelError {
  return new ModelError(refused, { problem: 'REFUSED' });
}

/** The provider was silent for too long in the middle of an answer. */
export function timeout(): ModelError {
  return new ModelError(timedOut, { problem: 'TIMEOUT' });
}

/**
 * The provider did not begin to answer. The step is not tried again: a server that is still loading a model would cancel
 * the load, and begin it anew.
 * @param seconds how long it was given
 */
export function firstByteTimeout(seconds: number): ModelError {
  const message = `The model did not begin to answer within ${seconds} seconds. If it is still being loaded, try again in a minute; FIRST_BYTE_TIMEOUT_SECONDS sets how long to wait.`;
  return new ModelError({ code: 'MODEL_TIMEOUT', message, retryable: true }, { problem: 'TIMEOUT', isRetried: false });
}

/** The stream ended, cleanly or not, before the answer did. */
export function brokenOff(cause?: unknown): ModelError {
  return modelError('The model’s answer ended before it was complete.', true, 'BAD_ANSWER', cause);
}

/** The provider said that the answer failed while it was written. */
export function failedAnswer(): ModelError {
  return modelError('The model provider failed while it wrote the answer.', true, 'BAD_ANSWER');
}

const emptyReasons = {
  cut: [
    'The model reached its token limit before it wrote an answer: it spent all tokens on reasoning. Raise or remove maxTokens, or lower the reasoning effort.',
    false,
  ],
  'cut-call': ['The model reached its token limit in the middle of a tool call. Raise or remove maxTokens.', false],
  'only-reasoning': [
    'The model stopped after its reasoning, without an answer. Try again, or use another model.',
    true,
  ],
  nothing: ['The model returned an empty answer. Try again, or use another model.', true],
} as const;

/** The answer is complete, but there is nothing in it. */
export function emptyAnswer(reason: keyof typeof emptyReasons): ModelError {
  const [message, retryable] = emptyReasons[reason];
  return new ModelError({ code: 'EMPTY_ANSWER', message, retryable }, { problem: 'BAD_ANSWER' });
}

/** The answer is not what the API promises. */
export function malformedAnswer(cause?: unknown): ModelError {
  return modelError('The model provider sent an answer that cannot be read.', true, 'BAD_ANSWER', cause);
}

/** The answer is a web page: whatever is at that address is not the API. */
export function webPage(): ModelError {
  return modelError(
    'The model provider sent a web page instead of an answer: check its API URL, which usually ends in /v1.',
    true,
    'BAD_ANSWER',
  );
}

/** The path to the model would lead elsewhere with this name in it. */
export function unusableModelName(): ModelError {
  return modelError('The model cannot be named . or .. at this provider.', false, 'UNKNOWN_MODEL');
}

/** The answer is larger than one step may be. */
export function oversizedAnswer(): ModelError {
  return modelError('The answer of the model is too large.', false, 'BAD_ANSWER');
}

/** The model wrote arguments that are longer than a call, or the calls of a step, may have. */
export function oversizedArguments(what: string, maxLength: number): ModelError {
  const limit = maxLength.toLocaleString('en-US');
  const message = `The model wrote more than ${limit} characters of arguments for ${what}. Ask it for less at a time, or give the tool a reference instead of the data.`;
  return modelError(message, false, 'BAD_ANSWER');
}

/** The model made more calls in one step than a step may have. */
export function tooManyCalls(maxCalls: number): ModelError {
  return modelError(`The model made more than ${maxCalls} tool calls in one step.`, false, 'BAD_ANSWER');
}

/**
 * The failure that a request ended with, before any answer. What the provider said goes, without the API key and cut
 * short, into `cause`: it is for the log and never for the user.
 * @param firstByteSeconds how long the provider was given to begin
 */
export function failureOfRequest(error: unknown, apiKey: string, firstByteSeconds: number): ModelError {
  // The address guard refuses in its own words.
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof ModelError) return at;
    if (at instanceof AddressRefusedError) return refusedAddress(at);
  }
  const cause = describeCause(error, apiKey);
  if (error instanceof APIConnectionTimeoutError) return firstByteTimeout(firstByteSeconds);
  if (error instanceof APIConnectionError) {
    return modelError('The model provider could not be reached.', true, 'UNREACHABLE', cause);
  }
  if (error instanceof APIError && typeof error.status === 'number') {
    const body =
      error.error === undefined ? { ...readErrorValue(error.message), isReport: false } : readErrorValue(error.error);
    return failureOfBody(error.status, body, cause, readRetryHeader(error.headers));
  }
  const message = 'The request to the model provider could not be made: check its API URL and key.';
  return modelError(message, false, 'OTHER', cause);
}

function failureOfBody(status: number, body: ProviderErrorBody, cause: Error, retryAfterMs: number | null): ModelError {
  const { failure, problem } = failureOfStatus(status, body);
  const contextTokens = failure.code === 'CONTEXT_TOO_LONG' ? readContextWindow(body.message) : null;
  const hint = failure.code === 'RATE_LIMITED' ? readRetryHint(body.message) : null;
  return new ModelError(failure, { problem, cause, retryAfterMs: retryAfterMs ?? hint, contextTokens });
}

function refusedAddress({ why }: AddressRefusedError): ModelError {
  return modelError(`The address of the model provider is not allowed: it ${why}.`, false, 'ADDRESS_NOT_ALLOWED');
}

/** The failure that a connection ended with in the middle of an answer. */
export function failureOfConnection(error: unknown, apiKey: string): ModelError {
  return brokenOff(describeCause(error, apiKey));
}

/** The failure that a provider reported within its answer: an event that is an error, or the value of `error`. */
export function failureOfReport(value: unknown, apiKey: string): ModelError {
  const body = readErrorValue(value);
  const cause = describeCause(new Error(body.message || (JSON.stringify(value) ?? '')), apiKey);
  const status = body.status ?? statusOfWord(body.code) ?? statusOfWord(body.type) ?? 500;
  return failureOfBody(status, body, cause, null);
}

/** The status that would have gone with a code or type, if the error had come before the answer. */
function statusOfWord(word: string): number | undefined {
  if (/rate_?limit|insufficient_quota|too_?many|overloaded|resource_exhausted/iu.test(word)) return 429;
  if (/time_?out|deadline/iu.test(word)) return 408;
  if (/server|internal|unavailable/iu.test(word)) return 500;
  if (/authentication|api_key|unauthenticated/iu.test(word)) return 401;
  if (/permission/iu.test(word)) return 403;
  if (/not_?found/iu.test(word)) return 404;
  if (/invalid|unsupported|context_length|bad_?request/iu.test(word)) return 400;
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
