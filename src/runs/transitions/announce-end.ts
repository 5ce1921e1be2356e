import type { FeedOwner } from '../../feed/feed-event.ts';
import type { RunEvent } from '../../log/event.ts';
import type { RunRuntime } from '../runtime.ts';

/** Gives the readers of a run that no process carried out its last events, and notifies those of its conversation. */
export function announceEnd(
  runtime: RunRuntime,
  ended: FeedOwner & { readonly runId: string; readonly events: readonly RunEvent[] },
): void {
  const { runId, events, tenantId, userId } = ended;
  runtime.remote.unfollow(runId);
  const buffer = runtime.log.find(runId);
  buffer?.fill(events);
  runtime.log.drop(runId);
  if (buffer) runtime.replayRoom.settle({ id: runId, tenantId, userId }, buffer);
  runtime.remote.announce({ type: 'changed', runId });
  runtime.feed.wake(ended);
}
