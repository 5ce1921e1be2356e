const done: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** What a reader does with an event; `last`: it delivers it, and ends. */
export type Selection = 'deliver' | 'skip' | 'last';

/**
 * One reader of a feed: a position in it. Events wait in their rows, not here, so a reader that stops reading costs
 * nothing. If the feed was cut off behind a slow reader, it fails with EVENTS_EXPIRED.
 */
export class FeedReader<Event extends { readonly seq: number }> implements AsyncIterableIterator<Event, undefined> {
  readonly #select: (event: Event) => Selection;
  readonly #load: (after: number) => Promise<readonly Event[]>;
  readonly #onClose: () => void;
  /** Events that were read and not delivered: those of one statement. */
  #batch: readonly Event[] = [];
  #next = 0;
  #position: number;
  #wakes = 0;
  #wakeUp: (() => void) | null = null;
  #closed = false;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * @param options.after a seq, exclusive
   * @param options.select which events to deliver
   * @param options.first the events after `after`, if they were read already
   * @param options.load reads the next events after a seq; none: there are no more yet
   */
  constructor(options: {
    readonly after: number;
    readonly select: (event: Event) => Selection;
    readonly first: readonly Event[];
    readonly load: (after: number) => Promise<readonly Event[]>;
    readonly onClose: () => void;
  }) {
    this.#position = options.after;
    this.#select = options.select;
    this.#batch = options.first;
    this.#load = options.load;
    this.#onClose = options.onClose;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The seq up to which this reader has read the feed. */
  get position(): number {
    return this.#batch.at(-1)?.seq ?? this.#position;
  }

  /** Notifies the reader that there may be more events. */
  wake(): void {
    this.#wakes += 1;
    this.#wakeUp?.();
    this.#wakeUp = null;
  }

  /** @throws {EventsExpiredError} if the next event is not kept any more */
  next(): Promise<IteratorResult<Event, undefined>> {
    // One after another, whoever asks.
    const step = this.#last.then(() => this.#read());
    this.#last = step.catch(() => {});
    return step;
  }

  return(): Promise<IteratorResult<Event, undefined>> {
    this.close();
    return Promise.resolve(done);
  }

  /** Ends the reader. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.wake();
    this.#onClose();
  }

  async #read(): Promise<IteratorResult<Event, undefined>> {
    while (!this.#closed) {
      for (let event = this.#batch[this.#next]; event; event = this.#batch[this.#next]) {
        this.#next += 1;
        const selection = this.#select(event);
        if (selection === 'skip') continue;
        if (selection === 'last') this.close();
        return { done: false, value: event };
      }
      const wakes = this.#wakes;
      this.#position = this.position;
      this.#batch = await this.#loadOrClose();
      this.#next = 0;
      if (this.#batch.length > 0 || wakes !== this.#wakes) continue;
      await new Promise<void>((resolve) => {
        this.#wakeUp = resolve;
      });
    }
    return done;
  }

  async #loadOrClose(): Promise<readonly Event[]> {
    try {
      return await this.#load(this.#position);
    } catch (error) {
      this.close();
      throw error;
    }
  }
}
