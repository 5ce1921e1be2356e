import type { RunEvent } from '../../log/event.ts';
import type { RunRuntime } from '../runtime.ts';

/** Gives the readers of a run that no process carried out its last events, and notifies those of its conversation. */
export function announceEnd(
  runtime: RunRuntime,
  ended: { readonly runId: string; readonly conversationId: string; readonly events: readonly RunEvent[] },
): void {
  const { runId, conversationId, events } = ended;
  runtime.log.find(runId)?.fill(events);
  runtime.log.drop(runId);
  runtime.feed.publish({ type: 'RunChanged', conversationId, runId });
}
