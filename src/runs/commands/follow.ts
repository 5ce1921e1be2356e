import { setTimeout as sleep } from 'node:timers/promises';
import { RateLimitedError } from '../../api/errors.ts';
import { badInput, type InputPath, integer, parseInput } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { retryWhileAway } from '../../database/outage.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { type CursorEnd, type PastEvents, RunCursor } from '../../log/cursor.ts';
import { RunEventBuffer } from '../../log/event-buffer.ts';
import { readArchive } from '../archive.ts';
import { parseTurnInput, storedTurn } from '../input.ts';
import { queuedEvents } from '../queued-events.ts';
import { rememberRun } from '../read/event-rows.ts';
import { findRun, type RunQuery, readRun } from '../read/read.ts';
import type { ReserveBytes } from '../replay-room.ts';
import type { RunRuntime } from '../runtime.ts';
import { hasEnded } from '../statuses.ts';
import { cancelWaiting } from '../transitions/cancel-waiting.ts';
import { cancelRow } from './cancel.ts';
import { startTurn } from './start.ts';

/** How long a reader that has found no room waits before it asks again, in milliseconds. */
const retryRoomMs = 1_000;

/**
 * Starts a turn, or attaches to the one that its idempotency key has started, and follows it to the terminal event.
 * @param rawInput a ChatTurnInput
 * @throws as startRun and followRun do
 */
export async function chatTurn(viewer: Viewer, runtime: RunRuntime, rawInput: unknown): Promise<RunCursor> {
  const input = parseTurnInput(rawInput);
  const run = await startTurn(viewer, runtime, input);
  return openCursor(runtime, run, { after: input.after, path: ['input', 'after'] });
}

/**
 * Every event of a run after `after`, past ones replayed, live ones followed, to the terminal one.
 * @param rawId the public id of the run
 * @param after a seq, exclusive; 0 for all
 * @throws {BadUserInputError} when `after` is negative, or beyond the last event
 * @throws {ForbiddenError} {@link NotFoundError} for the run
 */
export async function followRun(viewer: Viewer, runtime: RunRuntime, rawId: string, after: number): Promise<RunCursor> {
  parseInput(integer(0, 2_147_483_647), after, ['after']);
  const run = await findRun(viewer, runtime.db, rawId, ['runId']);
  return openCursor(runtime, run, { after, path: ['after'] });
}

/**
 * Runs a whole turn: starts or attaches as startRun does, and reads the stream to its end.
 * @param rawInput a ChatTurnInput
 * @returns the run, when it has ended or waits for a person
 */
export async function sendMessage(
  viewer: Viewer,
  runtime: RunRuntime,
  rawInput: unknown,
  query: RunQuery = {},
): Promise<Run> {
  const run = await startTurn(viewer, runtime, parseTurnInput(rawInput));
  for await (const event of await openCursor(runtime, run, { after: 0, path: ['input', 'after'], mayLeave: true })) {
    // The answer is in the rows. Whether the run still waits is there too: if it was attached to, it may have continued.
    if (event.type !== 'ApprovalRequested') continue;
    const { status } = await readRun(viewer, runtime.db, run.id);
    if (status === 'REQUIRES_ACTION') break;
  }
  return readRun(viewer, runtime.db, run.id, query);
}

interface ReadFrom {
  /** A seq, exclusive. */
  readonly after: number;
  /** Where `after` stands in the arguments. */
  readonly path: InputPath;
  /** Whether the reader may leave without cancelling a run that is cancelled on disconnect. */
  readonly mayLeave?: boolean;
}

async function openCursor(
  runtime: RunRuntime,
  run: Run,
  { after, path, mayLeave = false }: ReadFrom,
): Promise<RunCursor> {
  let giveBack = (): void => {};
  const location = await locate(runtime, run, () => giveBack());
  // Nothing is awaited from here on: a buffer that nobody reads yet may be dropped at any await.
  const { buffer, isComplete, countsReaders } = openBuffer(runtime, run, location);
  const past = 'past' in location ? location.past : null;
  if ((buffer.closed || isComplete) && after > buffer.lastSeq) {
    past?.room[Symbol.dispose]();
    throw badInput(path, `must be at most ${buffer.lastSeq}, the seq of the last event so far`);
  }
  const onClose = (end: CursorEnd) => {
    runtime.cursors.delete(cursor);
    // The server takes its sockets away when it stops, and ends readers that it cannot serve: nobody has left.
    if (
      runtime.closing ||
      end !== 'left' ||
      buffer.closed ||
      buffer.readers > 0 ||
      mayLeave ||
      !cancelsOnDisconnect(runtime, run)
    )
      return;
    // Readers are counted where they are: a run that another process carried out when this reader came is cancelled by
    // that process, for its own readers.
    const isOurs = runtime.running.has(run.id) || countsReaders;
    const cancelling = isOurs ? cancelRow(runtime, run.id, new TurnAborted()) : cancelWaiting(runtime, run.id);
    cancelling.catch((error: unknown) =>
      runtime.logger.error({ err: error, runId: run.id }, 'could not cancel a run whose last reader has left'),
    );
  };
  const cursor: RunCursor = new RunCursor(buffer, after, {
    past,
    openPast: (until, hasLeft) => reopenPast(runtime, run, until, { end: () => giveBack(), hasLeft }),
    onClose,
    onRead: (event) => rememberRun(event, run),
  });
  giveBack = () => cursor.releasePast();
  runtime.cursors.add(cursor);
  return cursor;
}

/** The events of a run, as a reader gets them. */
interface OpenBuffer {
  readonly buffer: RunEventBuffer;
  /** Whether the buffer holds every event so far: a reader can then not be ahead of it. */
  readonly isComplete: boolean;
  /** Whether this process counts the run's readers, also if the run is carried out elsewhere by the time they leave. */
  readonly countsReaders: boolean;
}

function openBuffer(runtime: RunRuntime, run: Run, location: RunLocation): OpenBuffer {
  switch (location.kind) {
    // No process carries it out; all that has happened in it is in its archive. It may have continued here since: then
    // the buffer has these events already.
    case 'waiting': {
      const buffer = runtime.log.open(run.id);
      if (!runtime.running.has(run.id)) buffer.releaseUpTo(location.past.buffer.lastSeq, false);
      return { buffer, isComplete: true, countsReaders: true };
    }
    // This process writes its events into the buffer.
    case 'running':
      return { buffer: location.buffer, isComplete: true, countsReaders: true };
    // Replayed from the archive.
    case 'ended': {
      const buffer = new RunEventBuffer(run.id);
      buffer.releaseUpTo(location.past.buffer.lastSeq, true);
      return { buffer, isComplete: true, countsReaders: false };
    }
    // It has only the event that says so. The others are written into the buffer if this process begins the run.
    case 'queued': {
      const buffer = runtime.log.open(run.id);
      buffer.fill(queuedEvents(run));
      return { buffer, isComplete: true, countsReaders: true };
    }
    // Another process carries it out. The buffer is told when the run ends or waits (sync-remote.ts).
    case 'elsewhere':
      return { buffer: runtime.log.open(run.id), isComplete: false, countsReaders: false };
  }
}

/** Where a run is, and with it its events. */
type RunLocation =
  | { readonly kind: 'waiting' | 'ended'; readonly past: PastEvents }
  | { readonly kind: 'running'; readonly buffer: RunEventBuffer }
  | { readonly kind: 'queued' | 'elsewhere' };

/** @param end as for openPast */
async function locate(runtime: RunRuntime, run: Run, end: () => void): Promise<RunLocation> {
  if (run.status === 'REQUIRES_ACTION') {
    const past = await openPast(runtime, run, run.lastSeq, end);
    if (past) return { kind: 'waiting', past };
  }
  const live = runtime.log.find(run.id);
  if (live && runtime.running.has(run.id)) return { kind: 'running', buffer: live };
  if (!live && hasEnded(run)) {
    const past = await openPast(runtime, run, run.lastSeq, end);
    if (past === null) throw new Error(`Run ${run.id} has ended and has no archive.`);
    return { kind: 'ended', past };
  }
  return { kind: run.status === 'QUEUED' ? 'queued' : 'elsewhere' };
}

/**
 * The events of a run in its archive, for all of its readers together.
 * @param until the seq of the last one that is in it for certain
 * @param end called if they are held for long while others wait: their room is to be given back
 * @returns null if there is no archive
 * @throws {RateLimitedError} if there is no room within ten seconds
 */
function openPast(runtime: RunRuntime, run: Run, until: number, end: () => void): Promise<PastEvents | null> {
  const { db, replays, replayRoom } = runtime;
  return replayRoom.open(run, (reserve) => replays.open(run.id, until, () => readPast(db, run, reserve)), end);
}

/** Does what openPast does, for a reader that is in the middle of a run: it waits for room, and while the database is away. */
async function reopenPast(
  runtime: RunRuntime,
  run: Run,
  until: number,
  { end, hasLeft }: { readonly end: () => void; readonly hasLeft: () => boolean },
): Promise<PastEvents | null> {
  while (!hasLeft()) {
    try {
      return await retryWhileAway(() => openPast(runtime, run, until, end), { maxMs: runtime.outageMs });
    } catch (error) {
      if (!(error instanceof RateLimitedError)) throw error;
      await sleep(retryRoomMs, undefined, { ref: false });
    }
  }
  return null;
}

/** What has happened in a run, up to its end or its last pause, in a buffer of its own; null: it has no archive. */
async function readPast(db: Db, run: Run, reserve: ReserveBytes): Promise<RunEventBuffer | null> {
  const events = await readArchive(db, run.id, reserve);
  if (events === null) return null;
  const buffer = new RunEventBuffer(run.id);
  buffer.fill(events);
  return buffer;
}

/** Whether a run is cancelled when its last reader leaves. */
function cancelsOnDisconnect(runtime: RunRuntime, run: Run): boolean {
  const active = runtime.running.get(run.id);
  return active?.cancelOnDisconnect ?? storedTurn.parse(run.input).onDisconnect === 'CANCEL';
}
