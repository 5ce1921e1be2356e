import { packLine, unpackLine } from './archive.ts';
import { isComplete } from './earlier-archives.ts';
import { isTerminal, type RunEvent, sizeOfEvent } from './event.ts';
import type { RunEventBuffer } from './event-buffer.ts';

/** A piece holds at most this many events, ... */
const maxPieceEvents = 1_000;
/** ... and no further event once it holds this many bytes of text. */
const maxPieceBytes = 16 * 1024;

/** Some events of a live run, as its owner hands them to other instances. */
export interface LogPiece {
  /** The epoch of the owner's lease. */
  readonly epoch: number;
  /** The seq of the owner's event before the first one; 0: it is the first of all. Who has not got so far misses events. */
  readonly after: number;
  /** The seq of the last event. */
  readonly lastSeq: number;
  /** The events as a line of an archive; null: the archive of the run holds all events up to `lastSeq`. */
  readonly events: string | null;
  /** Whether the last of them is the terminal one. */
  readonly isEnd: boolean;
}

/**
 * Cuts the next piece out of the events that the readers of a run may be given.
 * @param from.after the seq of the last event of the piece before; 0: it is the first piece
 * @returns null if there are none
 */
export function cutPiece(
  buffer: RunEventBuffer,
  { after, epoch }: { readonly after: number; readonly epoch: number },
): LogPiece | null {
  if (buffer.lacksAfter(after)) {
    const isEnd = buffer.closed && buffer.events.length === 0;
    return { epoch, after, lastSeq: buffer.releasedSeq, events: null, isEnd };
  }
  const events: RunEvent[] = [];
  let bytes = 0;
  for (let index = buffer.indexAfter(after); index < buffer.events.length; index++) {
    const event = buffer.events[index];
    if (event === undefined || event.seq > buffer.shownSeq) break;
    events.push(event);
    bytes += sizeOfEvent(event);
    if (bytes >= maxPieceBytes || events.length >= maxPieceEvents) break;
  }
  const last = events.at(-1);
  if (last === undefined) return null;
  return { epoch, after, lastSeq: last.seq, events: packLine(events), isEnd: isTerminal(last) };
}

/** Whether there is a next piece. */
export function hasPieceAfter(buffer: RunEventBuffer, after: number): boolean {
  if (buffer.lacksAfter(after)) return true;
  const next = buffer.events[buffer.indexAfter(after)];
  return next !== undefined && next.seq <= buffer.shownSeq;
}

/**
 * Adds the events of a piece to the buffer of an instance that follows the run. What it has already is skipped.
 * @returns false, with nothing done, if events before the piece are missing
 * @throws when another version of the server has written it
 */
export function applyPiece(buffer: RunEventBuffer, { after, lastSeq, events, isEnd }: LogPiece): boolean {
  if (after > buffer.lastEventSeq) return false;
  if (events === null) buffer.releaseUpTo(lastSeq, isEnd);
  else if (lastSeq > buffer.lastEventSeq) buffer.fill(unpackLive(buffer.runId, events));
  return true;
}

function unpackLive(runId: string, line: string): RunEvent[] {
  const events = [...unpackLine(runId, line)];
  if (!events.every(isComplete)) throw new Error(`A piece of run ${runId} is not complete.`);
  return events;
}
