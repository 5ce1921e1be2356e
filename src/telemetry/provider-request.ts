import { providerSeconds } from './metrics.ts';

/** What a provider is asked for, beside model calls. */
export type ProviderPurpose = 'moderation' | 'speech' | 'transcription' | 'realtime_key';

/** The failures that are told apart, as the errors of providers name them. */
const problems: ReadonlySet<string> = new Set([
  'INVALID_KEY',
  'UNKNOWN_MODEL',
  'UNREACHABLE',
  'TIMEOUT',
  'ADDRESS_NOT_ALLOWED',
  'RATE_LIMITED',
  'REFUSED',
  'BAD_ANSWER',
]);

/** Measures a request to a provider that is no model call. @param signal aborted: nobody waits for it any more */
export async function measureRequest<Result>(
  purpose: ProviderPurpose,
  signal: AbortSignal,
  request: () => Promise<Result>,
): Promise<Result> {
  const begunAt = performance.now();
  let outcome = 'OK';
  try {
    return await request();
  } catch (error) {
    outcome = signal.aborted ? 'CANCELLED' : nameProblem(error);
    throw error;
  } finally {
    providerSeconds.observe({ purpose, outcome }, (performance.now() - begunAt) / 1_000);
  }
}

/** The label of a failure: one of a fixed set. */
function nameProblem(error: unknown): string {
  const named = error instanceof Error && 'problem' in error ? error.problem : null;
  return typeof named === 'string' && problems.has(named) ? named : 'OTHER';
}
