import { performance } from 'node:perf_hooks';

/** How often it is looked how busy the event loop is, in milliseconds. */
const lookEveryMs = 50;
/** The share of the time in which it has work: above the first, text is handed on less often; below the second, more often again. */
const busyShare = 0.85;
const calmShare = 0.6;
/** The longest time between two pieces of text for a reader, in milliseconds: a dozen in a second still look like a flow. */
const maxIntervalMs = 80;
const growMs = 20;
const shrinkMs = 10;

/** How often text that is being written is handed on. */
export interface TextPace {
  /** The least time between two pieces of text for the same reader, in milliseconds; 0: each is handed on when it is there. */
  readonly intervalMs: number;
}

/** Hands everything on when it is there. */
export const unpaced: TextPace = { intervalMs: 0 };

/**
 * Hands text on when it is there while the process has time, and less often while it has none. A frame costs nearly the same with
 * one token in it as with five, and what a busy process does for each token makes all that waits behind it late: sending less
 * often, it is late by less.
 */
export class BusyTextPace implements TextPace, Disposable {
  #intervalMs = 0;
  #last = performance.eventLoopUtilization();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => {
      const now = performance.eventLoopUtilization();
      this.adapt(performance.eventLoopUtilization(now, this.#last).utilization);
      this.#last = now;
    }, lookEveryMs).unref();
  }

  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Takes in how busy the event loop was since the last time. @param share the part of the time in which it had work, 0 to 1 */
  adapt(share: number): void {
    if (share > busyShare) this.#intervalMs = Math.min(this.#intervalMs + growMs, maxIntervalMs);
    else if (share < calmShare) this.#intervalMs = Math.max(this.#intervalMs - shrinkMs, 0);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
