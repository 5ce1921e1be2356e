import type { Viewer } from '../auth/viewer.ts';
import { TurnAborted } from '../engine/abort.ts';
import type { Run } from '../generated/prisma/client.ts';
import { badInput, integer, parseInput } from '../input.ts';
import { RunCursor } from '../log/cursor.ts';
import { RunTail } from '../log/tail.ts';
import { cancelRow, cancelWaiting } from './cancel.ts';
import { rememberRun } from './deleted-run.ts';
import type { RunHost } from './host.ts';
import { storedTurn } from './input.ts';
import { findRun, type RunQuery, readRun } from './read.ts';
import { fillTail, readArchive } from './remote.ts';
import { startRun } from './start.ts';

/**
 * Starts a turn, or attaches to the one that its idempotency key has started, and follows it to the terminal event.
 * @throws as startRun and followRun do
 */
export async function chatTurn(
  viewer: Viewer,
  host: RunHost,
  input: { readonly after?: number | null | undefined } & Record<string, unknown>,
): Promise<RunCursor> {
  const run = await startRun(viewer, host, input);
  return openCursor(host, run, input.after ?? 0, ['input', 'after']);
}

/**
 * Every event of a run after `after`, past ones replayed, live ones followed, to the terminal one.
 * @param rawId the public id of the run
 * @param after a seq, exclusive; 0 for all
 * @throws {BadUserInputError} when `after` is negative, or beyond the last event
 * @throws {ForbiddenError} {@link NotFoundError} for the run
 */
export async function followRun(viewer: Viewer, host: RunHost, rawId: string, after: number): Promise<RunCursor> {
  parseInput(integer(0, 2_147_483_647), after, ['after']);
  const run = await findRun(viewer, host.db, rawId, ['runId']);
  return openCursor(host, run, after, ['after']);
}

/**
 * Runs a whole turn: starts or attaches as startRun does, and drains the stream.
 * @returns the run, when it is over or waits for a person
 */
export async function sendMessage(
  viewer: Viewer,
  host: RunHost,
  input: Record<string, unknown>,
  query: RunQuery = {},
): Promise<Run> {
  const run = await startRun(viewer, host, input);
  for await (const event of await openCursor(host, run, 0, ['input', 'after'], { stays: true })) {
    // The answer is in the rows; so is whether it waits still: where it is attached to, it may have gone on since.
    if (event.type !== 'ApprovalRequested') continue;
    const { status } = await readRun(viewer, host.db, run.id);
    if (status === 'REQUIRES_ACTION') break;
  }
  return readRun(viewer, host.db, run.id, query);
}

/** @param options.stays whether leaving is no wish that the run should end */
async function openCursor(
  host: RunHost,
  run: Run,
  after: number,
  path: readonly string[],
  options: { readonly stays: boolean } = { stays: false },
): Promise<RunCursor> {
  // One that waits for a person is carried out nowhere; all that has happened in it is in its archive. Read before there
  // is a tail: one that nobody reads yet may be dropped at any await.
  const past = run.status === 'REQUIRES_ACTION' ? await readArchive(host.db, run.id) : null;
  let tail = host.log.find(run.id);
  // Its last seq is known where it is carried out, and where it has ended. One that waits has none.
  const running = tail !== undefined && host.active.has(run.id);
  if (!tail && hasEnded(run)) {
    tail = new RunTail(run.id);
    if (!(await fillTail(host.db, tail))) throw new Error(`Run ${run.id} has ended and has no archive.`);
  }
  // A run that another process carries out, or that waits in the queue: its tail is filled when it ends (remote.ts), or
  // written when this process takes it over.
  tail ??= host.log.open(run.id);
  if (past) tail.fill(past);

  if ((tail.closed || running || past || run.status === 'QUEUED') && after > tail.lastSeq) {
    throw badInput(path, `must be at most ${tail.lastSeq}, the seq of the last event so far`);
  }
  // Whether its readers were this process's to count: it may be carried out elsewhere by the time they leave.
  const attachedHere = running || past !== null || run.status === 'QUEUED';
  const close = (finished: boolean) => {
    host.cursors.delete(cursor);
    if (finished || tail.closed || tail.readers > 0 || options.stays || !cancelsOnDisconnect(host, run)) return;
    // Of one that another process carried out already when this reader came, that one sees to it.
    const here = host.active.has(run.id) || attachedHere;
    const cancelling = here ? cancelRow(host, run.id, new TurnAborted()) : cancelWaiting(host, run.id);
    cancelling.catch((error: unknown) =>
      host.logger.error({ err: error, runId: run.id }, 'a run whose last reader has gone could not be cancelled'),
    );
  };
  const cursor: RunCursor = new RunCursor(tail, after, close, (terminal) => rememberRun(terminal, run));
  host.cursors.add(cursor);
  return cursor;
}

/** Whether a run stops without readers. */
function cancelsOnDisconnect(host: RunHost, run: Run): boolean {
  const active = host.active.get(run.id);
  return active?.cancelOnDisconnect ?? storedTurn.parse(run.input).onDisconnect === 'CANCEL';
}

function hasEnded(run: Run): boolean {
  return run.status === 'COMPLETED' || run.status === 'FAILED' || run.status === 'CANCELLED';
}
