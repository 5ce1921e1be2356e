import { TurnAborted } from '../../engine/abort.ts';
import { interrupted } from '../run-end.ts';
import type { RunRuntime } from '../runtime.ts';
import { renewLeases } from '../transitions/renew-leases.ts';

/**
 * One checkpoint, in one statement for all runs of this process: saves the text that is being written and the seq up to
 * which rows and log agree, renews the leases, and reads which runs others want cancelled.
 */
export async function checkpointRuns(runtime: RunRuntime): Promise<void> {
  const runs = [...runtime.running.values()];
  if (runs.length === 0) return;

  const saved = runs.map((active) => {
    const { run, progress } = active;
    const text = progress.unsaved;
    // Text and seq are read in the same tick: what the row will hold is what the log holds up to that seq.
    return { active, runId: run.id, text, seq: progress.savable ? (runtime.log.find(run.id)?.lastSeq ?? 0) : null };
  });
  const renewed = await renewLeases(runtime, saved);
  for (const { active, runId, seq, text } of saved) {
    // Since the statement began the run can have ended, or have waited and continued as another ActiveRun.
    if (runtime.running.get(runId) !== active) continue;
    const row = renewed.get(runId);
    if (row) {
      if (text) active.progress.noteSaved(text);
      if (seq !== null) active.progress.noteCheckpoint(seq);
      if (row.cancel) active.stop(new TurnAborted());
    } else if (!active.progress.closing) {
      // Another process believed this one dead and ended the run: it must not go on here.
      runtime.logger.error({ runId }, 'lost the lease of a run');
      active.stop(new TurnAborted(interrupted));
    }
  }
}
