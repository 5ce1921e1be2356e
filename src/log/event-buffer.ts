import { isTerminal, mergeDeltas, type RunEvent, sizeOfEvent } from './event.ts';

/** Deltas that have queued up are merged up to this many characters, so that no frame grows without bound. */
const maxMergedLength = 16_384;

/**
 * The events of one run, in memory: written by the process that carries it out, or filled from the archive if another
 * process did. Readers are positions in it (RunCursor), so a slow reader costs nothing.
 */
export class RunEventBuffer {
  readonly runId: string;
  readonly #events: RunEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #closed = false;
  #bytes = 0;
  #shownSeq = Number.POSITIVE_INFINITY;
  #passedSeq = 0;
  /** How many cursors are open. */
  readers = 0;

  constructor(runId: string) {
    this.runId = runId;
  }

  /** Whether the terminal event is in it. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The seq of the last event, or the one that was passed; 0 before the first. */
  get lastSeq(): number {
    return Math.max(this.#lastEventSeq, this.#passedSeq);
  }

  get #lastEventSeq(): number {
    return this.#events.at(-1)?.seq ?? 0;
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
    if (this.#closed || event.seq <= this.#lastEventSeq) {
      throw new Error(`Event ${event.seq} of run ${this.runId} does not follow ${this.#lastEventSeq}.`);
    }
    this.#events.push(event);
    this.#bytes += sizeOfEvent(event);
    if (isTerminal(event)) this.#closed = true;
    this.#wake();
  }

  /** Adds the events of a run that was carried out elsewhere; events that are here already are skipped. */
  fill(events: readonly RunEvent[]): void {
    for (const event of events) if (!this.#closed && event.seq > this.#lastEventSeq) this.append(event);
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
