import type { CallDecision } from '../engine/paused-turn.ts';
import type { ToolCall } from '../generated/prisma/client.ts';

/** The decisions of a person on the calls of the step that waited, by call id, from their rows. */
export function readDecisions(calls: readonly ToolCall[]): Map<string, CallDecision> {
  return new Map(
    calls.flatMap(({ rowId: id, callId, messageId, status, editedArguments, decidedBy, finishedAt }) => {
      if (decidedBy === null || (status !== 'PENDING' && status !== 'DENIED')) return [];
      const decidedAt = finishedAt ?? new Date();
      return [[callId, { id, messageId, approved: status === 'PENDING', editedArguments, decidedBy, decidedAt }]];
    }),
  );
}
