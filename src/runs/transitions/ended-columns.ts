import type { RunEnd } from '../run-end.ts';

/** The columns of a run that has ended. */
export function endedColumns(end: RunEnd, lastSeq: number, finishedAt = new Date()) {
  return {
    status: end.status,
    errorCode: end.failure?.code ?? null,
    errorMessage: end.failure?.message ?? null,
    errorRetryable: end.failure?.retryable ?? null,
    lastSeq,
    finishedAt,
    leaseOwner: null,
    leaseExpiresAt: null,
    actionExpiresAt: null,
  };
}
