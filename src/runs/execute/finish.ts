import { isUnavailable } from '../../database/errors.ts';
import { retryWhileAway } from '../../database/outage.ts';
import { internalFailure } from '../../engine/run-turn.ts';
import { packEvents } from '../../log/archive.ts';
import type { RunEvent } from '../../log/event.ts';
import type { RunEventBuffer } from '../../log/event-buffer.ts';
import { noteTurnEnd } from '../../telemetry/turns/turn.ts';
import { backfillFromArchive } from '../archive.ts';
import { LeaseLost } from '../lease.ts';
import { interrupted, type RunEnd, terminalEvent } from '../run-end.ts';
import type { LaunchRequest, RunOutcome, RunRuntime } from '../runtime.ts';
import { hasEnded } from '../statuses.ts';
import { endLostRun } from '../transitions/end-lost-run.ts';
import { type EndedRun, endRun } from '../transitions/end-run.ts';
import { promoteQueue } from '../transitions/promote-next.ts';
import type { RunRecorder } from './recorder.ts';

/**
 * Ends a run: its last message, its row and its archive in one statement, and only after that their events: readers are
 * told an end only when the row says so. While the database is away, it is tried again.
 * @throws {LeaseLost} if the run goes on without this process
 * @throws when the database is away for too long, or refuses the end: the run is then left to whoever takes it over
 */
export async function finishRun(
  runtime: RunRuntime,
  { run }: LaunchRequest,
  recorder: RunRecorder,
  end: RunEnd,
): Promise<RunOutcome> {
  const buffer = runtime.log.open(run.id);
  for (const toolCall of await recorder.cancelOpenCalls()) {
    runtime.log.append(run.id, { type: 'ToolCallCompleted', toolCall });
  }
  recorder.closing = true;
  // What could not be written behind the turn is closed with the end.
  await recorder.flush().catch((error: unknown) => {
    if (error instanceof LeaseLost) throw error;
    recorder.markIncomplete();
  });
  const { events, written, queued, ...last } = await writeEnd(runtime, run, recorder, end).catch((error: unknown) => {
    if (recorder.lastMessageId === null || isUnavailable(error)) throw error;
    // The database refuses the last message as it is. What its readers have seen of it stays, as of a turn that failed.
    runtime.logger.error({ err: error, runId: run.id }, 'the last message of a turn could not be stored');
    recorder.refuseLastMessage();
    return writeEnd(runtime, run, recorder, { status: 'FAILED', failure: internalFailure });
  });
  // Before readers are told of it: whoever has read the end finds it counted.
  if (written) {
    noteTurnEnd(last.end);
    buffer.showUpTo(Number.POSITIVE_INFINITY);
    for (const event of events) buffer.append(event);
  } else {
    const isOurs = await readEndElsewhere(runtime, run, buffer);
    if (isOurs) noteTurnEnd(last.end);
  }
  // If its rows are gone, the background jobs close the buffer (sync-remote.ts).
  if (buffer.closed) {
    runtime.log.drop(run.id);
    runtime.replayRoom.settle(run, buffer);
  }
  runtime.feed.wake(run);
  if (written && last.end.status === 'COMPLETED') runtime.titles?.noteAnswer(run);
  if (!queued) return 'ended';
  await beginNext(runtime, run.conversationId);
  runtime.feed.wake(run);
  return 'ended';
}

/** Writes the end of a run. @returns also how it ends: with the event of its last message, and the terminal one */
async function writeEnd(
  runtime: RunRuntime,
  run: LaunchRequest['run'],
  recorder: RunRecorder,
  end: RunEnd,
): Promise<EndedRun & { readonly end: RunEnd; readonly events: readonly RunEvent[] }> {
  const buffer = runtime.log.open(run.id);
  const messageId = recorder.lastMessageId;
  const seq = buffer.lastSeq + 1;
  const terminal = terminalEvent(run.id, messageId === null ? seq : seq + 1, end);
  const { at } = terminal;
  const completed: RunEvent[] =
    messageId === null ? [] : [{ type: 'MessageCompleted', messageId, seq, runId: run.id, at }];
  const events = [...completed, terminal];
  const { agentId, incomplete } = recorder;
  const archive = await packEvents([...buffer.events, ...events]);
  const rows = { run, end, agentId, archive, lastSeq: terminal.seq, incomplete, ...recorder.last };
  const ended = await retryWhileAway(() => endRun(runtime, rows), {
    maxMs: runtime.outageMs,
    onFailure: (error, attempt) =>
      runtime.logger.error({ err: error, runId: run.id, attempt }, 'failed to persist the end of a run'),
  });
  return { ...ended, end, events };
}

/**
 * Ends a run as INTERRUPTED that was taken over and cannot continue: nothing of it was changed, and all that its rows hold
 * stays.
 * @throws {LeaseLost} if the run goes on without this process
 */
export async function interruptRun(
  runtime: RunRuntime,
  { run }: LaunchRequest,
  recorder: RunRecorder,
  { message }: Error,
): Promise<RunOutcome> {
  recorder.closing = true;
  const failure = { ...interrupted, message: `${interrupted.message} ${message}`, retryable: false };
  const isEnded = await retryWhileAway(() => endLostRun(runtime, run, { status: 'FAILED', failure }), {
    maxMs: runtime.outageMs,
  });
  if (!isEnded) throw new LeaseLost(run.id);
  noteTurnEnd({ status: 'FAILED', failure });
  // The background jobs give the readers the end (sync-remote.ts).
  runtime.log.find(run.id)?.dropHeld();
  return 'ended';
}

/**
 * Reads how a run stands that this process could not end: an earlier attempt has ended it and its answer was lost, somebody
 * else has ended it, or it was deleted.
 * @returns whether this process has ended it
 * @throws {LeaseLost} if it has not ended
 */
async function readEndElsewhere(
  runtime: RunRuntime,
  { id, leaseEpoch }: LaunchRequest['run'],
  buffer: RunEventBuffer,
): Promise<boolean> {
  const retry = { maxMs: runtime.outageMs };
  const row = await retryWhileAway(() => runtime.db.run.findUnique({ where: { id } }), retry);
  if (row && !hasEnded(row)) throw new LeaseLost(id);
  const isOurs = row?.leaseEpoch === leaseEpoch;
  if (isOurs) buffer.showUpTo(Number.POSITIVE_INFINITY);
  else buffer.dropHeld();
  await retryWhileAway(() => backfillFromArchive(runtime.db, buffer), retry);
  return isOurs;
}

/** Begins the next run in the queue. If that fails, the background jobs do it (recover.ts). */
async function beginNext(runtime: RunRuntime, conversationId: string): Promise<void> {
  try {
    await promoteQueue(runtime, conversationId);
  } catch (error) {
    runtime.logger.error({ err: error, conversationId }, 'could not begin the next turn of a queue');
  }
}
