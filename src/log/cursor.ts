import { isTerminal, type RunEvent } from './event.ts';
import type { RunEventBuffer } from './event-buffer.ts';

const done: IteratorResult<RunEvent, undefined> = { done: true, value: undefined };

/** The events of an archive in memory, and the room that they take until it is disposed of. */
export interface PastEvents {
  readonly buffer: RunEventBuffer;
  readonly room: Disposable;
}

/**
 * How a reader ended: it had the terminal event, it left, or the server could not go on with it. Nobody has left then.
 */
export type CursorEnd = 'finished' | 'left' | 'failed';

interface CursorOptions {
  /** The events that the buffer has released, if they were read already. */
  readonly past?: PastEvents | null;
  /**
   * Reads the events that the buffer has released, up to a seq.
   * @param hasLeft whether nobody waits for them any more
   * @returns null if they do not exist any more
   */
  readonly openPast?: (until: number, hasLeft: () => boolean) => Promise<PastEvents | null>;
  /** Called once, when it ends. */
  readonly onClose?: (end: CursorEnd) => void;
  /** Called with each event but deltas, before it is delivered. */
  readonly onRead?: (event: RunEvent) => void;
}

interface Waiting {
  readonly resolve: (result: IteratorResult<RunEvent, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A reader of a run: a position in its buffer. Deltas that have queued up are read merged; the first event is never held
 * back. Ends after the terminal event. What the buffer has released is read from the archive, when it is asked for. It is an
 * iterator with its own `return()`, not an async generator, because a generator that waits on a promise cannot be stopped
 * from outside.
 */
export class RunCursor implements AsyncIterableIterator<RunEvent, undefined> {
  readonly #buffer: RunEventBuffer;
  readonly #options: CursorOptions;
  #position: number;
  /** Where the next event probably is in the buffer. */
  #hint = 0;
  #past: PastEvents | null;
  #isOpening = false;
  /** When it was last asked for an event, by performance.now(). */
  #askedAt = performance.now();
  #closed = false;
  #sawTerminal = false;
  #failure: { readonly error: unknown } | null = null;
  #waiting: Waiting | null = null;
  #stopWaiting = (): void => {};

  /** @param after only events with a higher seq */
  constructor(buffer: RunEventBuffer, after: number, options: CursorOptions = {}) {
    this.#buffer = buffer;
    this.#position = after;
    this.#options = options;
    this.#past = options.past ?? null;
    buffer.addReader(this);
  }

  /** The seq of the last event that it has read. */
  get position(): number {
    return this.#position;
  }

  /** Whether the run has ended, and this reader has not left yet. */
  get hasUnreadEnd(): boolean {
    return this.#buffer.closed;
  }

  /** How many events it has not read. Of those that were released, their seqs are counted. */
  get lag(): number {
    const released = Math.max(0, this.#buffer.releasedSeq - this.#position);
    return released + this.#buffer.events.length - this.#buffer.indexAfter(this.#position);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @throws what reading the archive threw */
  next(): Promise<IteratorResult<RunEvent, undefined>> {
    if (this.#failure) return Promise.reject(this.#failure.error);
    this.#askedAt = performance.now();
    const result = this.#take();
    if (result) return Promise.resolve(result);
    if (this.#waiting) return Promise.reject(new Error('A cursor is read one event at a time.'));
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#wait();
    });
  }

  return(): Promise<IteratorResult<RunEvent, undefined>> {
    this.#close('left');
    return Promise.resolve(done);
  }

  /** Gives back the events of the archive: others wait for their room. They are read again when the next one is asked for. */
  releasePast(): void {
    this.#past?.room[Symbol.dispose]();
    this.#past = null;
  }

  /** Gives back the events of the archive if none was asked for in so many milliseconds. */
  releaseIdlePast(maxIdleMs: number): void {
    if (this.#past && performance.now() - this.#askedAt > maxIdleMs) this.releasePast();
  }

  #take(): IteratorResult<RunEvent, undefined> | null {
    if (this.#closed) return done;
    const source = this.#buffer.lacksAfter(this.#position) ? this.#past?.buffer : this.#buffer;
    const read = source?.readAfter(this.#position, this.#hint);
    if (read) {
      this.#hint = read.next;
      this.#moveTo(read.event.seq);
      const { type } = read.event;
      if (type !== 'TextDelta' && type !== 'ReasoningDelta') this.#options.onRead?.(read.event);
      if (isTerminal(read.event)) this.#sawTerminal = true;
      return { done: false, value: read.event };
    }
    if (this.#buffer.lacksAfter(this.#position) || !this.#buffer.closed) return null;
    this.#close(this.#sawTerminal ? 'finished' : 'left');
    return done;
  }

  #moveTo(seq: number): void {
    this.#position = Math.max(this.#position, seq);
    if (!this.#buffer.lacksAfter(this.#position)) this.releasePast();
  }

  #wait(): void {
    this.#stopWaiting();
    this.#stopWaiting = this.#buffer.onAppend(() => this.#deliver());
    if (this.#buffer.lacksAfter(this.#position)) void this.#openPast();
  }

  async #openPast(): Promise<void> {
    if (this.#isOpening) return;
    this.#isOpening = true;
    // One that was read to its end: the archive has grown since.
    this.releasePast();
    const until = this.#buffer.releasedSeq;
    try {
      const past = (await this.#options.openPast?.(until, () => this.#closed)) ?? null;
      if (this.#closed) return past?.room[Symbol.dispose]();
      this.#past = past;
      // The conversation was deleted: its end is all that there is to read. Or the run goes on here, and this is not needed.
      this.#moveTo(past && past.buffer.lastSeq > this.#position ? this.#position : until);
    } catch (error) {
      return this.#fail(error);
    } finally {
      this.#isOpening = false;
    }
    this.#deliver();
  }

  #deliver(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    // Either an event was appended, or the archive was read.
    this.#stopWaiting();
    const result = this.#take();
    if (result) {
      this.#waiting = null;
      waiting.resolve(result);
    } else {
      // The event that was appended is not after `after`.
      this.#wait();
    }
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#failure = { error };
    this.#waiting?.reject(error);
    this.#waiting = null;
    this.#close('failed');
  }

  #close(end: CursorEnd): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#buffer.removeReader(this);
    this.releasePast();
    this.#stopWaiting();
    this.#waiting?.resolve(done);
    this.#waiting = null;
    this.#options.onClose?.(this.#sawTerminal ? 'finished' : end);
  }
}
