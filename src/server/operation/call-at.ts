/** The longest delay that setTimeout can handle, in milliseconds; a longer one would fire immediately. */
const maxDelayMs = 2 ** 31 - 1;

/**
 * Calls a function at a moment, however far away. The timer does not keep the process alive.
 * @param moment in milliseconds since the epoch
 */
export function callAt(moment: number, action: () => void): { cancel(): void } {
  let timer = schedule();
  function schedule(): NodeJS.Timeout {
    const remaining = moment - Date.now();
    return setTimeout(
      () => {
        if (remaining <= maxDelayMs) action();
        else timer = schedule();
      },
      Math.min(Math.max(remaining, 0), maxDelayMs),
    ).unref();
  }
  return { cancel: () => clearTimeout(timer) };
}
