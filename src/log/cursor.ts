import { isTerminal, type RunEvent } from './event.ts';
import type { RunEventBuffer } from './event-buffer.ts';

const done: IteratorResult<RunEvent, undefined> = { done: true, value: undefined };

/**
 * A reader of a run: a position in its tail. What has queued up behind it reaches it merged; the first event is never
 * held back. Ends after the terminal event. An iterator with its own `return()`, not an async generator: a generator
 * that waits on a promise cannot be stopped from outside.
 */
export class RunCursor implements AsyncIterableIterator<RunEvent, undefined> {
  readonly #tail: RunEventBuffer;
  readonly #after: number;
  readonly #onEnd: (terminal: RunEvent) => void;
  readonly #onClose: (finished: boolean) => void;
  /** The place in the tail of the next event; before the first one, it is looked for each time. */
  #index = 0;
  #begun = false;
  #closed = false;
  #sawTerminal = false;
  #waiting: { resolve: (result: IteratorResult<RunEvent, undefined>) => void; forget: () => void } | null = null;

  /**
   * @param after only events with a higher seq
   * @param onClose called once; `finished` says whether the terminal event was delivered
   * @param onEnd called with the terminal event before it is delivered
   */
  constructor(
    tail: RunEventBuffer,
    after: number,
    onClose: (finished: boolean) => void = () => {},
    onEnd: (terminal: RunEvent) => void = () => {},
  ) {
    this.#tail = tail;
    this.#after = after;
    this.#onEnd = onEnd;
    this.#onClose = onClose;
    tail.readers++;
  }

  /** Whether all that it has to read is there. */
  get ending(): boolean {
    return this.#tail.closed;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<RunEvent, undefined>> {
    const result = this.#take();
    if (result) return Promise.resolve(result);
    if (this.#waiting) return Promise.reject(new Error('A cursor is read one event at a time.'));
    return new Promise((resolve) => {
      this.#waiting = { resolve, forget: this.#tail.onAppend(() => this.#deliver()) };
    });
  }

  return(): Promise<IteratorResult<RunEvent, undefined>> {
    this.#close();
    return Promise.resolve(done);
  }

  #take(): IteratorResult<RunEvent, undefined> | null {
    if (this.#closed) return done;
    // A tail can be empty now, and be filled from its beginning later (remote.ts).
    if (!this.#begun) this.#index = this.#tail.indexAfter(this.#after);
    const read = this.#tail.read(this.#index);
    if (read) {
      this.#begun = true;
      this.#index = read.next;
      if (isTerminal(read.event)) {
        this.#sawTerminal = true;
        this.#onEnd(read.event);
      }
      return { done: false, value: read.event };
    }
    if (!this.#tail.closed) return null;
    this.#close();
    return done;
  }

  #deliver(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    const result = this.#take();
    if (!result) {
      // What was appended is not after `after`.
      waiting.forget = this.#tail.onAppend(() => this.#deliver());
      return;
    }
    this.#waiting = null;
    waiting.resolve(result);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#tail.readers--;
    this.#waiting?.forget();
    this.#waiting?.resolve(done);
    this.#waiting = null;
    this.#onClose(this.#sawTerminal);
  }
}
