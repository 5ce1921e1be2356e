import type { Failure } from '../engine/ports.ts';
import type { RunEvent, RunEventPayload } from '../log/event.ts';

/** How a run ends. */
export type RunEnd =
  | { readonly status: 'COMPLETED' | 'CANCELLED'; readonly failure: null }
  | { readonly status: 'FAILED'; readonly failure: Failure };

/** Somebody cancelled the run, or nobody decided on its tool calls in time. */
export const cancelledEnd: RunEnd = { status: 'CANCELLED', failure: null };

/** The failure of a run whose process stopped before the run ended. */
export const interrupted = {
  code: 'INTERRUPTED',
  message: 'The server stopped while this turn was running. The text so far is kept.',
  retryable: true,
} as const satisfies Failure;

/** The last event of a run. */
export function terminalEvent(runId: string, seq: number, end: RunEnd): RunEvent {
  const payload: RunEventPayload =
    end.status === 'FAILED'
      ? { type: 'RunFailed', failure: end.failure }
      : { type: end.status === 'COMPLETED' ? 'RunCompleted' : 'RunCancelled' };
  return { ...payload, seq, runId, at: Date.now() };
}

/** How a run ended, by its last event; null for an event that is not terminal. */
export function readEnd(event: RunEvent): RunEnd | null {
  switch (event.type) {
    case 'RunCompleted':
      return { status: 'COMPLETED', failure: null };
    case 'RunCancelled':
      return cancelledEnd;
    case 'RunFailed':
      return { status: 'FAILED', failure: event.failure };
    default:
      return null;
  }
}
