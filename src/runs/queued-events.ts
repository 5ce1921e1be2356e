import type { Run } from '../generated/prisma/client.ts';
import type { RunEvent } from '../log/event.ts';

/**
 * The event with which a run begins that had to wait: every process makes the same one from the row.
 * @returns none if the run did not have to wait
 */
export function queuedEvents({ id, queuedPosition, createdAt }: Run): RunEvent[] {
  if (queuedPosition === null) return [];
  return [{ type: 'RunQueued', position: queuedPosition, seq: 1, runId: id, at: createdAt.getTime() }];
}
