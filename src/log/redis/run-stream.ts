import type { RunEventBuffer } from '../event-buffer.ts';
import { cutPiece, hasPieceAfter, type LogPiece } from '../piece.ts';

/** How many pieces of one run are sent together. */
const maxPieces = 16;

/** How far the stream of one run of this process has got. */
export class RunStream implements Disposable {
  readonly key: string;
  readonly epoch: number;
  readonly #buffer: RunEventBuffer;
  readonly #onChange: () => void;
  /** Pieces of a run that has ended: its buffer may let go of its events at any moment. */
  #last: LogPiece[] = [];
  /** The seq of the last event that was sent, and of the last one that Redis has. */
  #sentSeq = 0;
  #storedSeq = 0;
  #isFinished = false;
  #stopWaiting = (): void => {};
  /** Whether the stream is to be begun: it does not exist, or it is a former owner's. */
  isNew = true;

  /** @param onChange called when there is more to send */
  constructor(
    { key, epoch, buffer }: { readonly key: string; readonly epoch: number; readonly buffer: RunEventBuffer },
    onChange: () => void,
  ) {
    this.key = key;
    this.epoch = epoch;
    this.#buffer = buffer;
    this.#onChange = onChange;
    this.#wait();
  }

  get runId(): string {
    return this.#buffer.runId;
  }

  /** Whether nothing more happens in the run here. */
  get isFinished(): boolean {
    return this.#isFinished || this.#buffer.closed;
  }

  /** Whether all of it is sent. */
  get isDone(): boolean {
    return this.isFinished && !this.hasMore && this.#storedSeq === this.#sentSeq;
  }

  /** Whether there is more to send. */
  get hasMore(): boolean {
    return this.isNew || this.#last.length > 0 || hasPieceAfter(this.#buffer, this.#sentSeq);
  }

  /** When the oldest event that was not sent happened, in milliseconds since the epoch; infinite: all are sent. */
  get firstWaitingAt(): number {
    return this.#buffer.events[this.#buffer.indexAfter(this.#sentSeq)]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** The next pieces to be sent. */
  takePieces(): LogPiece[] {
    this.isNew = false;
    const pieces = this.#last.splice(0, maxPieces);
    if (pieces.length === 0) {
      for (let piece = this.#next(); piece && pieces.length < maxPieces; piece = this.#next()) {
        pieces.push(piece);
        this.#sentSeq = piece.lastSeq;
      }
    }
    return pieces;
  }

  /** @param piece null: the opening */
  noteSent(piece: LogPiece | null): void {
    if (piece !== null) this.#storedSeq = Math.max(this.#storedSeq, piece.lastSeq);
  }

  /** What was sent and not answered is sent again. */
  forgetSent(): void {
    this.#last = [];
    this.#sentSeq = this.#storedSeq;
  }

  /** The stream ends with a seq. */
  goOnAfter(seq: number): void {
    this.#storedSeq = seq;
    this.forgetSent();
  }

  /** The stream does not exist: all of it is sent again. */
  restart(): void {
    this.goOnAfter(0);
    this.isNew = true;
  }

  /** Nothing more happens in the run here. */
  finish(): void {
    this.#isFinished = true;
    this.#stopWaiting();
  }

  [Symbol.dispose](): void {
    this.#stopWaiting();
    this.#last = [];
  }

  #next(): LogPiece | null {
    return cutPiece(this.#buffer, { after: this.#sentSeq, epoch: this.epoch });
  }

  #wait(): void {
    this.#stopWaiting = this.#buffer.onAppend(() => {
      if (this.#buffer.closed) this.#takeLast();
      else this.#wait();
      this.#onChange();
    });
  }

  #takeLast(): void {
    for (let piece = this.#next(); piece; piece = this.#next()) {
      this.#last.push(piece);
      this.#sentSeq = piece.lastSeq;
    }
  }
}
