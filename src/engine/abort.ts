import type { Failure } from './ports.ts';

/** Why a turn was stopped from outside: the reason that its AbortSignal carries. */
export class TurnAborted extends Error {
  override readonly name = 'TurnAborted';
  /** Why it failed; null: somebody cancelled it. */
  readonly failure: Failure | null;

  constructor(failure: Failure | null = null) {
    super(failure?.message ?? 'The turn was cancelled.');
    this.failure = failure;
  }
}

/**
 * Waits for a promise or for the signal, whichever is first: for work that may ignore its signal.
 * @throws the signal's reason if it is aborted first
 */
export async function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  // If the signal is first, nobody listens to the work any more: also where it was aborted before.
  work.catch(() => {});
  signal.throwIfAborted();
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (stop) signal.removeEventListener('abort', stop);
  }
}
