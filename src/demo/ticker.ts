/** A stream that wants to be called again at its time. */
interface Paced {
  /** Milliseconds on the monotonic clock. */
  dueAt: number;
  /** Sends what is due at `now`; false when there is nothing left to pace. */
  readonly tick: (now: number) => boolean;
}

const period = 5;

/** One timer for all paced streams: hundreds of them at 50 tokens a second would drown in timers of their own. */
export class Ticker {
  readonly #streams = new Set<Paced>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * Calls `send` every `delayMs` milliseconds, first after `firstMs`, until it returns false. What was missed is
   * caught up on: `send` is given how many tokens are due, and is called late rather than not at all.
   * @returns a function that stops it
   */
  pace(firstMs: number, delayMs: number, send: (due: number) => boolean): () => void {
    const stream: Paced = {
      dueAt: performance.now() + firstMs,
      tick: (now) => {
        const due = 1 + Math.floor((now - stream.dueAt) / delayMs);
        stream.dueAt += due * delayMs;
        return send(due);
      },
    };
    this.#streams.add(stream);
    this.#timer ??= setInterval(() => this.#tick(), period);
    return () => this.#remove(stream);
  }

  #tick(): void {
    const now = performance.now();
    for (const stream of this.#streams) {
      if (stream.dueAt <= now && !stream.tick(now)) this.#remove(stream);
    }
  }

  #remove(stream: Paced): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
