import type { Run } from '../../generated/prisma/client.ts';
import { takeovers } from '../../telemetry/metrics.ts';
import { storedTurn } from '../input.ts';
import { takeoverSeqs } from '../lease.ts';
import { cancelledEnd, interrupted } from '../run-end.ts';
import type { RunRuntime } from '../runtime.ts';
import { claimRun } from '../transitions/claim-run.ts';
import { endLostRun } from '../transitions/end-lost-run.ts';

/** How often a run is taken over: what has ended so many processes may be the run itself. */
const maxTakeovers = 3;

/**
 * Takes over a run whose process is dead, and carries out the rest of it here; or ends it, if somebody has asked for its end,
 * or if it was taken over too often.
 * @param run as it was read; if it has changed since, another process was faster
 * @returns whether it was taken over or ended here
 */
export async function takeOverRun(runtime: RunRuntime, run: Run): Promise<boolean> {
  if (run.cancelRequestedAt !== null) return endLostRun(runtime, run, cancelledEnd);
  if (run.resumedCount >= maxTakeovers) return endLostRun(runtime, run, { status: 'FAILED', failure: interrupted });
  const stored = storedTurn.parse(run.input);
  const claimed = await runtime.launching.during(run.id, () => claimRun(runtime, run, { isTakeover: true }));
  if (claimed === null) {
    runtime.launching.done(run.id);
    return false;
  }
  const { resumedCount, reservedSeq } = claimed.run;
  // Readers of the dead process attach after what it has told them, before the events are rebuilt (continue-turn.ts).
  runtime.log.open(run.id).pass(reservedSeq - takeoverSeqs);
  takeovers.inc({ result: 'continued' });
  runtime.logger.warn({ runId: run.id, resumedCount }, 'took over a run that its process left behind');
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
