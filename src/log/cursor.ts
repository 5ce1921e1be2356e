import { isTerminal, type RunEvent } from './event.ts';
import type { RunEventBuffer } from './event-buffer.ts';

const done: IteratorResult<RunEvent, undefined> = { done: true, value: undefined };

/**
 * A reader of a run: a position in its buffer. Deltas that have queued up are read merged; the first event is never held
 * back. Ends after the terminal event. It is an iterator with its own `return()`, not an async generator, because a
 * generator that waits on a promise cannot be stopped from outside.
 */
export class RunCursor implements AsyncIterableIterator<RunEvent, undefined> {
  readonly #buffer: RunEventBuffer;
  readonly #after: number;
  readonly #onRead: (event: RunEvent) => void;
  readonly #onClose: (finished: boolean) => void;
  /** The position of the next event in the buffer. Until the first one is read, it is looked up each time. */
  #index = 0;
  #started = false;
  #closed = false;
  #sawTerminal = false;
  #failure: Error | null = null;
  #waiting: { resolve: (result: IteratorResult<RunEvent, undefined>) => void; stopWaiting: () => void } | null = null;

  /**
   * @param after only events with a higher seq
   * @param onClose called once; `finished` says whether the terminal event was delivered
   * @param onRead called with each event but deltas, before it is delivered
   */
  constructor(
    buffer: RunEventBuffer,
    after: number,
    onClose: (finished: boolean) => void = () => {},
    onRead: (event: RunEvent) => void = () => {},
  ) {
    this.#buffer = buffer;
    this.#after = after;
    this.#onRead = onRead;
    this.#onClose = onClose;
    buffer.readers++;
  }

  /** Whether the run has ended, and this reader has not left yet. */
  get hasUnreadEnd(): boolean {
    return this.#buffer.closed;
  }

  /** Whether there are events that it could read now. */
  get isBehind(): boolean {
    if (this.#closed || this.#waiting) return false;
    return this.#buffer.read(this.#started ? this.#index : this.#buffer.indexAfter(this.#after)) !== null;
  }

  /** How many events it has not read. */
  get lag(): number {
    const next = this.#started ? this.#index : this.#buffer.indexAfter(this.#after);
    return Math.max(0, this.#buffer.events.length - next);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<RunEvent, undefined>> {
    if (this.#failure) return Promise.reject(this.#failure);
    const result = this.#take();
    if (result) return Promise.resolve(result);
    if (this.#waiting) return Promise.reject(new Error('A cursor is read one event at a time.'));
    return new Promise((resolve) => {
      this.#waiting = { resolve, stopWaiting: this.#buffer.onAppend(() => this.#deliver()) };
    });
  }

  return(): Promise<IteratorResult<RunEvent, undefined>> {
    this.#close();
    return Promise.resolve(done);
  }

  /** Ends it in the middle: the next event that is asked for is this error. */
  fail(error: Error): void {
    if (this.#closed) return;
    this.#failure = error;
    this.#close();
  }

  #take(): IteratorResult<RunEvent, undefined> | null {
    if (this.#closed) return done;
    // A buffer can be empty now, and be filled from its beginning later (sync-remote.ts).
    if (!this.#started) this.#index = this.#buffer.indexAfter(this.#after);
    const read = this.#buffer.read(this.#index);
    if (read) {
      this.#started = true;
      this.#index = read.next;
      const { type } = read.event;
      if (type !== 'TextDelta' && type !== 'ReasoningDelta') this.#onRead(read.event);
      if (isTerminal(read.event)) this.#sawTerminal = true;
      return { done: false, value: read.event };
    }
    if (!this.#buffer.closed) return null;
    this.#close();
    return done;
  }

  #deliver(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    const result = this.#take();
    if (!result) {
      // The event that was appended is not after `after`.
      waiting.stopWaiting = this.#buffer.onAppend(() => this.#deliver());
      return;
    }
    this.#waiting = null;
    waiting.resolve(result);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#buffer.readers--;
    this.#waiting?.stopWaiting();
    this.#waiting?.resolve(done);
    this.#waiting = null;
    this.#onClose(this.#sawTerminal);
  }
}
