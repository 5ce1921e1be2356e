import { type Answer, type Ask, writeAnswer } from './answer.ts';

/** What a client saw of a turn that came through whole. Times in milliseconds. */
export interface SeenTurn {
  readonly firstTokenMs: number;
  readonly totalMs: number;
  readonly deltas: number;
  /** How late each token came, against the rhythm of the stream's own most punctual one. Empty where none was asked. */
  readonly lateMs: readonly number[];
}

/** An event of a turn, as far as it is checked. */
export interface Frame {
  readonly __typename: string;
  readonly seq: number;
  readonly messageId?: string;
  readonly offset?: number;
  readonly delta?: string;
}

/** Checks the events of one turn as they come. */
export class TurnWatch {
  readonly #asked: Ask;
  readonly #expected: Answer;
  readonly #askedAt = performance.now();
  readonly #moments: number[] = [];
  #firstTokenAt = 0;
  #length = 0;
  #tokens = 0;
  #deltas = 0;
  #seq = 0;
  #messageId: string | undefined;
  #completed = false;

  constructor(asked: Ask) {
    this.#asked = asked;
    this.#expected = answerOf(asked.tokens);
  }

  /** Takes an event. @returns whether it is the last. @throws when it is not the one that has to come */
  see(frame: Frame): boolean {
    if (this.#completed || !(frame.seq > this.#seq)) throw new Error(`Event ${frame.seq} after ${this.describe()}`);
    this.#seq = frame.seq;
    if (
      frame.__typename === 'RunFailed' ||
      frame.__typename === 'RunCancelled' ||
      frame.__typename === 'TextRetracted'
    ) {
      throw new Error(`${JSON.stringify(frame)} after ${this.describe()}`);
    }
    if (frame.__typename === 'RunCompleted') this.#completed = true;
    if (frame.__typename === 'TextDelta') this.#seeDelta(frame);
    return this.#completed;
  }

  #seeDelta({ messageId, offset, delta }: Frame): void {
    const now = performance.now();
    this.#messageId ??= messageId;
    const { text, ends } = this.#expected;
    const fits = offset === this.#length && delta !== undefined && text.startsWith(delta, offset);
    if (!fits || messageId === undefined || messageId !== this.#messageId) {
      throw new Error(`Not what follows: ${JSON.stringify({ offset, delta })} after ${this.describe()}`);
    }
    this.#length += delta.length;
    this.#deltas++;
    if (this.#tokens === 0) this.#firstTokenAt = now;
    for (; (ends[this.#tokens] ?? Infinity) <= this.#length; this.#tokens++) this.#moments.push(now);
  }

  /** @throws when the turn is not whole */
  finish(): SeenTurn {
    if (!this.#completed || this.#length !== this.#expected.text.length)
      throw new Error(`Not whole: ${this.describe()}`);
    const { perSecond } = this.#asked;
    // The first token arrives immediately; the rhythm begins with the second.
    const against = perSecond === 0 ? [] : this.#moments.slice(1).map((at, place) => at - (place * 1000) / perSecond);
    const best = against.reduce((least, at) => Math.min(least, at), Infinity);
    return {
      firstTokenMs: this.#firstTokenAt - this.#askedAt,
      totalMs: performance.now() - this.#askedAt,
      deltas: this.#deltas,
      lateMs: against.map((at) => at - best),
    };
  }

  describe(): string {
    return `event ${this.#seq}, ${this.#tokens} of ${this.#asked.tokens} tokens, completed: ${this.#completed}`;
  }
}

let lastAnswer: { readonly tokens: number; readonly answer: Answer } | undefined;
/** One for all clients of a round: they compare and do not write. */
function answerOf(tokens: number): Answer {
  if (lastAnswer?.tokens !== tokens) lastAnswer = { tokens, answer: writeAnswer(tokens) };
  return lastAnswer.answer;
}
