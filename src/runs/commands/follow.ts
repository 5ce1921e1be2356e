import { badInput, integer, parseInput } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { RunCursor } from '../../log/cursor.ts';
import { RunEventBuffer } from '../../log/event-buffer.ts';
import { storedTurn } from '../input.ts';
import { cacheEndedRun } from '../read/deleted-run.ts';
import { findRun, type RunQuery, readRun } from '../read/read.ts';
import type { RunScheduler } from '../scheduler.ts';
import { backfillFromArchive, readArchive } from '../upkeep/sync-remote.ts';
import { cancelRow, cancelWaiting } from './cancel.ts';
import { startRun } from './start.ts';

/**
 * Starts a turn, or attaches to the one that its idempotency key has started, and follows it to the terminal event.
 * @throws as startRun and followRun do
 */
export async function chatTurn(
  viewer: Viewer,
  runtime: RunScheduler,
  input: { readonly after?: number | null | undefined } & Record<string, unknown>,
): Promise<RunCursor> {
  const run = await startRun(viewer, runtime, input);
  return openCursor(runtime, run, input.after ?? 0, ['input', 'after']);
}

/**
 * Every event of a run after `after`, past ones replayed, live ones followed, to the terminal one.
 * @param rawId the public id of the run
 * @param after a seq, exclusive; 0 for all
 * @throws {BadUserInputError} when `after` is negative, or beyond the last event
 * @throws {ForbiddenError} {@link NotFoundError} for the run
 */
export async function followRun(
  viewer: Viewer,
  runtime: RunScheduler,
  rawId: string,
  after: number,
): Promise<RunCursor> {
  parseInput(integer(0, 2_147_483_647), after, ['after']);
  const run = await findRun(viewer, runtime.db, rawId, ['runId']);
  return openCursor(runtime, run, after, ['after']);
}

/**
 * Runs a whole turn: starts or attaches as startRun does, and drains the stream.
 * @returns the run, when it is over or waits for a person
 */
export async function sendMessage(
  viewer: Viewer,
  runtime: RunScheduler,
  input: Record<string, unknown>,
  query: RunQuery = {},
): Promise<Run> {
  const run = await startRun(viewer, runtime, input);
  for await (const event of await openCursor(runtime, run, 0, ['input', 'after'], { stays: true })) {
    // The answer is in the rows; so is whether it waits still: where it is attached to, it may have gone on since.
    if (event.type !== 'ApprovalRequested') continue;
    const { status } = await readRun(viewer, runtime.db, run.id);
    if (status === 'REQUIRES_ACTION') break;
  }
  return readRun(viewer, runtime.db, run.id, query);
}

/** @param options.stays whether leaving is no wish that the run should end */
async function openCursor(
  runtime: RunScheduler,
  run: Run,
  after: number,
  path: readonly string[],
  options: { readonly stays: boolean } = { stays: false },
): Promise<RunCursor> {
  // One that waits for a person is carried out nowhere; all that has happened in it is in its archive. Read before there
  // is a tail: one that nobody reads yet may be dropped at any await.
  const past = run.status === 'REQUIRES_ACTION' ? await readArchive(runtime.db, run.id) : null;
  let tail = runtime.log.find(run.id);
  // Its last seq is known where it is carried out, and where it has ended. One that waits has none.
  const running = tail !== undefined && runtime.active.has(run.id);
  if (!tail && hasEnded(run)) {
    tail = new RunEventBuffer(run.id);
    if (!(await backfillFromArchive(runtime.db, tail))) throw new Error(`Run ${run.id} has ended and has no archive.`);
  }
  // A run that another process carries out, or that waits in the queue: its tail is filled when it ends (remote.ts), or
  // written when this process takes it over.
  tail ??= runtime.log.open(run.id);
  if (past) tail.fill(past);

  if ((tail.closed || running || past || run.status === 'QUEUED') && after > tail.lastSeq) {
    throw badInput(path, `must be at most ${tail.lastSeq}, the seq of the last event so far`);
  }
  // Whether its readers were this process's to count: it may be carried out elsewhere by the time they leave.
  const attachedHere = running || past !== null || run.status === 'QUEUED';
  const close = (finished: boolean) => {
    runtime.cursors.delete(cursor);
    if (finished || tail.closed || tail.readers > 0 || options.stays || !cancelsOnDisconnect(runtime, run)) return;
    // Of one that another process carried out already when this reader came, that one sees to it.
    const here = runtime.active.has(run.id) || attachedHere;
    const cancelling = here ? cancelRow(runtime, run.id, new TurnAborted()) : cancelWaiting(runtime, run.id);
    cancelling.catch((error: unknown) =>
      runtime.logger.error({ err: error, runId: run.id }, 'a run whose last reader has gone could not be cancelled'),
    );
  };
  const cursor: RunCursor = new RunCursor(tail, after, close, (terminal) => cacheEndedRun(terminal, run));
  runtime.cursors.add(cursor);
  return cursor;
}

/** Whether a run stops without readers. */
function cancelsOnDisconnect(runtime: RunScheduler, run: Run): boolean {
  const active = runtime.active.get(run.id);
  return active?.cancelOnDisconnect ?? storedTurn.parse(run.input).onDisconnect === 'CANCEL';
}

function hasEnded(run: Run): boolean {
  return run.status === 'COMPLETED' || run.status === 'FAILED' || run.status === 'CANCELLED';
}
