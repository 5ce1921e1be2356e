import type { ExecutionResult } from 'graphql';
import { isUnavailable } from '../../database/errors.ts';
import { type RetryOptions, retryWhileAway } from '../../database/outage.ts';

/**
 * Executes the selection of an event, and executes it again while the database is away: readers wait, and no event is
 * swallowed by what it selects. An event changes nothing, so it can be executed as often as needed.
 * @param execute with caches of its own each time; null: the event is left out
 * @param options.signal the reader has left
 * @returns the result; with its errors, if the database is away for too long or the reader has left
 */
export async function executeWhileAway(
  execute: () => Promise<ExecutionResult>,
  isLeftOut: (result: ExecutionResult) => Promise<boolean>,
  options: RetryOptions,
): Promise<ExecutionResult | null> {
  let last: ExecutionResult | null = null;
  const attempt = async () => {
    last = null;
    const result = await execute();
    last = result;
    for (const { originalError } of result.errors ?? []) if (isUnavailable(originalError)) throw originalError;
    return (await isLeftOut(result)) ? null : result;
  };
  try {
    return await retryWhileAway(attempt, options);
  } catch (error) {
    if (last !== null && (isUnavailable(error) || options.signal?.aborted)) return last;
    throw error;
  }
}
