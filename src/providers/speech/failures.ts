import { ProviderError, type ProviderProblem } from '../../api/errors.ts';
import { AddressRefusedError } from '../../outbound/address-guard.ts';
import { describeCause } from '../llm/failures.ts';

/** What providers of speech are called in messages. */
export type SpeechRole = 'speech' | 'transcription' | 'realtime';

/** A failure in words: "The speech provider …". */
export function speechFailure(
  role: SpeechRole,
  what: string,
  from: { readonly problem: ProviderProblem; readonly retryable: boolean; readonly cause?: unknown },
): ProviderError {
  return new ProviderError(`The ${role} provider ${what}`, from);
}

/** It did not answer, or not to the end, in the time that it is given. */
export function speechTimeout(role: SpeechRole): ProviderError {
  return speechFailure(role, 'took too long to answer.', { problem: 'TIMEOUT', retryable: true });
}

/** It answered something else than it should have. */
export function badSpeechAnswer(role: SpeechRole, what: string, cause?: unknown): ProviderError {
  return speechFailure(role, what, { problem: 'BAD_ANSWER', retryable: true, cause });
}

/** The failure that a status means. */
export function failureOfSpeechStatus(role: SpeechRole, status: number, cause?: unknown): ProviderError {
  const fail = (problem: ProviderProblem, what: string, retryable = false) =>
    speechFailure(role, what, { problem, retryable, cause });
  if (status === 401) return fail('INVALID_KEY', 'does not accept the API key.');
  if (status === 403) return fail('INVALID_KEY', 'does not let the API key use this model.');
  if (status === 404) return fail('UNKNOWN_MODEL', 'knows no such model or address: check the model and its API URL.');
  if (status === 408 || status === 504) return speechTimeout(role);
  if (status === 413) return fail('OTHER', 'finds this too large.');
  if (status === 429) return fail('RATE_LIMITED', 'is busy, or its quota is used up: try again in a moment.', true);
  if (status >= 500) return fail('OTHER', `failed (status ${status}).`, true);
  if (status >= 300 && status < 400) return fail('OTHER', 'redirects to another address: check its API URL.');
  const what = role === 'transcription' ? 'the model, the language' : 'the model, the voice';
  return fail('OTHER', `rejected the request (status ${status}): check ${what} and their settings.`);
}

/**
 * The failure that a connection ended with, before or in the midst of an answer.
 * @param from.late whether the time was up
 * @param from.begun whether an answer had begun
 */
export function failureOfSpeechConnection(
  role: SpeechRole,
  error: unknown,
  from: { readonly late: boolean; readonly begun: boolean; readonly apiKey: string },
): ProviderError {
  if (error instanceof ProviderError) return error;
  for (let at = error; at instanceof Error; at = at.cause) {
    if (!(at instanceof AddressRefusedError)) continue;
    const cause = describeCause(error, from.apiKey);
    return speechFailure(role, 'is at an address that may not be dialled.', {
      problem: 'ADDRESS_NOT_ALLOWED',
      retryable: false,
      cause,
    });
  }
  if (from.late) return speechTimeout(role);
  const cause = describeCause(error, from.apiKey);
  if (from.begun) return badSpeechAnswer(role, 'broke off its answer.', cause);
  return speechFailure(role, 'could not be reached.', { problem: 'UNREACHABLE', retryable: true, cause });
}
