import type { TurnToolCall } from '../engine/events.ts';
import type { ToolCall } from '../generated/prisma/client.ts';

/**
 * A tool call as an event has it, from its row.
 * @returns null if no agent called it: it was imported
 */
export function readStoredCall(row: ToolCall): TurnToolCall | null {
  const { rowId: id, callId, messageId, step, index, name, editedArguments, decidedBy, agentId, startedAt } = row;
  if (agentId === null) return null;
  const { arguments: written, status, result, error, finishedAt, approvalExpiresAt } = row;
  const asked = {
    id,
    callId,
    messageId,
    step,
    index,
    name,
    arguments: written,
    editedArguments,
    decidedBy,
    agentId,
    startedAt,
  };
  return { ...asked, status, result, error, finishedAt, approvalExpiresAt };
}

/** Whether a call has not ended. */
export function isOpenCall({ status }: Pick<ToolCall, 'status'>): boolean {
  return status === 'PENDING' || status === 'AWAITING_APPROVAL' || status === 'RUNNING';
}
