import { isTerminal, mergeDeltas, type RunEvent, sizeOfEvent } from './event.ts';

/** Deltas that have queued up are merged up to this many characters, so that no frame grows without bound. */
const maxMergedLength = 16_384;

/** Who reads a buffer. */
interface BufferReader {
  /** The seq of the last event that it has read. */
  readonly position: number;
}

/**
 * The events of one run, in memory: written by the process that carries it out, or filled from the archive if another
 * process did. Readers are positions in it (RunCursor), so a slow reader costs nothing.
 *
 * When a run has ended or waits for a person, its events are in the archive too, and the buffer releases them: from then on
 * it only knows how far they go. Readers that are behind read the archive, and wait here for what comes after it.
 */
export class RunEventBuffer {
  readonly runId: string;
  #events: RunEvent[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #readers = new Set<BufferReader>();
  #closed = false;
  #isCancelled = false;
  #bytes = 0;
  #shownSeq = Number.POSITIVE_INFINITY;
  #passedSeq = 0;
  /** The archive holds the events up to this seq. */
  #archivedSeq = 0;
  /** The events up to this seq are not here any more. */
  #releasedSeq = 0;

  constructor(runId: string) {
    this.runId = runId;
  }

  /** How many cursors are open. */
  get readers(): number {
    return this.#readers.size;
  }

  /** Counts a reader until it is removed. */
  addReader(reader: BufferReader): void {
    this.#readers.add(reader);
  }

  removeReader(reader: BufferReader): void {
    this.#readers.delete(reader);
  }

  /** Whether each reader has read all of it. */
  get isRead(): boolean {
    for (const { position } of this.#readers) if (position < this.lastEventSeq) return false;
    return true;
  }

  /** Whether the terminal event is in it. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The seq of the last event, or the one that was passed; 0 before the first. */
  get lastSeq(): number {
    return Math.max(this.lastEventSeq, this.#passedSeq);
  }

  /** The seq of the last event that is here, or was released. */
  get lastEventSeq(): number {
    return this.#events.at(-1)?.seq ?? this.#releasedSeq;
  }

  /** Passes all seqs up to this one: a process that has died may have used them, and new events come after them. */
  pass(seq: number): void {
    this.#passedSeq = Math.max(this.#passedSeq, seq);
  }

  get events(): readonly RunEvent[] {
    return this.#events;
  }

  /** Readers are given the events up to this seq; those after it are held back. */
  get shownSeq(): number {
    return this.#shownSeq;
  }

  /** Gives readers the events up to a seq, also those that follow. */
  showUpTo(seq: number): void {
    const isMore = seq > this.#shownSeq;
    this.#shownSeq = seq;
    if (isMore) this.#wake();
  }

  /** Holds back the events that readers have not been offered yet. */
  hold(): void {
    this.#shownSeq = Math.min(this.#shownSeq, this.lastSeq);
  }

  /** Forgets the events that were held back, and holds none back any more: the run goes on elsewhere. */
  dropHeld(): void {
    const kept = this.indexAfter(this.#shownSeq);
    for (const event of this.#events.splice(kept)) this.#bytes -= sizeOfEvent(event);
    this.#shownSeq = Number.POSITIVE_INFINITY;
  }

  /** How many bytes of text its events hold. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds an event. Its seq must be higher than that of the last; nothing follows a terminal event.
   */
  append(event: RunEvent): void {
    if (this.#closed || event.seq <= this.lastEventSeq) {
      throw new Error(`Event ${event.seq} of run ${this.runId} does not follow ${this.lastEventSeq}.`);
    }
    this.#events.push(event);
    this.#bytes += sizeOfEvent(event);
    if (isTerminal(event)) this.#closed = true;
    this.#wake();
  }

  /** Adds the events of a run that was carried out elsewhere; events that are here already, or were, are skipped. */
  fill(events: readonly RunEvent[]): void {
    for (const event of events) if (!this.#closed && event.seq > this.lastEventSeq) this.append(event);
  }

  /** Makes it whole again, for a run that goes on here. @param events those of the archive, from the first one on */
  restore(events: readonly RunEvent[]): void {
    const released = this.#releasedSeq;
    this.#archivedSeq = 0;
    if (released > 0) {
      const missing = events.filter(({ seq }) => seq <= released);
      this.#events = [...missing, ...this.#events];
      for (const event of missing) this.#bytes += sizeOfEvent(event);
      this.#releasedSeq = 0;
      this.pass(released);
    }
    this.fill(events);
    if (released > 0) this.#wake();
  }

  /** Notes that all of its events are in the archive: `release` may let go of them, unless the run goes on here. */
  markArchived(): void {
    this.#archivedSeq = this.lastEventSeq;
  }

  /** Forgets its events, and passes their seqs: whoever goes on with the run tells its readers all of it again. */
  forget(): void {
    this.pass(this.lastSeq);
    this.#events = [];
    this.#bytes = this.#archivedSeq = this.#releasedSeq = 0;
  }

  /** Lets go of the events up to a seq, which can be read elsewhere. */
  releaseStored(seq: number): void {
    this.#archivedSeq = Math.max(this.#archivedSeq, Math.min(seq, this.lastEventSeq));
    this.release();
  }

  /** The seq up to which all of its readers have read. */
  get readSeq(): number {
    let read = this.lastEventSeq;
    for (const { position } of this.#readers) read = Math.min(read, position);
    return read;
  }

  /** Lets go of the events that are in the archive. */
  release(): void {
    if (this.#archivedSeq <= this.#releasedSeq) return;
    const released = this.#events.slice(0, this.indexAfter(this.#archivedSeq));
    this.#events = this.#events.slice(released.length);
    for (const event of released) this.#bytes -= sizeOfEvent(event);
    this.#releasedSeq = this.#archivedSeq;
  }

  /**
   * Notes that the archive holds the events up to a seq, which another process has written. They are not here; readers are
   * woken to read them there.
   * @param isEnd whether the last of them is the terminal one
   * @param isCancelled whether that says that the run was cancelled
   */
  releaseUpTo(seq: number, isEnd: boolean, isCancelled = false): void {
    if (this.#closed || (seq <= this.lastEventSeq && !isEnd)) return;
    this.#archivedSeq = this.#releasedSeq = Math.max(seq, this.lastEventSeq);
    this.#events = [];
    this.#bytes = 0;
    this.#closed = isEnd;
    this.#isCancelled = isCancelled;
    this.#wake();
  }

  /** Whether the event after a seq was released: it is read from the archive. */
  lacksAfter(seq: number): boolean {
    return seq < this.#releasedSeq;
  }

  /** Whether the terminal event is among those that were released. */
  get isEndReleased(): boolean {
    return this.#closed && this.#events.length === 0;
  }

  /** Whether the terminal event was released, and is known to be RunCancelled. */
  get isCancelled(): boolean {
    return this.isEndReleased && this.#isCancelled;
  }

  /** The seq of the last event that was released. */
  get releasedSeq(): number {
    return this.#releasedSeq;
  }

  #wake(): void {
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Calls back once, when something is appended. @returns a function that cancels the callback */
  onAppend(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  /**
   * The first event after a seq, merged with those that follow it.
   * @param hint where it probably is: the position that the last reading returned
   */
  readAfter(seq: number, hint: number): { event: RunEvent; next: number } | null {
    return this.read(this.#events[hint - 1]?.seq === seq ? hint : this.indexAfter(seq));
  }

  /** The position in `events` of the first event after a seq. */
  indexAfter(seq: number): number {
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle]?.seq ?? 0) <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * The event at a position, merged with those after it that can be merged.
   * @returns the event and the position after it; null at the end, and before events that are held back
   */
  read(index: number): { event: RunEvent; next: number } | null {
    const first = this.#events[index];
    if (!first || first.seq > this.#shownSeq) return null;
    if (first.type !== 'TextDelta' && first.type !== 'ReasoningDelta') return { event: first, next: index + 1 };
    let event: RunEvent = first;
    let next = index + 1;
    while (next < this.#events.length && event.delta.length < maxMergedLength) {
      const following = this.#events[next];
      const isShown = following !== undefined && following.seq <= this.#shownSeq;
      const merged: RunEvent | null = isShown ? mergeDeltas(event, following) : null;
      if (merged?.type !== 'TextDelta' && merged?.type !== 'ReasoningDelta') break;
      event = merged;
      next++;
    }
    return { event, next };
  }
}
