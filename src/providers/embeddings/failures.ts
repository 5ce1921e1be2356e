import { ProviderError, type ProviderProblem } from '../../api/errors.ts';
import type { ModelProblem } from '../../engine/ports.ts';
import { failureOfRequest } from '../llm/failures.ts';

/** What was wrong with the vectors of an answer. */
export type VectorProblem = 'COUNT' | 'DIMENSIONS' | 'NOT_FINITE' | 'ZERO' | 'UNREADABLE';

/** The embedding provider answered, but its vectors cannot be used. */
export class BadVectorsError extends ProviderError {
  readonly vectorProblem: VectorProblem;

  constructor(vectorProblem: VectorProblem, what: string) {
    // What a model returns for a text does not change when it is asked again, but for what a proxy breaks.
    super(`The embedding provider ${what}`, { problem: 'BAD_ANSWER', retryable: vectorProblem === 'UNREADABLE' });
    this.vectorProblem = vectorProblem;
  }
}

const words: Readonly<Record<ModelProblem, readonly [ProviderProblem, string]>> = {
  INVALID_KEY: ['INVALID_KEY', 'does not accept the API key.'],
  UNKNOWN_MODEL: ['UNKNOWN_MODEL', 'knows no such model or address: check the model and its API URL.'],
  UNREACHABLE: ['UNREACHABLE', 'could not be reached.'],
  ADDRESS_NOT_ALLOWED: ['ADDRESS_NOT_ALLOWED', 'is at an address that may not be dialled.'],
  TIMEOUT: ['TIMEOUT', 'took too long to answer.'],
  RATE_LIMITED: ['RATE_LIMITED', 'is busy, or its quota is used up: try again in a moment.'],
  REFUSED: ['OTHER', 'rejected the request: check the model and its dimensions.'],
  BAD_ANSWER: ['BAD_ANSWER', 'sent an answer that cannot be read.'],
  OTHER: ['OTHER', 'failed, or rejected the request: check the model and its dimensions.'],
};

/**
 * The failure of a request to an embedding provider.
 * @param error what the openai package, or the guard, has thrown
 * @param apiKey does not appear in the cause
 */
export function failureOfEmbedding(error: unknown, apiKey: string, timeoutSeconds: number): ProviderError {
  if (error instanceof ProviderError) return error;
  const { problem: of, failure, cause } = failureOfRequest(error, apiKey, timeoutSeconds);
  const [problem, what] = words[of];
  return new ProviderError(`The embedding provider ${what}`, { problem, retryable: failure.retryable, cause });
}
