import type { TurnToolCall } from '../../engine/events.ts';
import { unknownNote } from '../../engine/tool-step.ts';

/** A call that has not ended, as it is when the run ends: CANCELLED, or UNKNOWN if it was under way. */
export function closeCall(call: TurnToolCall, finishedAt: Date): TurnToolCall {
  // What was sent out may have been carried out.
  if (call.status === 'RUNNING') return { ...call, status: 'UNKNOWN', error: unknownNote, finishedAt };
  return { ...call, status: 'CANCELLED', error: 'The turn was stopped.', finishedAt };
}
