import { TurnAborted } from '../../engine/abort.ts';
import { interrupted, leaseMs, type RunScheduler } from '../scheduler.ts';

/**
 * One round of the clockwork, in one statement for all runs of this process: the text that is being written goes into
 * its rows, the seq up to which rows and log agree goes into the run, leases are renewed, and what others wish to be
 * cancelled is learnt.
 */
export async function checkpointRuns(runtime: RunScheduler): Promise<void> {
  const runs = [...runtime.active.values()].filter((active) => active.recorder !== null);
  if (runs.length === 0) return;

  const saved = runs.map((active) => {
    const { run, recorder } = active;
    const text = recorder?.unsaved ?? null;
    // Text and seq are taken in the same tick: what the row will hold is what the log holds up to that seq.
    return { active, runId: run.id, text, seq: recorder?.savable ? (runtime.log.find(run.id)?.lastSeq ?? 0) : null };
  });
  const texts = saved.flatMap(({ text }) => text ?? []);
  const rows = await runtime.db.$queryRaw<{ id: string; cancel: boolean }[]>`
    WITH texts AS (
      UPDATE messages SET content = t.content
      FROM unnest(${texts.map((text) => text.messageId)}::uuid[], ${texts.map((text) => text.content)}::text[]) AS t (id, content)
      WHERE messages.id = t.id AND messages.status = 'STREAMING'
    )
    UPDATE runs SET
      -- A statement that had to wait may come when the run has got further: never back.
      last_seq = greatest(runs.last_seq, s.seq),
      lease_expires_at = now() + ${leaseMs} * interval '1 millisecond'
    FROM unnest(${saved.map(({ runId }) => runId)}::uuid[], ${saved.map(({ seq }) => seq)}::int[]) AS s (id, seq)
    WHERE runs.id = s.id AND runs.lease_owner = ${runtime.instanceId} AND runs.status IN ('RUNNING', 'REQUIRES_ACTION')
    RETURNING runs.id::text, runs.cancel_requested_at IS NOT NULL AS cancel`;

  const renewed = new Map(rows.map((row) => [row.id, row]));
  for (const { active, runId, seq, text } of saved) {
    // Since the statement began it can have ended, or have waited and gone on as another one.
    if (runtime.active.get(runId) !== active) continue;
    const row = renewed.get(runId);
    if (row) {
      if (text) active.recorder?.noteSaved(text.messageId, text.content);
      if (seq !== null) active.recorder?.noteCheckpoint(seq);
      if (row.cancel) active.controller.abort(new TurnAborted());
    } else if (!active.recorder?.closing) {
      // Another process believed this one dead and ended the run: nothing more of it may be done.
      runtime.logger.error({ runId }, 'lost the lease of a run');
      active.controller.abort(new TurnAborted(interrupted));
    }
  }
}
