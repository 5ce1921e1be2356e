import { type Speech, textOf } from './speech.ts';

/** An event of a turn, as far as it is checked. */
export interface Frame {
  readonly __typename: string;
  readonly seq: number;
  readonly runId: string;
  readonly offset?: number;
  readonly delta?: string;
  readonly length?: number;
  readonly message?: { readonly content: string };
  readonly error?: { readonly code: string };
}

/** The last event of a run. */
const terminal = /^Run(Completed|Failed|Cancelled)$/;

/** Checks what one reader is given of one turn, over all its sockets, as a user interface puts it together. */
export class TurnCheck {
  readonly faults: string[] = [];
  /** When each piece of the text was there for the first time, by performance.now(). */
  readonly moments: number[] = [];
  /** When each delta arrived. */
  readonly deltaTimes: number[] = [];
  runId: string | null = null;
  seq = 0;
  ended = false;
  /** How often text was taken back or told again: by a process that has taken the turn over. */
  repeats = 0;
  readonly #speech: Speech;
  readonly #expected: string;
  #length = 0;

  constructor(speech: Speech) {
    this.#speech = speech;
    this.#expected = textOf(speech);
  }

  see(frame: Frame): void {
    this.runId ??= frame.runId;
    if (frame.runId !== this.runId) this.#note(`is of another run, ${frame.runId}`, frame);
    if (this.ended) this.#note('comes after the last event', frame);
    if (!(frame.seq > this.seq)) this.#note(`comes after ${this.seq}`, frame);
    this.seq = Math.max(this.seq, frame.seq);
    if (frame.__typename === 'TextDelta') this.#seeDelta(frame);
    if (frame.__typename === 'TextRetracted') {
      this.repeats += 1;
      this.#length = Math.min(this.#length, frame.length ?? 0);
    }
    if (frame.__typename === 'MessageCompleted' && frame.message?.content !== this.#expected)
      this.#note(`holds ${frame.message?.content.length} characters of ${this.#expected.length}`, frame);
    if (!terminal.test(frame.__typename)) return;
    this.ended = true;
    if (frame.__typename !== 'RunCompleted') this.#note(`with ${frame.error?.code ?? 'no code'}`, frame);
    if (this.#length !== this.#expected.length)
      this.#note(`after ${this.#length} characters of ${this.#expected.length}`, frame);
  }

  #seeDelta(frame: Frame): void {
    const { offset = -1, delta = '' } = frame;
    const now = performance.now();
    this.deltaTimes.push(now);
    if (offset > this.#length || offset < 0) this.#note(`leaves out what follows ${this.#length}`, frame);
    if (!this.#expected.startsWith(delta, offset)) this.#note('is not the text of this place', frame);
    // Only who has taken a turn over may tell something again; and then it begins with the first character.
    if (offset < this.#length) {
      if (offset > 0) this.#note(`tells again what was there up to ${this.#length}`, frame);
      this.repeats += 1;
    }
    this.#length = offset + delta.length;
    while (this.moments.length < this.#speech.pieces && (this.moments.length + 1) * this.#speech.bytes <= this.#length)
      this.moments.push(now);
  }

  #note(what: string, { __typename, seq, offset }: Frame): void {
    const place = offset === undefined ? '' : `, offset ${offset}`;
    this.faults.push(`${this.runId}: ${__typename} (seq ${seq}${place}) ${what}`);
  }
}
