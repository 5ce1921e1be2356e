/** The watch over a process. */
export interface SilenceWatch {
  /** The process has responded. */
  reset(): void;
  /** Ends the watch. */
  stop(): void;
}

/** How many pings a silence consists of. */
const pingsPerSilence = 6;

/**
 * Asks a process at intervals whether it responds.
 *
 * The answers are counted by pings, not by the clock: if this process was stopped itself (a laptop that slept), the other
 * one has had no chance to respond.
 *
 * @param options.ping asks once
 * @param options.maxSilenceMs how long it may not respond, in milliseconds
 * @param options.onSilence called once, when it has not responded for that long
 */
export function watchForSilence(options: {
  readonly ping: () => void;
  readonly maxSilenceMs: number;
  readonly onSilence: () => void;
}): SilenceWatch {
  let unanswered = 0;
  const timer = setInterval(() => {
    if (unanswered >= pingsPerSilence) {
      clearInterval(timer);
      options.onSilence();
      return;
    }
    unanswered += 1;
    options.ping();
  }, options.maxSilenceMs / pingsPerSilence).unref();
  return {
    reset: () => {
      unanswered = 0;
    },
    stop: () => clearInterval(timer),
  };
}
