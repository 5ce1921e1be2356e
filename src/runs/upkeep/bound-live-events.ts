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

/** What a user's runs hold, or those of all users of a tenant. */
interface LiveGroup {
  readonly runs: LiveRun[];
  bytes: number;
}

/**
 * Stops runs if those that this process carries out hold more events than it may hold together: of the tenant whose runs
 * hold most, the largest of the user whose runs hold most, again and again, until the others fit. So whoever lets many
 * models write without end stops its own turns, and a tenant with many such users its own, and nobody else's.
 */
export function boundLiveEvents({ running, log, sizeLimits, logger }: RunRuntime): void {
  const live: LiveRun[] = [];
  for (const active of running.values()) {
    const buffer = log.find(active.run.id);
    // One that is stopped already gives its events back soon.
    if (buffer && !active.signal.aborted) live.push({ active, bytes: weighBuffer(buffer) });
  }
  let total = live.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total <= sizeLimits.maxLiveBytes) return;
  const tenants = groupBy(live, ({ active }) => active.run.tenantId);
  while (total > sizeLimits.maxLiveBytes) {
    const tenant = findLargest(tenants);
    const user = tenant && findLargest(groupBy(tenant.runs, ({ active }) => active.run.userId));
    const largest = user && findLargest(user.runs);
    if (!largest) return;
    tenant.runs.splice(tenant.runs.indexOf(largest), 1);
    tenant.bytes -= largest.bytes;
    total -= largest.bytes;
    logger.warn(
      { runId: largest.active.run.id, bytes: largest.bytes },
      'stopped a run: all runs together hold too much',
    );
    largest.active.stop(new TurnAborted(tooMuchAtOnce));
  }
}

function groupBy(runs: readonly LiveRun[], keyOf: (run: LiveRun) => string): LiveGroup[] {
  const groups = new Map<string, LiveGroup>();
  for (const run of runs) {
    const group = groups.get(keyOf(run)) ?? { runs: [], bytes: 0 };
    group.runs.push(run);
    group.bytes += run.bytes;
    groups.set(keyOf(run), group);
  }
  return [...groups.values()];
}

function findLargest<Item extends { readonly bytes: number }>(items: readonly Item[]): Item | null {
  return items.reduce<Item | null>((most, next) => (most && most.bytes >= next.bytes ? most : next), null);
}
