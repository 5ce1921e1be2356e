/** How much time a quiet client saves up, in milliseconds. */
const savedMs = 1_000;

/**
 * Slows down a client that sends more than anybody needs to: its messages are handled later, and other clients in the
 * meantime. What was not used is saved up for one second.
 */
export class Pace {
  readonly #bytesPerMs: number;
  readonly #messagesPerMs: number;
  /** Until when the time of the client is used up by what it has sent, in milliseconds of performance.now. */
  #usedUntil = Number.NEGATIVE_INFINITY;

  constructor(bytesPerSecond: number, messagesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1_000;
    this.#messagesPerMs = messagesPerSecond / 1_000;
  }

  /** Waits as long as a message of so many bytes asks for. */
  async wait(bytes: number): Promise<void> {
    const now = performance.now();
    const costMs = Math.max(bytes / this.#bytesPerMs, 1 / this.#messagesPerMs);
    this.#usedUntil = Math.max(this.#usedUntil, now - savedMs) + costMs;
    const waitMs = this.#usedUntil - now;
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs).unref());
  }
}
