import { badInput, type InputPath, integer, parseInput } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { RunCursor } from '../../log/cursor.ts';
import type { RunEvent } from '../../log/event.ts';
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
  let leave = (_error: Error): void => {};
  const location = await locate(runtime, run, (error) => leave(error));
  // Nothing is awaited from here on: a buffer that nobody reads yet may be dropped at any await.
  const { buffer, isComplete, countsReaders } = openBuffer(runtime, run, location);
  if ((buffer.closed || isComplete) && after > buffer.lastSeq) {
    releaseRoom(location);
    throw badInput(path, `must be at most ${buffer.lastSeq}, the seq of the last event so far`);
  }
  const close = (finished: boolean) => {
    runtime.cursors.delete(cursor);
    releaseRoom(location);
    // The server takes its sockets away when it stops: nobody has left.
    if (
      runtime.closing ||
      finished ||
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
  const cursor: RunCursor = new RunCursor(buffer, after, close, (event) => rememberRun(event, run));
  // Who has read everything waits for the run, as the others do, and gives back its room without leaving.
  leave = (error) => (cursor.isBehind ? cursor.fail(error) : releaseRoom(location));
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
      buffer.fill(location.past);
      return { buffer, isComplete: true, countsReaders: true };
    }
    // This process writes its events into the buffer.
    case 'running':
      return { buffer: location.buffer, isComplete: true, countsReaders: true };
    // Replayed from the archive, for all its readers together.
    case 'ended':
      return { buffer: location.buffer, isComplete: true, countsReaders: false };
    // It has only the event that says so. The others are written into the buffer if this process begins the run.
    case 'queued': {
      const buffer = runtime.log.open(run.id);
      buffer.fill(queuedEvents(run));
      return { buffer, isComplete: true, countsReaders: true };
    }
    // Another process carries it out. The buffer is filled when the run ends or waits (sync-remote.ts).
    case 'elsewhere':
      return { buffer: runtime.log.open(run.id), isComplete: false, countsReaders: false };
  }
}

/** Where a run is, and with it its events. */
type RunLocation =
  | { readonly kind: 'waiting'; readonly past: readonly RunEvent[]; readonly room: Disposable }
  | { readonly kind: 'running'; readonly buffer: RunEventBuffer }
  | { readonly kind: 'ended'; readonly buffer: RunEventBuffer; readonly room: Disposable }
  | { readonly kind: 'queued' | 'elsewhere' };

/** @param onTooSlow ends the reader: it has held a large run for so long that others wait */
async function locate(runtime: RunRuntime, run: Run, onTooSlow: (error: Error) => void): Promise<RunLocation> {
  if (run.status === 'REQUIRES_ACTION') {
    const opened = await runtime.replayRoom.open(run, (reserve) => readPast(runtime.db, run, reserve), onTooSlow);
    if (opened) return { kind: 'waiting', past: opened.buffer.events, room: opened.room };
  }
  const live = runtime.log.find(run.id);
  if (live && runtime.running.has(run.id)) return { kind: 'running', buffer: live };
  if (!live && hasEnded(run)) {
    const read = (reserve: ReserveBytes) => runtime.replays.open(run.id, () => readPast(runtime.db, run, reserve));
    const opened = await runtime.replayRoom.open(run, read, onTooSlow);
    if (opened === null) throw new Error(`Run ${run.id} has ended and has no archive.`);
    return { kind: 'ended', ...opened };
  }
  return { kind: run.status === 'QUEUED' ? 'queued' : 'elsewhere' };
}

/** What has happened in a run, up to its end or its last pause, in a buffer of its own; null: it has no archive. */
async function readPast(db: Db, run: Run, reserve: ReserveBytes): Promise<RunEventBuffer | null> {
  const events = await readArchive(db, run.id, reserve);
  if (events === null) return null;
  const buffer = new RunEventBuffer(run.id);
  buffer.fill(events);
  return buffer;
}

function releaseRoom(location: RunLocation): void {
  if (location.kind === 'ended' || location.kind === 'waiting') location.room[Symbol.dispose]();
}

/** Whether a run is cancelled when its last reader leaves. */
function cancelsOnDisconnect(runtime: RunRuntime, run: Run): boolean {
  const active = runtime.running.get(run.id);
  return active?.cancelOnDisconnect ?? storedTurn.parse(run.input).onDisconnect === 'CANCEL';
}
