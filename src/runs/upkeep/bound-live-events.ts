import { TurnAborted } from '../../engine/abort.ts';
import type { Failure } from '../../engine/ports.ts';
import { weighBuffer } from '../../log/run-replays.ts';
import type { ActiveRun, RunRuntime } from '../runtime.ts';

/** The failure of a run that was stopped because all runs together hold too much. */
const tooMuchAtOnce: Failure = {
  code: 'MODEL_ERROR',
  message:
    'The answers that are being written on this server are too long together: the turn was stopped. Try again later.',
  retryable: true,
};

/** A run that is carried out, and about how many bytes of memory its events take. */
interface LiveRun {
  readonly active: ActiveRun;
  readonly bytes: number;
}

/**
 * Stops runs if those that this process carries out hold more events than it may hold together: the largest of the user
 * whose runs hold most, again and again, until the others fit. So whoever lets many models write without end stops its own
 * turns, and nobody else's.
 */
export function boundLiveEvents({ running, log, sizeLimits, logger }: RunRuntime): void {
  const users = new Map<string, LiveRun[]>();
  let total = 0;
  for (const active of running.values()) {
    const buffer = log.find(active.run.id);
    // One that is stopped already gives its events back soon.
    if (!buffer || active.signal.aborted) continue;
    const { tenantId, userId } = active.run;
    const key = JSON.stringify([tenantId, userId]);
    const live = { active, bytes: weighBuffer(buffer) };
    users.set(key, [...(users.get(key) ?? []), live]);
    total += live.bytes;
  }
  while (total > sizeLimits.maxLiveBytes) {
    const runs = [...users.values()].reduce((most, next) => (sumBytes(next) > sumBytes(most) ? next : most), []);
    const largest = runs.reduce<LiveRun | null>((most, next) => (most && most.bytes >= next.bytes ? most : next), null);
    if (largest === null) return;
    runs.splice(runs.indexOf(largest), 1);
    total -= largest.bytes;
    logger.warn(
      { runId: largest.active.run.id, bytes: largest.bytes },
      'stopped a run: all runs together hold too much',
    );
    largest.active.stop(new TurnAborted(tooMuchAtOnce));
  }
}

function sumBytes(runs: readonly LiveRun[]): number {
  return runs.reduce((sum, { bytes }) => sum + bytes, 0);
}
