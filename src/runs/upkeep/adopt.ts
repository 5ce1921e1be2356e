import { unpackArchive } from '../archive.ts';
import { readDecisions } from '../decisions.ts';
import { readPauseState } from '../frozen-turn.ts';
import { storedTurn } from '../input.ts';
import { takeoverSeqs } from '../lease.ts';
import type { ResumedRun, RunRuntime } from '../runtime.ts';
import { claimRun } from '../transitions/claim-run.ts';

const batch = 100;

/**
 * Carries out the runs that the rows say are this process's, and that it does not know of: the answer to the statement
 * that gave it their lease was lost. What is launched is decided by the rows, not by who was told of a COMMIT.
 */
export async function adoptRuns(runtime: RunRuntime): Promise<void> {
  const isKnown = (id: string) => runtime.running.has(id) || runtime.launching.has(id);
  const found = await runtime.db.run.findMany({
    where: {
      leaseOwner: runtime.instanceId,
      status: 'RUNNING',
      id: { notIn: [...runtime.running.keys(), ...runtime.launching.ids()] },
    },
    include: {
      pause: true,
      archive: true,
      toolCalls: true,
      messages: { where: { step: { not: null }, role: 'ASSISTANT' } },
      handoffs: true,
    },
    take: batch,
  });
  for (const { pause, archive, toolCalls, messages, handoffs, ...run } of found) {
    // It can have been launched, and have ended, since the rows were read: then the claim finds no row.
    if (isKnown(run.id) || runtime.closing) continue;
    let resumed: ResumedRun | null = null;
    if (pause) {
      const state = readPauseState(pause.state);
      const decisions = readDecisions(toolCalls);
      const waited = state.paused.calls.filter(({ id }) => !state.paused.outputs.some(([done]) => done === id));
      const isUntouched = waited.every(({ id }) => decisions.has(id) || !toolCalls.some(({ callId }) => callId === id));
      // Its continuation has had effects: it was carried out, and is taken over when its lease ends (recover.ts).
      const isCarriedOut = !isUntouched || runtime.launching.wasLost(run.id);
      if (isCarriedOut || messages.some(({ step }) => (step ?? 0) > state.paused.step)) continue;
      resumed = { state, decisions };
    } else if (toolCalls.length + messages.length + handoffs.length > 0) {
      continue;
    }
    // Readers may have been told of it already: by a dead process, if it is the answer to a takeover that was lost, or by
    // this one, whose rows may not say so yet. They are told again, after all that they may have been given
    // (continue-turn.ts).
    const wasTold = run.resumedCount > 0 || run.lastSeq > 0 || runtime.launching.wasLost(run.id);
    const hasBegun = resumed === null && wasTold;
    const history = archive && (await unpackArchive(runtime.db, run.id, archive.events));
    const claimed = await claimRun(runtime, run, { isContinued: hasBegun, hasDied: false });
    if (!claimed) continue;
    // Nothing is awaited until it is launched: a buffer that nobody reads yet may be dropped at any await.
    runtime.remote.unfollow(run.id);
    if (hasBegun) {
      runtime.log.open(run.id).forget();
      runtime.log.open(run.id).pass(claimed.run.reservedSeq - takeoverSeqs);
    }
    runtime.logger.warn({ runId: run.id }, 'took up a run whose start was not reported');
    const stored = storedTurn.parse(run.input);
    const viewer = { userId: run.userId, tenantId: run.tenantId, roles: stored.roles, expiresAt: Infinity };
    if (history) runtime.log.open(run.id).restore(history);
    runtime.launch({ viewer, ...claimed, stored, turn: null, openingMessage: null, resumed, isTakeover: hasBegun });
    runtime.feed.wake(run);
  }
}
