import type { Run } from '../../generated/prisma/client.ts';
import { countTakeover } from '../../telemetry/turns/turn.ts';
import { storedTurn } from '../input.ts';
import { takeoverSeqs } from '../lease.ts';
import { cancelledEnd, interrupted } from '../run-end.ts';
import type { RunRuntime } from '../runtime.ts';
import { claimRun } from '../transitions/claim-run.ts';
import { endLostRun } from '../transitions/end-lost-run.ts';

/** How often a run is taken over from a process that has died: what has ended so many may be the run itself. */
const maxDeaths = 3;

/**
 * Takes over a run whose process is dead or has given it back, and carries out the rest of it here; or ends it, if somebody has
 * asked for its end, or if too many processes have died of it.
 * @param run as it was read; if it has changed since, another process was faster
 * @returns whether it was taken over or ended here
 */
export async function takeOverRun(runtime: RunRuntime, run: Run): Promise<boolean> {
  if (run.cancelRequestedAt !== null) return endLostRun(runtime, run, cancelledEnd);
  // Whoever stops in order gives its lease back.
  const hasDied = run.leaseOwner !== null;
  if (hasDied && run.diedCount >= maxDeaths)
    return endLostRun(runtime, run, { status: 'FAILED', failure: interrupted });
  const stored = storedTurn.parse(run.input);
  const claimed = await runtime.launching.during(run.id, () => claimRun(runtime, run, { isContinued: true, hasDied }));
  if (claimed === null) {
    runtime.launching.done(run.id);
    return false;
  }
  const { resumedCount, diedCount, reservedSeq } = claimed.run;
  // Readers of the dead process attach after what it has told them, before the events are rebuilt (continue-turn.ts).
  // What was read of it on this instance is among that.
  runtime.remote.unfollow(run.id);
  const buffer = runtime.log.open(run.id);
  buffer.forget();
  buffer.pass(reservedSeq - takeoverSeqs);
  countTakeover('continued', run);
  runtime.logger.warn({ runId: run.id, resumedCount, diedCount }, 'took over a run that its process left behind');
  const viewer = { userId: run.userId, tenantId: run.tenantId, roles: stored.roles, expiresAt: Infinity };
  runtime.launch({
    viewer,
    ...claimed,
    stored,
    turn: null,
    openingMessage: null,
    resumed: null,
    isTakeover: true,
  });
  return true;
}
