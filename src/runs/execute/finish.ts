import { setTimeout as sleep } from 'node:timers/promises';
import { packEvents } from '../../log/archive.ts';
import { backfillFromArchive } from '../archive.ts';
import { type RunEnd, terminalEvent } from '../run-end.ts';
import type { LaunchRequest, RunOutcome, RunRuntime } from '../runtime.ts';
import { endRun } from '../transitions/end-run.ts';
import { launchPromoted } from '../transitions/promote-next.ts';
import type { RunRecorder } from './recorder.ts';

const maxAttempts = 5;

/**
 * Ends a run: its row, its archive and the start of the next run in the queue in one transaction, and only after that
 * the terminal event. If the database refuses it, readers get a terminal event all the same, and the rows are corrected
 * when the lease runs out (recover.ts).
 * @returns 'waiting' if the run goes on without this process
 */
export async function finishRun(
  runtime: RunRuntime,
  { run }: LaunchRequest,
  recorder: RunRecorder,
  end: RunEnd,
): Promise<RunOutcome> {
  const buffer = runtime.log.open(run.id);
  const terminal = terminalEvent(run.id, buffer.lastSeq + 1, end);
  recorder.beginClosing();
  const archive = await packEvents([...buffer.events, terminal]);
  for (let attempt = 1; ; attempt++) {
    try {
      await recorder.flush().catch(() => {});
      const { written, unfinished, next } = await runtime.db.$transaction((tx) =>
        endRun(tx, runtime, {
          run,
          end,
          agentId: recorder.agentId,
          archive,
          lastSeq: terminal.seq,
          incomplete: recorder.incomplete,
          unsaved: recorder.unsaved,
        }),
      );
      if (written) buffer.append(terminal);
      else await backfillFromArchive(runtime.db, buffer);
      // If another process has the run, or none, the background jobs fill the buffer (sync-remote.ts).
      if (buffer.closed) runtime.log.drop(run.id);
      runtime.feed.publish({ type: 'RunChanged', conversationId: run.conversationId, runId: run.id });
      if (next) launchPromoted(runtime, next);
      return unfinished ? 'waiting' : 'ended';
    } catch (error) {
      runtime.logger.error({ err: error, runId: run.id, attempt }, 'failed to persist the end of a run');
      if (attempt === maxAttempts) break;
      await sleep(100 * 2 ** attempt);
    }
  }
  buffer.append(terminalEvent(run.id, terminal.seq, { status: 'FAILED', failure: unsavedFailure }));
  runtime.log.drop(run.id);
  return 'ended';
}

/** The failure of a turn that the database did not take. */
export const unsavedFailure = { code: 'INTERNAL', message: 'The turn could not be saved.', retryable: true } as const;
