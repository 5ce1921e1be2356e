/** The longest that setTimeout can wait; longer waits would fire at once. */
const maxWaitMs = 2 ** 31 - 1;

/** Calls `act` at a moment, in milliseconds since the epoch, however far away; the wait keeps no process alive. */
export function callAt(moment: number, act: () => void): { cancel(): void } {
  let timer = arm();
  function arm(): NodeJS.Timeout {
    const left = moment - Date.now();
    return setTimeout(
      () => {
        if (left <= maxWaitMs) act();
        else timer = arm();
      },
      Math.min(Math.max(left, 0), maxWaitMs),
    ).unref();
  }
  return { cancel: () => clearTimeout(timer) };
}
