import type { Run } from '../generated/prisma/client.ts';

/** The status of a run. */
export type RunStatus = Run['status'];

/** The run has not ended. At most one run of a conversation is RUNNING or REQUIRES_ACTION; the others wait in its queue. */
export const unfinishedStatuses = ['QUEUED', 'RUNNING', 'REQUIRES_ACTION'] as const satisfies readonly RunStatus[];

/** The run has begun and has not ended: no other run of its conversation may begin. */
export const begunStatuses = ['RUNNING', 'REQUIRES_ACTION'] as const satisfies readonly RunStatus[];

/** The run has ended. Its row does not change any more. */
const terminalStatuses = ['COMPLETED', 'FAILED', 'CANCELLED'] as const satisfies readonly RunStatus[];

/** Whether a run has ended. */
export function hasEnded({ status }: { readonly status: RunStatus }): boolean {
  return terminalStatuses.some((terminal) => terminal === status);
}
