/** The first pause, and the longest, in milliseconds. Each is three times the one before. */
const firstPauseMs = 5_000;
const maxPauseMs = 5 * 3600_000;
const growth = 3;
/** With these pauses, the last attempt is about 20 hours after the first. */
export const maxAttempts = 12;
/** The part of a pause that is random: receivers that came back are not sent everything in the same moment. */
const jitter = 0.2;

/**
 * How long to wait before a delivery is sent again.
 * @param attempt how often it was sent, from 1
 * @param askedMs what the receiver asked for (Retry-After), in milliseconds; null: nothing
 * @param random from 0 to 1
 * @returns milliseconds; null: it is given up
 */
export function planRetry(attempt: number, askedMs: number | null, random: number): number | null {
  if (attempt >= maxAttempts) return null;
  const pause = Math.min(firstPauseMs * growth ** (attempt - 1), maxPauseMs);
  return Math.round(Math.max(pause * (1 - jitter + 2 * jitter * random), Math.min(askedMs ?? 0, maxPauseMs)));
}
