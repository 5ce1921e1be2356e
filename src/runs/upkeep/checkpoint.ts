import { setTimeout as sleep } from 'node:timers/promises';
import { TurnAborted } from '../../engine/abort.ts';
import { LeaseLost, takeMoment } from '../lease.ts';
import type { ActiveRun, RunRuntime } from '../runtime.ts';
import { renewLeases } from '../transitions/renew-leases.ts';
import { storeMessages } from '../transitions/store-messages.ts';

/**
 * One checkpoint, in one statement for all runs of this process: saves the text that is being written and the seq up to
 * which rows and log agree, renews the leases, reserves seqs, and reads which runs others want cancelled.
 * @returns the runs whose events other instances read in the database
 */
export async function checkpointRuns(runtime: RunRuntime): Promise<ActiveRun[]> {
  const runs = [...runtime.running.values()];
  if (runs.length === 0) return [];

  const sentAt = takeMoment();
  const saved = runs.map((active) => {
    const { run, progress } = active;
    const text = progress.unsaved;
    const lastSeq = runtime.log.find(run.id)?.lastSeq ?? 0;
    // Text and seq are read in the same tick: what the row will hold is what the log holds up to that seq.
    return { active, run, text, lastSeq, seq: progress.savable ? lastSeq : null };
  });
  const renewed = await renewLeases(runtime, saved);
  const now = takeMoment();
  const followed: ActiveRun[] = [];
  for (const { active, run, seq, text } of saved) {
    // Since the statement began the run can have ended, or have waited and continued as another ActiveRun.
    if (runtime.running.get(run.id) !== active) continue;
    const row = renewed.get(run.id);
    if (row) {
      active.lease.noteRenewed(sentAt);
      if (active.lease.isFreshAt(now)) runtime.log.find(run.id)?.showUpTo(row.reservedSeq);
      if (text) active.progress.noteSaved(text);
      if (seq !== null) active.progress.noteCheckpoint(seq);
      if (row.followed) followed.push(active);
      if (row.cancel) active.stop(new TurnAborted());
    } else if (!active.progress.closing) {
      // Another process believed this one dead, and ended the run or took it over: it must not go on here.
      runtime.logger.error({ runId: run.id }, 'lost the lease of a run');
      active.stop(new LeaseLost(run.id));
    }
  }
  return followed;
}

/** Stops a run of this process if its row says that somebody wants it cancelled. */
export async function stopIfCancelled(runtime: RunRuntime, runId: string): Promise<void> {
  const active = runtime.running.get(runId);
  if (!active) return;
  const row = await runtime.db.run.findUnique({ where: { id: runId }, select: { cancelRequestedAt: true } });
  if (row?.cancelRequestedAt != null) active.stop(new TurnAborted());
}

/** How often the messages whose rows were locked are tried in one round, and after how long each time, in milliseconds. */
const storeAttempts = 8;
const storeAgainMs = 50;

/**
 * Stores the messages that are being written and have no row yet. Not with the checkpoint: leases are renewed however long
 * this takes. What is passed over because its rows are locked is tried again soon: the checkpoint begins in the same moment,
 * and locks every run.
 */
export async function storeOpenMessages(runtime: RunRuntime): Promise<void> {
  for (let attempt = 1; attempt <= storeAttempts; attempt++) {
    if (await storeUnlocked(runtime)) return;
    await sleep(storeAgainMs);
  }
}

/** @returns whether none was passed over */
async function storeUnlocked(runtime: RunRuntime): Promise<boolean> {
  const open = [...runtime.running.values()].flatMap(({ progress, run }) => {
    const message = progress.takeUnstored();
    return message ? [{ progress, message: { ...message, run } }] : [];
  });
  if (open.length === 0) return true;
  const writing = storeMessages(
    runtime,
    open.map(({ message }) => message),
  );
  for (const { progress, message } of open) progress.noteStoring(message, writing);
  return (await writing).size === open.length;
}

/**
 * Holds back what the runs of this process would show while nobody knows whether they still belong to it: when their
 * leases could not be renewed in time, because the process was stopped, the machine slept or the database is away. A run
 * whose lease cannot be renewed for too long is left to whoever takes it over.
 */
export function watchLeases(runtime: RunRuntime): void {
  const now = takeMoment();
  for (const active of runtime.running.values()) {
    const { run, lease } = active;
    if (lease.isFreshAt(now)) continue;
    runtime.log.find(run.id)?.hold();
    if (lease.ageMs > runtime.outageMs) active.stop(new LeaseLost(run.id));
  }
}
