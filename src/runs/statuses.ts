import type { Run } from '../generated/prisma/client.ts';

/** The status of a run. */
export type RunStatus = Run['status'];

/** The run has not ended. At most one run of a conversation is RUNNING or REQUIRES_ACTION; the others wait in its queue. */
export const unfinishedStatuses = ['QUEUED', 'RUNNING', 'REQUIRES_ACTION'] as const satisfies readonly RunStatus[];

/** The run has begun and has not ended: no other run of its conversation may begin. */
export const begunStatuses = ['RUNNING', 'REQUIRES_ACTION'] as const satisfies readonly RunStatus[];

/** The run has ended. Its row does not change any more. */
const terminalStatuses = ['COMPLETED', 'FAILED', 'CANCELLED'] as const satisfies readonly RunStatus[];

/** All statuses: each run has one of them. */
export const allStatuses = [...unfinishedStatuses, ...terminalStatuses] as const;

/** Whether a run has ended. */
export function hasEnded({ status }: { readonly status: RunStatus }): boolean {
  return terminalStatuses.some((terminal) => terminal === status);
}

/**
 * A message that waits to join a run is a queued run with a number from here on: it is in no list, and behind all turns that
 * wait. When it becomes a turn of its own, it gets the next number of its conversation.
 */
export const provisionalNumbers = 1_000_000_000;
