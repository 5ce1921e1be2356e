import { retryWhileAway } from '../../database/outage.ts';
import type { TurnToolCall } from '../../engine/events.ts';
import type { PausedTurn } from '../../engine/paused-turn.ts';
import { packEvents } from '../../log/archive.ts';
import type { RunEvent } from '../../log/event.ts';
import { writePauseState } from '../frozen-turn.ts';
import type { PlannedTurn } from '../planned-turn.ts';
import type { LaunchRequest, RunRuntime } from '../runtime.ts';
import { pauseRun } from '../transitions/pause-run.ts';
import type { RunRecorder } from './recorder.ts';

/** A turn that begins to wait for a person. */
export interface Pause {
  readonly turn: PlannedTurn;
  /** The calls to decide on. */
  readonly waiting: readonly TurnToolCall[];
  readonly paused: PausedTurn;
}

/**
 * Lets a run wait: its state, its calls and its events so far in one transaction, and only after that the events that
 * ask for approval. A reader that gets one of them can answer it on any instance. From then on no process holds the run.
 *
 * @returns false, with nothing written, if it may not wait: it is to be cancelled, or another process has ended it
 * @throws when the database does not take it
 */
export async function waitForApproval(
  runtime: RunRuntime,
  { run }: LaunchRequest,
  recorder: RunRecorder,
  { turn, waiting, paused }: Pause,
): Promise<boolean> {
  const buffer = runtime.log.open(run.id);
  const at = Date.now();
  const expiresAt = new Date(at + runtime.approvalTtlSeconds * 1000);
  const requested = waiting.map((call, index): RunEvent => {
    const toolCall = { ...call, approvalExpiresAt: expiresAt };
    const seq = buffer.lastSeq + 1 + index;
    return { type: 'ApprovalRequested', toolCall, seq, runId: run.id, at };
  });
  recorder.closing = true;
  recorder.writeLedger();
  await recorder.flush();
  const rows = {
    run,
    agentId: recorder.agentId,
    calls: waiting.map(({ id }) => id),
    expiresAt,
    archive: await packEvents([...buffer.events, ...requested]),
    lastSeq: requested.at(-1)?.seq ?? buffer.lastSeq,
    state: writePauseState(turn, waiting, paused, runtime.agents.defaults.llm.endpoint),
  };

  const hasPaused = await retryWhileAway(() => runtime.db.$transaction((tx) => pauseRun(tx, runtime, rows)), {
    maxMs: runtime.outageMs,
    onFailure: (error, attempt) =>
      runtime.logger.error({ err: error, runId: run.id, attempt }, 'failed to pause a run'),
  });
  if (!hasPaused) return false;
  buffer.showUpTo(Math.max(buffer.shownSeq, rows.lastSeq));
  // Filled, not appended: somebody who answered quickly has filled it already (approve.ts).
  buffer.fill(requested);
  // Unless it has been continued here since: no process holds it now, and all of it is in the archive.
  if (runtime.running.get(run.id)?.run.leaseEpoch === run.leaseEpoch) runtime.replayRoom.settle(run, buffer);
  runtime.feed.wake(run);
  return true;
}
