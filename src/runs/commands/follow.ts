import { setTimeout as sleep } from 'node:timers/promises';
import { EventsExpiredError, NotFoundError, RateLimitedError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import { badInput, type InputPath, integer, parseInput } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
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
import { awaitJoining } from './await-joining.ts';
import { cancelRow } from './cancel.ts';
import { startTurn } from './start.ts';

/** How long a reader that has found no room waits before it asks again, in milliseconds. */
const retryRoomMs = 1_000;
/** How long one waits that reads what happens elsewhere and cannot be read yet, in milliseconds. */
const retryPastMs = 250;

/**
 * Starts a turn, or attaches to the one that its idempotency key has started, and follows it to the terminal event.
 * @param rawInput a ChatTurnInput
 * @throws as startRun and followRun do
 */
export async function chatTurn(viewer: Viewer, runtime: RunRuntime, rawInput: unknown): Promise<RunCursor> {
  const input = parseTurnInput(rawInput);
  const started = await startTurn(viewer, runtime, input);
  const { run, after } = await awaitJoining(viewer, runtime, input, started, { mayWait: true });
  // What the rows tell may be before it is in the log.
  return openCursor(runtime, run, { after, path: after === input.after ? ['input', 'after'] : null });
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
  const input = parseTurnInput(rawInput);
  const started = await startTurn(viewer, runtime, input);
  const { run } = await awaitJoining(viewer, runtime, input, started, { mayWait: false });
  // Its events may be deleted for their age by now, and nobody asks for them.
  if (hasEnded(run)) return readRun(viewer, runtime.db, run.id, query);
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
  /** Where `after` stands in the arguments; null: it is not the client's. */
  readonly path: InputPath | null;
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
  if (path !== null && (buffer.closed || isComplete) && after > buffer.lastSeq) {
    past?.room[Symbol.dispose]();
    throw badInput(path, `must be at most ${buffer.lastSeq}, the seq of the last event so far`);
  }
  const onClose = (end: CursorEnd) => {
    runtime.cursors.delete(cursor);
    // The server takes its sockets away before it stops, and ends readers that it cannot serve: nobody has left.
    if (
      runtime.sendingAway ||
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
    openPast: async (until, hasLeft) => {
      const found = await reopenPast(runtime, run, until, { end: () => giveBack(), hasLeft });
      return found === null && buffer.isEndReleased && !hasLeft() ? readLost(runtime, run, buffer) : found;
    },
    onClose,
    onRead: (event) => rememberRun(event, run),
  });
  giveBack = () => cursor.releasePast();
  runtime.cursors.add(cursor);
  return cursor;
}

/** It was deleted for its age (RETENTION_ARCHIVE_DAYS): the rows tell what came of it. */
function expired({ lastSeq }: Pick<Run, 'lastSeq'>): EventsExpiredError {
  const message = 'The events of this run are not kept any more. Read the run, with its messages.';
  return new EventsExpiredError(lastSeq, message);
}

/**
 * What a reader gets that has not read the end of a run, whose events are gone: nobody is left without an end or a reason.
 * @returns the end, of a turn that was cancelled because its conversation was deleted
 * @throws {EventsExpiredError} if the archive was deleted for its age; {@link NotFoundError} if the run was deleted after its end
 */
async function readLost(runtime: RunRuntime, { id }: Run, { isCancelled, releasedSeq }: RunEventBuffer) {
  const find = () => runtime.db.run.findUnique({ where: { id }, select: { lastSeq: true } });
  const row = await retryWhileAway(find, { maxMs: runtime.outageMs });
  if (row) throw expired(row);
  if (!isCancelled) throw new NotFoundError(`The run ${formatId('Run', id)} was deleted.`);
  const buffer = new RunEventBuffer(id);
  buffer.append({ type: 'RunCancelled', seq: releasedSeq, runId: id, at: Date.now() });
  return { buffer, room: new DisposableStack() };
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
      // It may be continued on any instance.
      runtime.remote.follow(run.id);
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
      // It may begin on any instance.
      runtime.remote.follow(run.id);
      return { buffer, isComplete: true, countsReaders: true };
    }
    // Another process carries it out, and its events arrive in the buffer (remote/remote-runs.ts).
    case 'elsewhere':
      runtime.remote.follow(run.id);
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
    if (past === null) throw expired(run);
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
  const { replays, replayRoom } = runtime;
  const read = (reserve: ReserveBytes) => replays.open(run.id, until, () => readPast(runtime, run, until, reserve));
  return replayRoom.open(run, read, end);
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
      const past = await retryWhileAway(() => openPast(runtime, run, until, end), { maxMs: runtime.outageMs });
      // Those of a run that goes on elsewhere can be read a moment later.
      if (past !== null || !runtime.remote.isFollowed(run.id)) return past;
      await sleep(retryPastMs, undefined, { ref: false });
    } catch (error) {
      if (!(error instanceof RateLimitedError)) throw error;
      await sleep(retryRoomMs, undefined, { ref: false });
    }
  }
  return null;
}

/**
 * What has happened in a run, up to its end or its last pause, in a buffer of its own. Of a run that goes on elsewhere, what has
 * happened so far.
 * @returns null if it has no archive, or cannot be read yet
 */
async function readPast(
  runtime: RunRuntime,
  run: Run,
  until: number,
  reserve: ReserveBytes,
): Promise<RunEventBuffer | null> {
  const events = await readArchive(runtime.db, run.id, reserve);
  const isBehind = events === null || (events.at(-1)?.seq ?? 0) < until;
  if (isBehind && runtime.remote.isFollowed(run.id)) return runtime.remote.readLive(run.id, until, reserve);
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
